//! `GET /problems/{name}`: the explanation of a type of problem.

use actix_web::{HttpRequest, HttpResponse, http::header};

use serde_json::{Value, json};

use super::{Problem, ProblemType};
use crate::{
    openapi::{Operation, Parameter, Reply, Tag},
    reply::Answer,
};

/// What this endpoint says of itself.
pub(crate) fn describe() -> Operation {
    let name = Parameter::path("name", "The last segment of a problem's `type`.", || {
        let names: Vec<Value> = ProblemType::ALL
            .iter()
            .map(|each| each.row().name.into())
            .collect();
        json!({"enum": names})
    });
    Operation::new(
        Tag::Service,
        "getProblemType",
        "What a type of problem means",
    )
    .with([name])
    .answers(Reply::bytes(200, "The explanation.", "text/plain"))
    .problems([ProblemType::RouteNotFound])
}

/// Serves the explanation to whoever follows a problem's `type`.
pub(crate) async fn get(request: HttpRequest) -> Answer {
    let name = request.match_info().get("name").unwrap_or_default();
    let row = ProblemType::named(name)
        .ok_or_else(|| {
            Problem::new(
                ProblemType::RouteNotFound,
                "There is no type of problem by this name.",
            )
        })?
        .row();
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/plain; charset=utf-8"))
        .insert_header((header::CACHE_CONTROL, "public, max-age=3600"))
        .body(format!(
            "{} {}\n\n{}\n",
            row.status, row.title, row.explanation
        )))
}

#[cfg(test)]
mod tests {
    use actix_web::{http::StatusCode, test::TestRequest};

    use super::*;

    #[actix_web::test]
    async fn every_type_has_a_page() {
        for each in ProblemType::ALL {
            let request = TestRequest::get()
                .param("name", each.row().name)
                .to_http_request();
            let response = get(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
        }
    }
}
