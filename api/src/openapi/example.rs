//! What the examples of the document show. A test holds each against its schema.

use serde_json::{Value, json};

/// The id of the job of all examples.
pub(crate) const JOB_ID: &str = "01a207ea-1005-727f-9ea3-03ceb4637141";

/// Its URL.
pub(crate) const JOB_PATH: &str = "/v1/jobs/01a207ea-1005-727f-9ea3-03ceb4637141";

/// The id of the request of all examples.
pub(crate) const REQUEST_ID: &str = "aab3b87a56f7cb27-0";

/// The least that `POST /v1/jobs` takes.
pub(crate) fn submission() -> Value {
    json!({"kind": "sleep", "payload": {"ms": 30}})
}

/// A submission that says what it can.
pub(crate) fn full_submission() -> Value {
    json!({
        "kind": "sleep",
        "payload": {"ms": 10},
        "queue": "reports",
        "priority": "high",
        "delay_s": 1,
        "max_attempts": 5,
        "timeout_s": 60,
        "start_within_s": 3_600,
        "deadline_s": 7_200,
        "retain_s": 86_400,
        "metadata": {"customer": "42"},
        "unique": {"key": "report-42", "mode": "window", "window_s": 600},
    })
}

/// A job that waits.
pub(crate) fn queued_job() -> Value {
    json!({
        "id": JOB_ID,
        "kind": "sleep",
        "queue": "default",
        "state": "queued",
        "priority": "normal",
        "attempt": 0,
        "max_attempts": 3,
        "created_at": "2026-11-23T10:18:29.765187Z",
        "run_at": "2026-11-23T10:18:29.765187Z",
        "started_at": null,
        "finished_at": null,
        "expires_at": null,
        "progress": null,
        "error": null,
        "metadata": {},
        "links": {
            "self": JOB_PATH,
            "result": format!("{JOB_PATH}/result"),
            "events": format!("{JOB_PATH}/events"),
            "cancel": format!("{JOB_PATH}/cancel"),
            "retry": format!("{JOB_PATH}/retry"),
        },
    })
}

/// The same job while it runs.
pub(crate) fn running_job() -> Value {
    job_with(&json!({
        "state": "running",
        "attempt": 1,
        "started_at": "2026-11-23T10:18:29.766591Z",
        "progress": {"percent": 50.0, "message": null},
    }))
}

/// The same job once it has succeeded.
pub(crate) fn succeeded_job() -> Value {
    job_with(&json!({
        "state": "succeeded",
        "attempt": 1,
        "started_at": "2026-11-23T10:18:29.766591Z",
        "finished_at": "2026-11-23T10:18:32.769092Z",
        "expires_at": "2026-11-30T10:18:32.769092Z",
        "progress": {"percent": 100.0, "message": null},
    }))
}

/// The same job once it has been called off.
pub(crate) fn cancelled_job() -> Value {
    job_with(&json!({
        "state": "cancelled",
        "finished_at": "2026-11-23T10:18:30.448392Z",
        "expires_at": "2026-11-30T10:18:30.448392Z",
    }))
}

fn job_with(changes: &Value) -> Value {
    let mut job = queued_job();
    for (name, value) in changes.as_object().into_iter().flatten() {
        job[name] = value.clone();
    }
    job
}

/// A problem.
pub(crate) fn problem() -> Value {
    json!({
        "type": "/problems/job-exists",
        "title": "Another job holds this unique key",
        "status": 409,
        "detail": "Another job holds this unique key: see `existing_job`.",
        "instance": REQUEST_ID,
        "existing_job": JOB_PATH,
    })
}
