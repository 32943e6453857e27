//! The census in SQLite. No other process reads it, so it needs no table and no write.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use async_trait::async_trait;

use super::{SqliteStore, clock_now};
use crate::{
    job::Tenant,
    store::{
        StoreError,
        census::{
            Census, CensusStore, Group, GroupRow, LONGEST_COUNT, LONGEST_PAUSE, MOST_GROUPS, PAUSE,
            SHORTEST_PAUSE, count_of_groups,
        },
        deadline,
        rows::all,
    },
};

/// The last census, and when the next one may be taken.
#[derive(Default)]
pub(super) struct LastCensus(Mutex<(Census, Option<Instant>)>);

impl LastCensus {
    fn lock(&self) -> MutexGuard<'_, (Census, Option<Instant>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is the caller's turn to count. Nobody else's is until that is over.
    fn take_turn(&self) -> bool {
        let (_, due_at) = &mut *self.lock();
        let is_due = due_at.is_none_or(|due_at| Instant::now() >= due_at);
        if is_due {
            *due_at = Some(Instant::now() + LONGEST_PAUSE);
        }
        is_due
    }

    fn end_turn(&self, began: Instant, census: Census) {
        let pause = (began.elapsed() * PAUSE).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        *self.lock() = (census, Some(Instant::now() + pause));
    }
}

#[async_trait]
impl CensusStore for SqliteStore {
    async fn take_census(&self) -> Result<(), StoreError> {
        if !self.census.take_turn() {
            return Ok(());
        }
        let began = Instant::now();
        let census = deadline::within(LONGEST_COUNT, "take_census", async {
            let taken_at = Some(clock_now());
            let rows: Vec<GroupRow> =
                sqlx::query_as(count_of_groups!("jobs INDEXED BY jobs_active"))
                    .bind(MOST_GROUPS)
                    .fetch_all(&self.reader)
                    .await?;
            let groups = all(rows)?;
            Ok(Census { taken_at, groups })
        })
        .await?;
        self.census.end_turn(began, census);
        Ok(())
    }

    async fn census(&self, tenant: Option<&Tenant>) -> Result<Census, StoreError> {
        let (last, _) = &*self.census.lock();
        let is_asked_for = |group: &&Group| tenant.is_none_or(|tenant| group.tenant == *tenant);
        Ok(Census {
            taken_at: last.taken_at,
            groups: last.groups.iter().filter(is_asked_for).cloned().collect(),
        })
    }
}
