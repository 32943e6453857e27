//! `coatcheck health`: is the process beside this one ready? For health checks that can run a
//! program and have no HTTP client.

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use bytes::Bytes;
use clap::{Args, ValueEnum};
use coatcheck_shared::settings::{self, Settings};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, client::conn::http1::handshake, header::HOST};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use crate::failure::Failure;

/// How long the answer may take: longer than a process may take over its own checks.
const LIMIT: Duration = Duration::from_secs(4);
/// More than any answer about health has.
const LARGEST_ANSWER_BYTES: usize = 16 * 1024;

/// The arguments of `coatcheck health`.
#[derive(Debug, Args)]
pub(crate) struct HealthArguments {
    /// Which process is meant, where both may run here [whichever listens, the API first].
    role: Option<Listener>,
}

/// A role that answers `/readyz`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Listener {
    Api,
    Worker,
}

impl Listener {
    /// Where it is asked: who listens on every address is here, too.
    fn address(self, settings: &Settings) -> SocketAddr {
        let mut address = match self {
            Self::Api => settings.listen,
            Self::Worker => settings.worker.listen,
        };
        if address.ip().is_unspecified() {
            address.set_ip(match address.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        address
    }
}

/// Asks; status 0 where it is ready, else 1, and what it said.
///
/// # Errors
/// Where it is not ready or nobody listens.
pub(crate) fn run(arguments: &HealthArguments) -> Result<ExitCode, Failure> {
    let settings = settings::load().map_err(Failure::error)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::error(format!("no runtime: {error}")))?;
    let said = runtime.block_on(async {
        timeout(LIMIT, ask(arguments.role, &settings))
            .await
            .map_err(|_| Failure::error(format!("no answer within {} s", LIMIT.as_secs())))?
    })?;
    // The status is the answer; nobody has to read this.
    drop(writeln!(std::io::stdout(), "{said}"));
    Ok(ExitCode::SUCCESS)
}

async fn ask(role: Option<Listener>, settings: &Settings) -> Result<String, Failure> {
    let roles = role.map_or_else(|| vec![Listener::Api, Listener::Worker], |role| vec![role]);
    let mut tried = Vec::new();
    for address in roles.iter().map(|role| role.address(settings)) {
        match TcpStream::connect(address).await {
            Ok(stream) => return answer(stream, address).await,
            Err(error) => tried.push(format!("{address}: {error}")),
        }
    }
    Err(Failure::error(format!(
        "nobody listens: {}",
        tried.join("; ")
    )))
}

/// What a listener says of itself, an error where it is not 200.
async fn answer(stream: TcpStream, address: SocketAddr) -> Result<String, Failure> {
    let broken = |error: &dyn std::error::Error| Failure::caused_by(&address.to_string(), error);
    let (mut sender, connection) = handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(&error))?;
    // What breaks it is told to whoever waits for the answer.
    tokio::spawn(async move { drop(connection.await) });
    let request = Request::get("/readyz")
        .header(HOST, address.to_string())
        .body(Empty::<Bytes>::new())
        .map_err(|error| broken(&error))?;
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| broken(&error))?;
    let status = response.status();
    let body = Limited::new(response.into_body(), LARGEST_ANSWER_BYTES);
    let body = body
        .collect()
        .await
        .map_err(|error| broken(&*error))?
        .to_bytes();
    let said = format!("{address}: {status} {}", String::from_utf8_lossy(&body));
    if status == StatusCode::OK {
        Ok(said)
    } else {
        Err(Failure::error(said))
    }
}

#[cfg(test)]
mod tests {
    use coatcheck_shared::settings::load_from;

    use super::*;

    #[test]
    fn who_listens_everywhere_is_asked_here() {
        for (listen, asked) in [
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:8080", "[::1]:8080"),
            ("192.0.2.7:80", "192.0.2.7:80"),
        ] {
            let text = format!("listen = \"{listen}\"\nauth.mode = \"open\"");
            let settings = load_from(&text).unwrap();
            assert_eq!(Listener::Api.address(&settings).to_string(), asked);
        }
    }
}
