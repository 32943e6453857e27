//! One trace from the caller's request to the outbound call of its job, as a collector gets it.

use std::time::{Duration, Instant};

use coatcheck_tests::{
    client::{Answer, Client},
    deployment::{Mode, Plan},
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    trace::v1::{Span, span::SpanKind},
};
use prost::Message;
use serde_json::{Value, json};

use crate::{in_both_modes, stub::Stub};

const SOON: Duration = Duration::from_secs(20);

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

in_both_modes!(
    a_request_its_wait_its_run_and_its_call_are_one_trace,
    what_the_caller_does_not_sample_is_not_sent,
);

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The spans of a trace that have been sent so far.
fn spans_of(collector: &Stub, trace: &str) -> Vec<Span> {
    let received = collector.received();
    let spans = received.iter().flat_map(|request| {
        assert!(request.head.starts_with("POST /v1/traces "), "{request:?}");
        let export = ExportTraceServiceRequest::decode(&*request.body).unwrap();
        let scopes = export.resource_spans.into_iter().flat_map(|resource| {
            let named = resource.resource.iter().flat_map(|it| &it.attributes);
            let mut named = named.map(|attribute| attribute.key.as_str());
            assert!(named.any(|key| key == "service.name"));
            resource.scope_spans
        });
        scopes.flat_map(|scope| scope.spans).collect::<Vec<_>>()
    });
    spans.filter(|span| hex(&span.trace_id) == trace).collect()
}

async fn submit(client: &Client, traceparent: &str, target: &Stub) -> String {
    let job = json!({"kind": "http", "payload": {"method": "GET", "url": format!("http://{}/", target.address)}});
    let request = client
        .request(reqwest::Method::POST, "/v1/jobs")
        .header("content-type", "application/json")
        .header("traceparent", traceparent)
        .body(job.to_string());
    let answer: Answer = client.send(request).await.unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
    let body: Value = answer.json();
    body["id"].as_str().unwrap().to_owned()
}

fn plan(mode: Mode, collector: &Stub) -> Plan {
    Plan::new(mode)
        .set("COATCHECK_HTTP__ALLOW_PRIVATE", "true")
        .set(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            format!("http://{}", collector.address),
        )
}

/// Waits for the four spans of a trace, in order of their parents.
async fn chain(collector: &Stub, trace: &str, caller: &str) -> [Span; 4] {
    let began = Instant::now();
    loop {
        let spans = spans_of(collector, trace);
        let mut chain = Vec::new();
        let mut parent = caller.to_owned();
        while let Some(span) = spans
            .iter()
            .find(|span| hex(&span.parent_span_id) == parent)
        {
            parent = hex(&span.span_id);
            chain.push(span.clone());
        }
        if let Ok(four) = chain.try_into() {
            return four;
        }
        assert!(began.elapsed() < SOON, "{spans:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn a_request_its_wait_its_run_and_its_call_are_one_trace(mode: Mode) {
    let collector = Stub::answering("").await;
    let target = Stub::answering("done").await;
    let deployment = plan(mode, &collector).start().await.unwrap();
    let client = deployment.client().unwrap();
    let id = submit(&client, &format!("00-{TRACE}-{CALLER}-01"), &target).await;
    client.result(&id, SOON).await.unwrap();

    let [request, wait, run, call] = chain(&collector, TRACE, CALLER).await;
    let told = [&request, &wait, &run, &call].map(|span| (span.name.as_str(), span.kind()));
    assert_eq!(
        told,
        [
            ("POST /v1/jobs", SpanKind::Server),
            ("wait in queue", SpanKind::Producer),
            ("run http", SpanKind::Consumer),
            ("GET", SpanKind::Client),
        ]
    );
    assert!(wait.start_time_unix_nano <= wait.end_time_unix_nano);
    assert!(wait.end_time_unix_nano <= run.start_time_unix_nano);
    assert!(run.start_time_unix_nano <= call.start_time_unix_nano);
    assert!(call.end_time_unix_nano <= run.end_time_unix_nano);
    let passed_on = target.received()[0]
        .header("traceparent")
        .map(str::to_owned);
    let expected = format!("00-{TRACE}-{}-01", hex(&call.span_id));
    assert_eq!(passed_on, Some(expected));
}

async fn what_the_caller_does_not_sample_is_not_sent(mode: Mode) {
    let collector = Stub::answering("").await;
    let target = Stub::answering("done").await;
    let deployment = plan(mode, &collector).start().await.unwrap();
    let client = deployment.client().unwrap();
    let unsampled = "11111111111111111111111111111111";
    let id = submit(&client, &format!("00-{unsampled}-{CALLER}-00"), &target).await;
    client.result(&id, SOON).await.unwrap();
    let passed_on = target.received()[0]
        .header("traceparent")
        .map(str::to_owned);
    let passed_on = passed_on.unwrap();
    assert!(
        passed_on.starts_with(&format!("00-{unsampled}-")) && passed_on.ends_with("-00"),
        "{passed_on}"
    );
    // What was sent later is there: so what is not there has not been sent.
    let id = submit(&client, &format!("00-{TRACE}-{CALLER}-01"), &target).await;
    client.result(&id, SOON).await.unwrap();
    chain(&collector, TRACE, CALLER).await;
    assert_eq!(spans_of(&collector, unsampled), []);
}
