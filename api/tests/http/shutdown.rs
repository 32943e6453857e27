//! Going, without dropping anyone.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use coatcheck_api::{ServeError, Server};
use coatcheck_shared::{backend::Backend, settings::load_from};
use metrics_exporter_prometheus::PrometheusBuilder;

use crate::{client::Connection, service::Service};

#[tokio::test]
async fn who_waits_is_answered_when_the_server_goes() {
    let mut service = Service::start().await;
    let path = format!("/v1/jobs/{}", service.submit("").await);
    let mut connection = Connection::open(service.address).await;
    connection
        .send(format!(
            "GET {path} HTTP/1.1\r\nhost: test\r\nprefer: wait=60\r\n\r\n"
        ))
        .await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let began = Instant::now();
    service.shutdown.cancel();
    let answer = connection.answer(false).await;
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["state"], "queued");
    assert_eq!(answer.header("connection"), Some("close"));
    let running = service.running.take().unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(5), running).await;
    ended.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn nothing_that_was_accepted_is_reset() {
    let mut service = Service::start().await;
    // Once before, so that the first answer is not held up while its schema is compiled.
    service.submit("").await;
    let answered = AtomicU32::new(0);
    let address = service.address;
    let client = async || {
        let mut connection = Connection::open(address).await;
        loop {
            let body = r#"{"kind":"sleep","payload":{"ms":1}}"#;
            let length = body.len();
            connection
                .send(format!(
                    "POST /v1/jobs HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n\
                     content-length: {length}\r\n\r\n{body}"
                ))
                .await;
            // Fails the test where there is no answer.
            let answer = connection.answer(false).await;
            assert_eq!(answer.status, 202);
            answered.fetch_add(1, Ordering::Relaxed);
            if answer.header("connection") == Some("close") {
                return;
            }
        }
    };
    let stop = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        service.shutdown.cancel();
    };
    let clients = futures::future::join_all((0..32).map(|_| client()));
    tokio::join!(clients, stop);
    let running = service.running.take().unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(5), running).await;
    ended.unwrap().unwrap().unwrap();
    assert!(answered.load(Ordering::Relaxed) > 32);
}

#[tokio::test]
async fn an_idle_server_goes_at_once() {
    let mut service = Service::start().await;
    let idle = Connection::open(service.address).await;
    service.get("/livez").await;
    service.shutdown.cancel();
    let running = service.running.take().unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(5), running).await;
    ended.unwrap().unwrap().unwrap();
    drop(idle);
}

#[tokio::test]
async fn an_address_in_use_is_said_so() {
    let service = Service::start().await;
    let mut settings = load_from("").unwrap();
    settings.listen = service.address;
    let directory = tempfile::tempdir().unwrap();
    settings.data_dir = directory.path().to_owned();
    let backend = Backend::open(&settings).await.unwrap();
    let metrics = PrometheusBuilder::new().build_recorder().handle();
    let error = Server::bind(backend, &settings, metrics).err().unwrap();
    assert!(matches!(error, ServeError::AddressInUse(_)));
    assert!(error.to_string().contains("COATCHECK_LISTEN"));
}
