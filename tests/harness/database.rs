//! A database of one's own on a Postgres that others use too.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::{
    Result,
    servers::{DATABASE_VARIABLE, Postgres, postgres},
};

/// An empty database, on the server that the environment names or else on a private one.
#[derive(Debug)]
pub struct Database {
    url: String,
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
        let mut connection = PgConnection::connect(&server_url).await?;
        connection
            .execute(AssertSqlSafe(format!("CREATE DATABASE \"{name}\"")))
            .await?;
        connection.close().await?;
        Ok(Self {
            url: with_database(&server_url, name)?,
            server,
        })
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether its server is shared with other tests.
    pub const fn is_shared(&self) -> bool {
        self.server.is_none()
    }
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
