//! Which jobs a client's move is about: cancel, retry, delete, of one job and of many.

use super::{
    StoreError,
    moves::{Locked, LockedRow},
    rows::all,
};
use crate::job::{JobId, State, Tenant};

/// Some of a tenant's jobs.
pub(super) struct Selection {
    pub(super) tenant: Tenant,
    pub(super) ids: Vec<JobId>,
    /// None: in whichever state they are.
    states: Option<Vec<State>>,
}

impl Selection {
    pub(super) fn one(tenant: &Tenant, id: JobId) -> Self {
        Self {
            tenant: tenant.clone(),
            ids: vec![id],
            states: None,
        }
    }

    pub(super) fn of(tenant: &Tenant, ids: &[JobId], states: &[State]) -> Self {
        Self {
            tenant: tenant.clone(),
            ids: ids.to_vec(),
            states: Some(states.to_vec()),
        }
    }

    /// Those of its jobs that are in the right state, now that nothing can move them.
    pub(super) fn among(&self, rows: Vec<LockedRow>) -> Result<Vec<Locked>, StoreError> {
        let mut locked: Vec<Locked> = all(rows)?;
        if let Some(states) = &self.states {
            locked.retain(|job| states.contains(&job.lifecycle.state));
        }
        Ok(locked)
    }
}
