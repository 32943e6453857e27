//! `/livez`, `/readyz` and `/metrics`.

use std::time::Duration;

use actix_web::{
    HttpResponse,
    http::{StatusCode, header},
    web::Data,
};
use coatcheck_shared::api_key::Scope;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use tokio::time::timeout;

use crate::{
    api::Api,
    caller::{Caller, insufficient},
    openapi::{Operation, Reply, Tag},
    problem::{Problem, ProblemType},
    queues,
    reply::{self, Answer},
};

/// How long the database and the queue have for their answers: whoever asks whether we are ready
/// does not wait for long.
const LONGEST_CHECK: Duration = Duration::from_millis(1_500);

/// How it stands.
#[derive(Serialize, JsonSchema)]
struct Health {
    /// `ok`, or `degraded` without the queue.
    #[schemars(extend("enum" = ["ok", "degraded"]))]
    status: &'static str,
}

/// What this endpoint says of itself.
pub(crate) fn describe_live() -> Operation {
    Operation::new(Tag::Service, "isAlive", "Whether the process lives").answers(Reply::json::<
        Health,
    >(
        200,
        "It does.",
        json!({"status": "ok"}),
    ))
}

/// What this endpoint says of itself.
pub(crate) fn describe_ready() -> Operation {
    Operation::new(Tag::Service, "isReady", "Whether the process can serve")
        .says("Without the queue it can: jobs start later.")
        .answers(Reply::json::<Health>(
            200,
            "It can.",
            json!({"status": "ok"}),
        ))
        .problems([ProblemType::DatabaseUnavailable, ProblemType::ShuttingDown])
}

/// What this endpoint says of itself.
pub(crate) fn describe_metrics() -> Operation {
    Operation::new(Tag::Service, "getMetrics", "Metrics for Prometheus").answers(Reply::bytes(
        200,
        "The metrics.",
        "text/plain",
    ))
}

/// The process is there.
pub(crate) async fn live() -> Answer {
    reply::json(StatusCode::OK, &Health { status: "ok" })
}

/// The process can serve: it can where the database answers, until it is told to end. Without the
/// queue it is slower to start jobs, and `degraded`.
pub(crate) async fn ready(api: Data<Api>) -> Answer {
    if api.draining.is_cancelled() {
        let detail = "This process ends: what it has accepted is answered.";
        return Err(Problem::new(ProblemType::ShuttingDown, detail).retry_after(1));
    }
    let (store, queue) = tokio::join!(
        timeout(LONGEST_CHECK, api.store.now()),
        timeout(LONGEST_CHECK, api.queue.ping()),
    );
    store.unwrap_or_else(|_| Err(coatcheck_shared::store::StoreError::timed_out()))?;
    let status = match queue {
        Ok(Ok(())) => "ok",
        Ok(Err(_)) | Err(_) => "degraded",
    };
    reply::json(StatusCode::OK, &Health { status })
}

/// The metrics, as Prometheus reads them. They name the kinds and queues of all tenants, so they are
/// the operator's. With the database away they are there all the same, without the figures of the
/// queues.
pub(crate) async fn metrics(caller: Caller, api: Data<Api>) -> Result<HttpResponse, Problem> {
    if !caller.is_operator() {
        let detail = "The metrics are about all tenants: they need a key of `default`.";
        return Err(insufficient(Scope::Admin, detail.to_owned()));
    }
    let queues = queues::metrics::render(&api).await.unwrap_or_else(|error| {
        tracing::debug!(%error, "the queues' figures are missing from the metrics");
        String::new()
    });
    Ok(HttpResponse::Ok()
        .insert_header((
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        ))
        .body(api.metrics.render() + &queues))
}
