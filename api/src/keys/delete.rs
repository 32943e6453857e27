//! `DELETE /v1/keys/{id}`: revokes a key.

use actix_web::{HttpRequest, HttpResponse, web::Data};

use crate::{
    api::Api,
    caller::Caller,
    openapi::{Operation, Reply, Tag},
    problem::ProblemType,
    reply::Answer,
};

/// What this endpoint says of itself.
pub(crate) fn describe() -> Operation {
    Operation::new(Tag::Keys, "revokeKey", "Revoke a key")
        .says("It is good nowhere any more within 5 seconds.")
        .with([super::KEY_ID])
        .answers(Reply::empty(204, "It is revoked."))
        .problems([ProblemType::KeyNotFound])
}

/// Revokes a key: here at once, in other processes within their next reading.
pub(crate) async fn delete(caller: Caller, api: Data<Api>, request: HttpRequest) -> Answer {
    let key = super::in_path(&api, &caller, &request).await?;
    if !api.store.delete_api_key(key.id).await? {
        return Err(super::no_key());
    }
    // It is revoked, whatever comes of this.
    if let Err(problem) = api.credentials.refresh().await {
        tracing::debug!(%problem, "the keys could not be read after one was revoked");
    }
    tracing::info!(key = %key.id, tenant = %key.tenant, "a key was revoked");
    Ok(HttpResponse::NoContent().finish())
}
