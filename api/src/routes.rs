//! The route table, and what every route does about methods that it does not have.

use actix_web::{
    FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder,
    guard::{Any, Delete, Get, Head, Post},
    http::{Method, header},
    web::{self, ServiceConfig},
};
use coatcheck_shared::api_key::Scope;

use crate::{
    health, jobs, keys, kinds,
    openapi::{self, Operation},
    problem::{self, Problem, ProblemType},
    queues,
    reply::Answer,
};

const OPEN: Option<Scope> = None;
const SUBMIT: Option<Scope> = Some(Scope::Submit);
const READ: Option<Scope> = Some(Scope::Read);
const CANCEL: Option<Scope> = Some(Scope::Cancel);
const ADMIN: Option<Scope> = Some(Scope::Admin);

/// Every route, with the scope that each of its methods needs and what it says of itself.
fn table() -> Vec<Route> {
    vec![
        at("/v1/jobs")
            .get(READ, jobs::list::get, jobs::list::describe)
            .post(SUBMIT, jobs::submit::post, jobs::submit::describe)
            .delete(CANCEL, jobs::bulk::delete, jobs::bulk::describe_delete),
        // Before `{id}`, which would take their names for ids.
        at("/v1/jobs/batch").post(SUBMIT, jobs::batch::post, jobs::batch::describe),
        at("/v1/jobs/cancel").post(CANCEL, jobs::bulk::cancel, jobs::bulk::describe_cancel),
        at("/v1/jobs/retry").post(SUBMIT, jobs::bulk::retry, jobs::bulk::describe_retry),
        at("/v1/jobs/{id}")
            .get(READ, jobs::get::get, jobs::get::describe)
            .delete(CANCEL, jobs::delete::delete, jobs::delete::describe),
        at("/v1/jobs/{id}/result").get(READ, jobs::result::get, jobs::result::describe),
        at("/v1/jobs/{id}/cancel").post(CANCEL, jobs::cancel::post, jobs::cancel::describe),
        at("/v1/jobs/{id}/retry").post(SUBMIT, jobs::retry::post, jobs::retry::describe),
        at("/v1/jobs/{id}/attempts").get(READ, jobs::attempts::get, jobs::attempts::describe),
        at("/v1/jobs/{id}/events").get(READ, jobs::events::get, jobs::events::describe),
        at("/v1/jobs/{id}/logs").get(READ, jobs::logs::get, jobs::logs::describe),
        at("/v1/kinds").get(READ, kinds::list::get, kinds::list::describe),
        at("/v1/queues").get(READ, queues::list::get, queues::list::describe),
        at("/v1/queues/{queue}").get(READ, queues::get::get, queues::get::describe),
        at("/v1/keys")
            .get(ADMIN, keys::list::get, keys::list::describe)
            .post(ADMIN, keys::create::post, keys::create::describe),
        at("/v1/keys/{id}")
            .get(ADMIN, keys::get::get, keys::get::describe)
            .delete(ADMIN, keys::delete::delete, keys::delete::describe),
        at("/livez").get(OPEN, health::live, health::describe_live),
        at("/readyz").get(OPEN, health::ready, health::describe_ready),
        at("/metrics").get(ADMIN, health::metrics, health::describe_metrics),
        at("/problems/{name}").get(OPEN, problem::page::get, problem::page::describe),
        at("/openapi.json").get(OPEN, openapi::get, openapi::describe),
        at("/docs").get(OPEN, openapi::docs::get, openapi::docs::describe),
        at("/docs/{file}").get(OPEN, openapi::docs::file, openapi::docs::describe_file),
    ]
}

/// Registers every route.
pub(crate) fn routes(app: &mut ServiceConfig) {
    for route in table() {
        app.service(route.into_resource());
    }
    app.default_service(web::to(nothing_here));
}

/// One method of one route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The method; HEAD goes wherever GET does.
    pub method: &'static str,
    /// The path as it stands in the table.
    pub path: &'static str,
    /// The scope that a caller's key needs; none where it is open to everyone.
    pub scope: Option<Scope>,
}

/// Every endpoint of the API, from the very table that serves them.
pub fn endpoints() -> Vec<Endpoint> {
    described()
        .into_iter()
        .map(|(endpoint, _)| endpoint)
        .collect()
}

/// Every endpoint with what it says of itself.
pub(crate) fn described() -> Vec<(Endpoint, Operation)> {
    table()
        .into_iter()
        .flat_map(|route| route.endpoints.into_iter().zip(route.descriptions))
        .map(|(endpoint, describe)| (endpoint, describe()))
        .collect()
}

/// The path of a route as it stands in the table, for the metrics.
#[derive(Clone, Copy)]
pub(crate) struct Pattern(pub(crate) &'static str);

/// The endpoints of the route that a request has come to.
struct Endpoints(Vec<Endpoint>);

/// The scope that the endpoint needs which a request has come to; none where it is open.
pub(crate) fn needed_scope(request: &HttpRequest) -> Option<Scope> {
    let method = match request.method().as_str() {
        "HEAD" => "GET",
        method => method,
    };
    let Endpoints(endpoints) = request.app_data()?;
    let endpoint = endpoints
        .iter()
        .find(|endpoint| endpoint.method == method)?;
    endpoint.scope
}

/// Whether a request is about one job, the `id` in its path.
pub(crate) fn is_about_a_job(request: &HttpRequest) -> bool {
    request
        .app_data::<Pattern>()
        .is_some_and(|pattern| pattern.0.starts_with("/v1/jobs/{id}"))
}

/// What makes the description of an endpoint.
type Describe = fn() -> Operation;

/// A route under construction: all methods of one path are one resource, or 405 would be wrong.
struct Route {
    path: &'static str,
    resource: Resource,
    endpoints: Vec<Endpoint>,
    /// One for each endpoint.
    descriptions: Vec<Describe>,
}

fn at(path: &'static str) -> Route {
    Route {
        path,
        resource: web::resource(path).app_data(Pattern(path)),
        endpoints: Vec::new(),
        descriptions: Vec::new(),
    }
}

impl Route {
    /// GET, and HEAD with it.
    fn get<H, Arguments>(self, scope: Option<Scope>, handler: H, describe: Describe) -> Self
    where
        H: Handler<Arguments>,
        Arguments: FromRequest + 'static,
        H::Output: Responder + 'static,
    {
        let route = web::route().guard(Any(Get()).or(Head())).to(handler);
        self.with("GET", scope, route, describe)
    }

    fn post<H, Arguments>(self, scope: Option<Scope>, handler: H, describe: Describe) -> Self
    where
        H: Handler<Arguments>,
        Arguments: FromRequest + 'static,
        H::Output: Responder + 'static,
    {
        self.with(
            "POST",
            scope,
            web::route().guard(Post()).to(handler),
            describe,
        )
    }

    fn delete<H, Arguments>(self, scope: Option<Scope>, handler: H, describe: Describe) -> Self
    where
        H: Handler<Arguments>,
        Arguments: FromRequest + 'static,
        H::Output: Responder + 'static,
    {
        self.with(
            "DELETE",
            scope,
            web::route().guard(Delete()).to(handler),
            describe,
        )
    }

    fn with(
        mut self,
        method: &'static str,
        scope: Option<Scope>,
        route: actix_web::Route,
        describe: Describe,
    ) -> Self {
        self.endpoints.push(Endpoint {
            method,
            path: self.path,
            scope,
        });
        self.descriptions.push(describe);
        self.resource = self.resource.route(route);
        self
    }

    fn into_resource(self) -> Resource {
        let mut allowed = Vec::new();
        for endpoint in &self.endpoints {
            allowed.push(endpoint.method);
            if endpoint.method == "GET" {
                allowed.push("HEAD");
            }
        }
        allowed.push("OPTIONS");
        let allowed = allowed.join(", ");
        self.resource
            .app_data(Endpoints(self.endpoints))
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

async fn nothing_here(request: HttpRequest) -> Answer {
    // The server as a whole (RFC 9110 §9.3.7).
    if request.path() == "*" {
        return Ok(HttpResponse::NoContent()
            .insert_header((header::ALLOW, "GET, HEAD, POST, DELETE, OPTIONS"))
            .finish());
    }
    Err(Problem::new(
        ProblemType::RouteNotFound,
        "No resource of this server has this path.",
    ))
}
