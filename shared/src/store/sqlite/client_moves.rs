//! The cold moves that a client asks for: cancel, retry, delete, of one job and of many.

use rusqlite::{Connection, params};

use super::{
    ids_as_json, moves,
    statement::{row, rows},
};
use crate::{
    job::{Job, JobId, State, Tenant},
    store::{
        StoreError,
        moves::{Locked, LockedRow, Moved, decide, locked_columns},
        rows::{JobRow, all},
        sql,
    },
};

/// Which of a tenant's jobs are meant.
pub(super) struct Selection {
    pub(super) tenant: Tenant,
    pub(super) ids: Vec<JobId>,
    /// None: in whichever state they are.
    pub(super) states: Option<Vec<State>>,
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

    /// Those that are there. The transaction is the only writer: nothing moves them.
    pub(super) fn find(&self, connection: &Connection) -> Result<Vec<Locked>, StoreError> {
        let found = rows(
            connection,
            concat!(
                "SELECT ",
                locked_columns!(),
                " FROM jobs AS job WHERE job.tenant = $1 \
                 AND job.id IN (SELECT unhex(value) FROM json_each($2))"
            ),
            &[&self.tenant.as_str(), &ids_as_json(&self.ids)],
            |row| LockedRow::try_from(row),
        )?;
        let mut locked: Vec<Locked> = all(found)?;
        if let Some(states) = &self.states {
            locked.retain(|job| states.contains(&job.lifecycle.state));
        }
        Ok(locked)
    }

    /// Moves them, each as it is decided.
    pub(super) fn move_each(
        &self,
        connection: &Connection,
        decide_one: impl Fn(&Locked) -> Option<Moved>,
    ) -> Result<Vec<Moved>, StoreError> {
        let moves = decide(&self.find(connection)?, decide_one);
        moves::write(connection, &moves)?;
        Ok(moves)
    }

    /// The first of them, as it is now.
    pub(super) fn first(&self, connection: &Connection) -> Result<Option<Job>, StoreError> {
        let Some(id) = self.ids.first() else {
            return Ok(None);
        };
        let one = params![self.tenant.as_str(), id.as_uuid()];
        let found = row(connection, sql::GET, one, |row| JobRow::try_from(row))?;
        found.map(Job::try_from).transpose()
    }
}
