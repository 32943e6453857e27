//! `GET /v1/keys/{id}`: a key, never its secret.

use actix_web::{HttpRequest, http::StatusCode, web::Data};

use super::view::KeyView;
use crate::{
    api::Api,
    caller::Caller,
    reply::{self, Answer},
};

/// Shows a key.
pub(crate) async fn get(caller: Caller, api: Data<Api>, request: HttpRequest) -> Answer {
    let key = super::in_path(&api, &caller, &request).await?;
    reply::revalidated_json(&request, StatusCode::OK, &KeyView::of(&key), |_| {})
}
