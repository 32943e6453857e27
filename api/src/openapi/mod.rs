//! The API described by itself: `GET /openapi.json` (OpenAPI 3.1), and `GET /docs` to read it in a
//! browser.
//!
//! Nothing is described twice: method, path and scope come from the route table, schemas from the
//! types, problems from their table, and the rest from a function beside each endpoint.

mod content;
pub(crate) mod docs;
pub(crate) mod example;
pub(crate) mod field;
mod operation;
pub(crate) mod parameter;
mod problems;
mod reply;
pub(crate) mod schema;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{self, EntityTag},
    },
    web::Data,
};
use serde_json::Value;
use utoipa::openapi::{
    Components, HttpMethod, Info, License, OpenApi, OpenApiBuilder, PathItem, Paths, Ref, Required,
    Response, Server,
    path::{Operation as Described, OperationBuilder},
    request_body::{RequestBody, RequestBodyBuilder},
    response::Responses,
    security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    tag::TagBuilder,
};

pub(crate) use self::{
    content::Content,
    operation::{Operation, Tag},
    parameter::Parameter,
    reply::Reply,
};
use self::{
    parameter::Place,
    problems::ProblemAnswers,
    schema::{Schemas, raw},
};
use crate::{
    api::Api,
    exchange::HEALTH,
    jobs::submission,
    precondition,
    problem::ProblemType,
    reply as answers,
    routes::{self, Endpoint},
};

const TITLE: &str = "Coatcheck";

const ABOUT: &str = "\
Hand in a slow request, get a ticket, come back for the result.

Submit a job and follow its `Location`. Every error is a problem document (RFC 9457) whose `type` is \
explained on this server. HEAD is there wherever GET is. OPTIONS is answered 204 with `Allow` by \
every path; another method that a path does not have is 405, one that no path has 501; a path that \
is not here is 404. A request whose head takes too long is 408. An integer may be written as `4.0`.";

/// The name of the one way to show who calls.
const BEARER: &str = "key";

/// The document as it is sent.
struct Document {
    bytes: Vec<u8>,
    tag: EntityTag,
}

/// Made once a process.
static DOCUMENT: LazyLock<Document> = LazyLock::new(|| Document::of(&document()));

/// The same for a server that has the built-in kinds alone.
static BUILT_IN_KINDS_ALONE: LazyLock<Document> = LazyLock::new(|| {
    let mut document = document();
    submission::without_other_kinds(&mut document);
    Document::of(&document)
});

impl Document {
    fn of(document: &Value) -> Self {
        let bytes = document.to_string().into_bytes();
        Self {
            tag: precondition::tag_of(&bytes),
            bytes,
        }
    }
}

/// What this endpoint says of itself.
pub(crate) fn describe() -> Operation {
    let example = serde_json::json!({"openapi": "3.1.0", "info": {}, "paths": {}});
    Operation::new(Tag::Service, "getDocument", "This document")
        .with([parameter::IF_NONE_MATCH])
        .answers(
            Reply::json::<serde_json::Map<String, Value>>(200, "The document.", example)
                .always([field::ETAG]),
        )
        .answers(Reply::empty(304, "The caller has this version already.").always([field::ETAG]))
}

/// Serves the document.
pub(crate) async fn get(api: Data<Api>, request: HttpRequest) -> answers::Answer {
    let Document { bytes, tag } = if api.kinds.has_others() {
        &*DOCUMENT
    } else {
        &*BUILT_IN_KINDS_ALONE
    };
    let has_already = precondition::has_already(&request, tag);
    let mut response = HttpResponse::build(if has_already {
        StatusCode::NOT_MODIFIED
    } else {
        StatusCode::OK
    });
    response
        .insert_header((header::ETAG, tag.clone()))
        .insert_header((header::CACHE_CONTROL, "no-cache"));
    Ok(if has_already {
        response.finish()
    } else {
        response
            .insert_header((header::CONTENT_TYPE, "application/json"))
            .body(bytes.as_slice())
    })
}

/// A reference to the schema of every problem.
pub(crate) fn problem_reference() -> schemars::Schema {
    schemars::json_schema!({"$ref": format!("#/components/schemas/{}", problems::SCHEMA)})
}

/// The document, from the route table.
pub fn document() -> Value {
    serde_json::to_value(describe_all()).unwrap_or_default()
}

fn describe_all() -> OpenApi {
    let mut parts = Parts {
        schemas: Schemas::new(),
        problems: ProblemAnswers::default(),
    };
    let mut paths = Paths::new();
    for (endpoint, operation) in routes::described() {
        let method = method_of(&endpoint);
        let operation = parts.describe(&endpoint, &operation);
        match paths.paths.get_mut(endpoint.path) {
            Some(item) => item.merge_operations(PathItem::new(method, operation)),
            None => {
                let item = PathItem::new(method, operation);
                paths.paths.insert(endpoint.path.to_owned(), item);
            }
        }
    }
    parts.problems.refer(problems::ELSEWHERE);
    let mut info = Info::new(TITLE, env!("CARGO_PKG_VERSION"));
    info.description = Some(ABOUT.to_owned());
    info.license = Some(License::new(env!("CARGO_PKG_LICENSE")));
    let tags = Tag::ALL.map(|tag| {
        TagBuilder::new()
            .name(tag.name())
            .description(Some(tag.says()))
            .build()
    });
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([Server::new("/")]))
        .tags(Some(tags))
        .paths(paths)
        .components(Some(parts.into_components()))
        .build()
}

fn method_of(endpoint: &Endpoint) -> HttpMethod {
    match endpoint.method {
        "POST" => HttpMethod::Post,
        "PUT" => HttpMethod::Put,
        "PATCH" => HttpMethod::Patch,
        "DELETE" => HttpMethod::Delete,
        _ => HttpMethod::Get,
    }
}

/// What operations share.
struct Parts {
    schemas: Schemas,
    problems: ProblemAnswers,
}

impl Parts {
    fn describe(&mut self, endpoint: &Endpoint, operation: &Operation) -> Described {
        let parameters = operation.parameters.iter().map(Parameter::describe);
        let parameters = parameters.chain([parameter::X_REQUEST_ID.describe()]);
        let security = match endpoint.scope {
            Some(scope) => vec![SecurityRequirement::new(BEARER, [scope.as_str()])],
            None => Vec::new(),
        };
        let says = match endpoint.scope {
            Some(scope) => format!("Needs the scope `{}`. {}", scope.as_str(), operation.says),
            None => format!("Open to everyone. {}", operation.says),
        };
        OperationBuilder::new()
            .tag(operation.tag.name())
            .operation_id(Some(operation.id))
            .summary(Some(operation.summary))
            .description(Some(says.trim_end()))
            .parameters(Some(parameters))
            .request_body(self.body(operation))
            .responses(self.responses(endpoint, operation))
            .securities(Some(security))
            .build()
    }

    fn body(&mut self, operation: &Operation) -> Option<RequestBody> {
        if operation.body.is_empty() {
            return None;
        }
        let mut body = RequestBodyBuilder::new().required(Some(Required::True));
        for content in &operation.body {
            body = body.content(content.media_type, content.describe(&mut self.schemas));
        }
        Some(body.build())
    }

    fn responses(&mut self, endpoint: &Endpoint, operation: &Operation) -> Responses {
        let closed = endpoint.scope.is_some();
        let mut responses = Responses::new();
        for reply in &operation.answers {
            let response: Response = reply.describe(&mut self.schemas, closed);
            responses
                .responses
                .insert(reply.status.to_string(), response.into());
        }
        for (status, reference) in self.problems.refer(problems_of(endpoint, operation)) {
            responses
                .responses
                .insert(status.to_string(), Ref::into(reference));
        }
        responses
    }

    fn into_components(self) -> Components {
        let mut components = Components::new();
        components.schemas = self.schemas.into_components();
        components
            .schemas
            .insert(problems::SCHEMA.to_owned(), raw(problems::schema()));
        components.responses = self.problems.into_components();
        let key = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("cck_…")
            .description(Some(
                "A key, as `coatcheck keys create` or `POST /v1/keys` shows it once. Each operation \
                 names the scope that it needs; `admin` has them all. A server in open mode needs none.",
            ));
        components.add_security_scheme(BEARER, SecurityScheme::Http(key.build()));
        components
    }
}

/// All problems of an operation: its own, and those that come with where it stands.
fn problems_of(endpoint: &Endpoint, operation: &Operation) -> Vec<ProblemType> {
    let mut all = operation.problems.clone();
    all.extend(problems::EVERYWHERE);
    if endpoint.scope.is_some() {
        all.extend(problems::CLOSED);
        if endpoint.method != "GET" {
            all.push(ProblemType::CrossOrigin);
        }
    }
    if !HEALTH.contains(&endpoint.path) {
        all.push(ProblemType::Overloaded);
    }
    let has_query = |parameter: &Parameter| parameter.place == Place::Query;
    if operation.parameters.iter().any(has_query) {
        all.push(ProblemType::InvalidParameter);
    }
    all
}
