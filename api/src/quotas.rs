//! How many unfinished jobs each tenant may have, so that one of them cannot take the whole server.
//!
//! The count is an estimate: several API processes may together let in a few more than that.

use std::{
    ops::RangeInclusive,
    time::{Duration, Instant},
};

use actix_web::HttpRequest;
use coatcheck_shared::{backend::Backend, job::Tenant};

use crate::{
    estimates::Estimates,
    problem::{Problem, ProblemType},
    rate_limit::{self, Policy},
    retry_after,
};

/// A look holds for so many times as long as it took: however slow it is, the database spends
/// little of its time on it.
const REST_AFTER_LOOK: u32 = 20;

/// The quotas of all tenants; nothing where there is none.
pub(crate) struct Quotas(Option<Quota>);

struct Quota {
    unfinished: Estimates<Tenant>,
    most: u64,
}

impl Quotas {
    /// So many unfinished jobs a tenant; as many as they like for 0.
    pub(crate) fn new(backend: &Backend, most: u32) -> Self {
        if most == 0 {
            return Self(None);
        }
        let (store, most) = (backend.store.clone(), u64::from(most));
        let unfinished = Estimates::new(most, move |tenant: Tenant| {
            let store = store.clone();
            async move {
                let began = Instant::now();
                let count = store.count_unfinished(&tenant, most).await.ok()?;
                Some((count, began.elapsed() * REST_AFTER_LOOK))
            }
        });
        Self(Some(Quota { unfinished, most }))
    }

    /// Counts new jobs of a tenant in, and has the answer say how many more there may be.
    ///
    /// # Errors
    /// Where they are too many.
    pub(crate) async fn admit(
        &self,
        request: &HttpRequest,
        tenant: &Tenant,
        jobs: u64,
    ) -> Result<(), Problem> {
        let admitted = self.admit_some(request, tenant, jobs..=jobs).await;
        admitted.map(drop)
    }

    /// Counts in as many of these jobs as there may be, and has the answer say how many more.
    ///
    /// # Errors
    /// Where there may be none, or fewer than the least that are wanted.
    pub(crate) async fn admit_some(
        &self,
        request: &HttpRequest,
        tenant: &Tenant,
        wanted: RangeInclusive<u64>,
    ) -> Result<u64, Problem> {
        let all = *wanted.end();
        let Some(quota) = &self.0 else {
            return Ok(all);
        };
        let (admitted, unfinished) = quota.unfinished.admit_some(tenant, wanted).await;
        let pause = quota.say(request, unfinished);
        if admitted == 0 && all > 0 {
            return Err(quota.exceeded(pause));
        }
        Ok(admitted)
    }

    /// Counts those out again that were counted in and have come to nothing.
    pub(crate) fn give_back(&self, tenant: &Tenant, jobs: u64) {
        if let Some(quota) = &self.0 {
            quota.unfinished.give_back(tenant, jobs);
        }
    }

    /// Whether there is a quota.
    pub(crate) fn are_set(&self) -> bool {
        self.0.is_some()
    }
}

impl Quota {
    /// Has the answer say how many more there may be, and gives after how many seconds there may be
    /// more again.
    fn say(&self, request: &HttpRequest, unfinished: u64) -> u64 {
        let pause = retry_after::for_waiting(unfinished);
        rate_limit::say(
            request,
            Policy {
                name: "unfinished-jobs",
                allowance: format!("q={};qu=\"jobs\"", self.most),
                left: self.most.saturating_sub(unfinished),
                until: Duration::from_secs(pause),
            },
        );
        pause
    }

    fn exceeded(&self, pause: u64) -> Problem {
        Problem::new(
            ProblemType::QuotaExceeded,
            format!(
                "A tenant may have {} unfinished jobs. Nothing was stored.",
                self.most
            ),
        )
        .retry_after(pause)
    }
}
