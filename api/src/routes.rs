//! The route table, and what every route does about methods that it does not have.

use actix_web::{
    FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder,
    guard::{Any, Delete, Get, Head, Post},
    http::{Method, header},
    web::{self, ServiceConfig},
};

use crate::{
    health, jobs, kinds,
    problem::{self, Problem, ProblemType},
    reply::Answer,
};

/// Every route.
pub(crate) fn routes(app: &mut ServiceConfig) {
    app.service(
        at("/v1/jobs")
            .get(jobs::list::get)
            .post(jobs::submit::post)
            .delete(jobs::bulk::delete)
            .done(),
    )
    // Before `{id}`, which would take their names for ids.
    .service(at("/v1/jobs/batch").post(jobs::batch::post).done())
    .service(at("/v1/jobs/cancel").post(jobs::bulk::cancel).done())
    .service(at("/v1/jobs/retry").post(jobs::bulk::retry).done())
    .service(
        at("/v1/jobs/{id}")
            .get(jobs::get::get)
            .delete(jobs::delete::delete)
            .done(),
    )
    .service(at("/v1/jobs/{id}/result").get(jobs::result::get).done())
    .service(at("/v1/jobs/{id}/cancel").post(jobs::cancel::post).done())
    .service(at("/v1/jobs/{id}/retry").post(jobs::retry::post).done())
    .service(at("/v1/jobs/{id}/attempts").get(jobs::attempts::get).done())
    .service(at("/v1/jobs/{id}/events").get(jobs::events::get).done())
    .service(at("/v1/jobs/{id}/logs").get(jobs::logs::get).done())
    .service(at("/v1/kinds").get(kinds::list::get).done())
    .service(at("/livez").get(health::live).done())
    .service(at("/readyz").get(health::ready).done())
    .service(at("/metrics").get(health::metrics).done())
    .service(at("/problems/{name}").get(problem::page::get).done())
    .default_service(web::to(nothing_here));
}

/// The path of a route as it stands in the table, for the metrics.
#[derive(Clone, Copy)]
pub(crate) struct Pattern(pub(crate) &'static str);

/// A route under construction: all methods of one path are one resource, or 405 would be wrong.
struct Route {
    resource: Resource,
    allowed: Vec<&'static str>,
}

fn at(path: &'static str) -> Route {
    Route {
        resource: web::resource(path).app_data(Pattern(path)),
        allowed: Vec::new(),
    }
}

impl Route {
    /// GET, and HEAD with it.
    fn get<H, Arguments>(mut self, handler: H) -> Self
    where
        H: Handler<Arguments>,
        Arguments: FromRequest + 'static,
        H::Output: Responder + 'static,
    {
        self.allowed.extend(["GET", "HEAD"]);
        let route = web::route().guard(Any(Get()).or(Head())).to(handler);
        self.resource = self.resource.route(route);
        self
    }

    fn post<H, Arguments>(mut self, handler: H) -> Self
    where
        H: Handler<Arguments>,
        Arguments: FromRequest + 'static,
        H::Output: Responder + 'static,
    {
        self.allowed.push("POST");
        self.resource = self.resource.route(web::route().guard(Post()).to(handler));
        self
    }

    fn delete<H, Arguments>(mut self, handler: H) -> Self
    where
        H: Handler<Arguments>,
        Arguments: FromRequest + 'static,
        H::Output: Responder + 'static,
    {
        self.allowed.push("DELETE");
        self.resource = self
            .resource
            .route(web::route().guard(Delete()).to(handler));
        self
    }

    fn done(mut self) -> Resource {
        self.allowed.push("OPTIONS");
        let allowed = self.allowed.join(", ");
        self.resource
            .default_service(web::to(move |request: HttpRequest| {
                let answer = another_method(&request, &allowed);
                async move { answer }
            }))
    }
}

/// What a resource answers to a method that it does not have.
fn another_method(request: &HttpRequest, allowed: &str) -> Answer {
    let method = request.method();
    if method == Method::OPTIONS {
        return Ok(HttpResponse::NoContent()
            .insert_header((header::ALLOW, allowed))
            .finish());
    }
    let known = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
    ];
    let problem = if known.contains(method) {
        Problem::new(
            ProblemType::MethodNotAllowed,
            format!("This resource takes {allowed}."),
        )
    } else {
        Problem::new(
            ProblemType::MethodNotImplemented,
            "No resource of this server has this method.",
        )
    };
    let allow =
        header::HeaderValue::from_str(allowed).map_err(|error| Problem::internal(&error))?;
    Err(problem.with_header(header::ALLOW, allow))
}

async fn nothing_here() -> Answer {
    Err(Problem::new(
        ProblemType::RouteNotFound,
        "No resource of this server has this path.",
    ))
}
