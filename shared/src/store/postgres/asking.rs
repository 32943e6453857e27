//! How every question is asked, but for those that may take long: within the deadline, and once more
//! over another connection.

use std::{future::Future, time::Duration};

use crate::store::{StoreError, deadline};

/// Asks within the deadline, and once more where the connection turns out to be dead. Every verb of
/// the store may be asked twice: see there.
pub(super) async fn within<Asked, T>(
    deadline: Duration,
    operation: &'static str,
    ask: impl Fn() -> Asked + Send,
) -> Result<T, StoreError>
where
    Asked: Future<Output = Result<T, StoreError>> + Send,
{
    deadline::within(deadline, operation, async {
        match ask().await {
            Err(error) if error.is_unavailable() => ask().await,
            answer => answer,
        }
    })
    .await
}
