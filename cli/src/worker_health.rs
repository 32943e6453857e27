//! What a worker process tells whoever watches it: is it alive, is it ready, what does it count.

use actix_web::{
    App, HttpResponse, HttpServer,
    dev::Server,
    guard,
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    web,
};
use coatcheck_shared::settings::WorkerSettings;
use coatcheck_worker::{Readiness, WorkerStatus};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;

use crate::failure::Failure;

/// How long a scrape may go on after the worker has ended.
const SHUTDOWN_S: u64 = 1;

/// Serves `/livez`, `/readyz` and `/metrics` where the settings say, until it is stopped.
pub(crate) fn serve(
    settings: &WorkerSettings,
    status: WorkerStatus,
    metrics: PrometheusHandle,
) -> Result<Server, Failure> {
    let address = settings.listen;
    let server = HttpServer::new(move || {
        let resource = |path: &str| web::resource(path).name(path);
        let get = || web::route().guard(guard::Any(guard::Get()).or(guard::Head()));
        App::new()
            .app_data(web::Data::new(status.clone()))
            .app_data(web::Data::new(metrics.clone()))
            .service(resource("/livez").route(get().to(live)))
            .service(resource("/readyz").route(get().to(ready)))
            .service(resource("/metrics").route(get().to(render)))
    })
    .workers(1)
    .disable_signals()
    .shutdown_timeout(SHUTDOWN_S)
    .bind(address)
    .map_err(|error| {
        Failure::error(format!(
            "the worker cannot listen on {address} (COATCHECK_WORKER__LISTEN): {error}"
        ))
    })?;
    Ok(server.run())
}

async fn live() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(json!({ "status": "alive" }))
}

async fn ready(status: web::Data<WorkerStatus>) -> HttpResponse {
    let (mut response, word) = match status.readiness() {
        Readiness::Ready if status.is_degraded() => (HttpResponse::Ok(), "degraded"),
        Readiness::Ready => (HttpResponse::Ok(), "ready"),
        Readiness::WithoutLease => (HttpResponse::ServiceUnavailable(), "without-lease"),
        Readiness::ShuttingDown => (HttpResponse::ServiceUnavailable(), "shutting-down"),
    };
    response
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(json!({
            "status": word,
            "running": status.running(),
            "slots": status.slots(),
        }))
}

async fn render(metrics: web::Data<PrometheusHandle>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"))
        .body(metrics.render())
}
