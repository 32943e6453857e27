//! `GET /v1/keys/{id}`: a key, never its secret.

use actix_web::{HttpRequest, http::StatusCode, web::Data};

use super::view::KeyView;
use crate::{
    api::Api,
    caller::Caller,
    openapi::{Operation, Reply, Tag, field},
    problem::ProblemType,
    reply::{self, Answer},
};

/// What this endpoint says of itself.
pub(crate) fn describe() -> Operation {
    Operation::new(Tag::Keys, "getKey", "A key, without its secret")
        .with([super::KEY_ID])
        .conditional()
        .answers(
            Reply::json::<KeyView<'_>>(200, "The key.", super::example())
                .always([field::ETAG, field::VARY]),
        )
        .answers(Reply::not_modified())
        .problems([ProblemType::KeyNotFound])
}

/// Shows a key.
pub(crate) async fn get(caller: Caller, api: Data<Api>, request: HttpRequest) -> Answer {
    let key = super::in_path(&api, &caller, &request).await?;
    reply::revalidated_json(&request, StatusCode::OK, &KeyView::of(&key), |_| {})
}
