//! Every question to a database has a deadline and is measured.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use super::StoreError;

/// The answer, or [`StoreError::Unavailable`] where it does not come in time.
pub(super) async fn within<T>(
    deadline: Duration,
    operation: &'static str,
    answer: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let asked = Instant::now();
    let answer = tokio::time::timeout(deadline, answer)
        .await
        .unwrap_or_else(|_| Err(StoreError::timed_out()));
    metrics::histogram!("coatcheck_store_seconds", "operation" => operation)
        .record(asked.elapsed().as_secs_f64());
    if answer.is_err() {
        metrics::counter!("coatcheck_store_errors_total", "operation" => operation).increment(1);
    }
    answer
}
