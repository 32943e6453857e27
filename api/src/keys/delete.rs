//! `DELETE /v1/keys/{id}`: revokes a key.

use actix_web::{HttpRequest, HttpResponse, web::Data};

use crate::{api::Api, caller::Caller, reply::Answer};

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
