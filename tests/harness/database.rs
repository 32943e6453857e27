//! A database of one's own on a Postgres that others use too.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::{
    Result,
    servers::{DATABASE_VARIABLE, Postgres, postgres},
};

/// An empty database, on the server that the environment names or else on a private one. Gone
/// when dropped.
#[derive(Debug)]
pub struct Database {
    name: String,
    url: String,
    server_url: String,
    /// Where it has one to itself.
    server: Option<Postgres>,
}

impl Database {
    /// Makes it.
    ///
    /// # Errors
    /// Where there is no server, or it refuses.
    pub async fn create(name: &str) -> Result<Self> {
        let (server_url, server) = match std::env::var(DATABASE_VARIABLE) {
            Ok(url) => (url, None),
            Err(_) => {
                let server = postgres::Postgres::start()?;
                (server.url(), Some(server))
            }
        };
        execute(&server_url, format!("CREATE DATABASE \"{name}\"")).await?;
        Ok(Self {
            name: name.to_owned(),
            url: with_database(&server_url, name)?,
            server_url,
            server,
        })
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if self.server.is_some() {
            return;
        }
        let statement = format!("DROP DATABASE \"{}\" WITH (FORCE)", self.name);
        let server_url = self.server_url.clone();
        // A thread of its own: a runtime cannot be started inside that of the test.
        let dropping = std::thread::spawn(move || -> Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(execute(&server_url, statement))
        });
        // The test has its outcome; what is left behind on the server does not change it.
        drop(dropping.join());
    }
}

async fn execute(server_url: &str, statement: String) -> Result<()> {
    let mut connection = PgConnection::connect(server_url).await?;
    connection.execute(AssertSqlSafe(statement)).await?;
    connection.close().await?;
    Ok(())
}

/// The URL with another database.
fn with_database(url: &str, name: &str) -> Result<String> {
    let (address, options) = match url.split_once('?') {
        Some((address, options)) => (address, format!("?{options}")),
        None => (url, String::new()),
    };
    let host_begins = address.find("://").ok_or("the URL has no scheme")? + 3;
    let host_ends = address[host_begins..]
        .find('/')
        .map_or(address.len(), |slash| host_begins + slash);
    Ok(format!("{}/{name}{options}", &address[..host_ends]))
}

#[cfg(test)]
mod tests {
    use super::with_database;

    #[test]
    fn the_database_of_a_url_is_replaced_and_the_rest_kept() {
        for (url, expected) in [
            ("postgres://me@host:1/postgres", "postgres://me@host:1/new"),
            ("postgres://host", "postgres://host/new"),
            (
                "postgres://host/a?sslmode=off",
                "postgres://host/new?sslmode=off",
            ),
        ] {
            assert_eq!(with_database(url, "new").unwrap(), expected);
        }
    }
}
