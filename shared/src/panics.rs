//! Panics, of which none may leave a process half alive. A write that panics fails alone; a task that
//! goes on as long as its process ends it, for whoever runs it starts it anew.

use std::{
    future::{Future, pending},
    panic::AssertUnwindSafe,
};

use futures::FutureExt;
use tokio::task::{JoinError, JoinSet};

use crate::store::StoreError;

/// Waits until one of these tasks has panicked: for ever, where none does. One that has come to its
/// end is none any more.
pub async fn first_of(tasks: &mut JoinSet<()>) -> JoinError {
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended
            && error.is_panic()
        {
            return error;
        }
    }
    pending().await
}

/// Asks the store, so that a panic in it is an error of this question and does not end whoever asks
/// for others too.
pub(crate) async fn caught<T>(
    asked: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let answer = AssertUnwindSafe(asked).catch_unwind().await;
    answer.unwrap_or(Err(StoreError::Panicked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_task_that_panics_is_found_among_others() {
        let mut tasks = JoinSet::new();
        tasks.spawn(async {});
        tasks.spawn(pending());
        tasks.spawn(async { panic!("as it is told to") });
        assert!(first_of(&mut tasks).await.is_panic());
        assert_eq!(tasks.len(), 1, "the one that goes on");
        let none = tokio::time::timeout(std::time::Duration::from_millis(10), first_of(&mut tasks));
        assert!(none.await.is_err());
    }
}
