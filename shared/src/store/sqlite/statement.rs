//! Asking SQLite on the writer's thread.

use rusqlite::{CachedStatement, Connection, Row, ToSql};

use crate::store::StoreError;

/// The parameters of a statement, as they stand in its text. They are bound by their names: SQLite
/// counts them by where they first appear.
const NAMES: [&str; 14] = [
    "$1", "$2", "$3", "$4", "$5", "$6", "$7", "$8", "$9", "$10", "$11", "$12", "$13", "$14",
];

/// Executes a statement with `$1` and so on; how many rows it wrote.
pub(super) fn execute(
    connection: &Connection,
    statement: &str,
    parameters: &[&dyn ToSql],
) -> Result<usize, StoreError> {
    Ok(prepared(connection, statement, parameters)?.raw_execute()?)
}

/// The rows of a statement with `$1` and so on, each as it is read.
pub(super) fn rows<T>(
    connection: &Connection,
    statement: &str,
    parameters: &[&dyn ToSql],
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = prepared(connection, statement, parameters)?;
    let mut found = Vec::new();
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

/// The row of a statement that has one at most.
pub(super) fn row<T>(
    connection: &Connection,
    statement: &str,
    parameters: &[&dyn ToSql],
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>, StoreError> {
    let mut statement = prepared(connection, statement, parameters)?;
    let mut rows = statement.raw_query();
    Ok(rows.next()?.map(read).transpose()?)
}

fn prepared<'c>(
    connection: &'c Connection,
    statement: &str,
    parameters: &[&dyn ToSql],
) -> rusqlite::Result<CachedStatement<'c>> {
    let mut statement = connection.prepare_cached(statement)?;
    let (given, wanted) = (parameters.len(), statement.parameter_count());
    if given != wanted || given > NAMES.len() {
        return Err(rusqlite::Error::InvalidParameterCount(given, wanted));
    }
    for (name, value) in NAMES.into_iter().zip(parameters) {
        statement.raw_bind_parameter(name, value)?;
    }
    Ok(statement)
}

/// A statement whose parameters have no names, and are bound one after another.
pub(super) struct PositionalStatement<'c> {
    statement: CachedStatement<'c>,
    bound: usize,
}

impl<'c> PositionalStatement<'c> {
    pub(super) fn prepare(connection: &'c Connection, statement: &str) -> rusqlite::Result<Self> {
        let statement = connection.prepare_cached(statement)?;
        Ok(Self {
            statement,
            bound: 0,
        })
    }

    pub(super) fn bind(&mut self, value: impl ToSql) -> rusqlite::Result<&mut Self> {
        self.bound += 1;
        self.statement.raw_bind_parameter(self.bound, value)?;
        Ok(self)
    }

    /// How many rows it wrote.
    pub(super) fn execute(mut self) -> rusqlite::Result<usize> {
        self.statement.raw_execute()
    }

    /// Its rows, each as it is read.
    pub(super) fn for_each(
        mut self,
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let mut rows = self.statement.raw_query();
        while let Some(row) = rows.next()? {
            read(row)?;
        }
        Ok(())
    }
}
