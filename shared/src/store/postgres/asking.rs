//! How every question is asked: within the deadline, and once more over another connection.

use std::{future::Future, pin::pin, time::Duration};

use super::given_up::GivenUp;
use crate::store::{StoreError, deadline};

/// The rules of asking.
#[derive(Clone)]
pub(super) struct Asking {
    pub(super) deadline: Duration,
    pub(super) given_up: GivenUp,
}

impl Asking {
    /// Asks within the deadline, and once more where the connection turns out to be dead. Every
    /// verb of the store may be asked twice: see there.
    pub(super) async fn within<Asked, T>(
        &self,
        operation: &'static str,
        ask: impl Fn() -> Asked + Send,
    ) -> Result<T, StoreError>
    where
        Asked: Future<Output = Result<T, StoreError>> + Send,
    {
        deadline::within(self.deadline, operation, async {
            let mut answer = pin!(async {
                match ask().await {
                    Err(error) if error.is_unavailable() => ask().await,
                    answer => answer,
                }
            });
            // After what it is about, so that it is dropped before the connection is.
            let question = self.given_up.question();
            let answer = answer.as_mut().await;
            question.answered();
            answer
        })
        .await
    }
}
