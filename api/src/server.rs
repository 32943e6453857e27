//! The server: listening, serving, and going without dropping anyone.

use std::{
    future::ready,
    io,
    net::{SocketAddr, TcpListener},
    pin::pin,
    sync::Arc,
    thread::available_parallelism,
    time::Duration,
};

use actix_http::{Extensions, HttpService, KeepAlive, error::DispatchError};
use actix_server::{GracefulShutdownSignal, Server as Listening, ServerBuilder, ServerHandle};
use actix_service::{
    IntoServiceFactory, ServiceFactory, ServiceFactoryExt, fn_service, map_config,
};
use actix_web::{App, Error, dev::AppConfig, middleware::from_fn, web::Data};
use coatcheck_shared::{
    backend::Backend, job::InvalidName, panics, settings::Settings, signal::Signals,
};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{
    net::{TcpSocket, TcpStream},
    task::{JoinError, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    api::Api,
    connection::{CheckedStream, Connections, Times},
    exchange::exchange,
    intake::{self, Announcements},
    routes::routes,
};

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 2_048;

/// How many connections beyond the limit are answered that they are.
const SPARE_CONNECTIONS: usize = 256;

/// How long a client may take to read the last answer of a connection that we close.
const CLOSING: Duration = Duration::from_secs(5);

/// How long requests that are being served may take once the server is going.
const LONGEST_DRAIN_S: u64 = 30;

/// How long what has been stored may still be announced.
const LAST_ANNOUNCEMENTS: Duration = Duration::from_secs(1);

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Someone else listens there.
    #[error(
        "{0} is in use by another program: stop that, or set COATCHECK_LISTEN to another address"
    )]
    AddressInUse(SocketAddr),
    /// The operating system does not let us listen there.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// A built-in kind has no proper name: a bug.
    #[error("a built-in kind cannot be offered: {0}")]
    Kind(#[from] InvalidName),
    /// What goes on as long as the server has ended in a panic, which the log tells of.
    #[error("a task of the server has ended by itself: {0}")]
    Panicked(#[source] JoinError),
    /// The server ended with an error.
    #[error("the server failed: {0}")]
    Failed(#[source] io::Error),
}

/// The HTTP front end, listening.
pub struct Server {
    address: SocketAddr,
    service: Listening,
    api: Data<Api>,
    announcements: Announcements,
    backend: Backend,
    last_call: Duration,
}

impl Server {
    /// Listens on `settings.listen`; connections wait until [`Server::run`]. To be called within
    /// a tokio runtime, after the recorder that `metrics` belongs to has been installed.
    ///
    /// # Errors
    /// Where it cannot listen there.
    pub fn bind(
        backend: Backend,
        settings: &Settings,
        metrics: PrometheusHandle,
    ) -> Result<Self, ServeError> {
        let (announcer, announcements) = intake::announcements();
        let api = Data::new(Api::start(backend.clone(), settings, announcer, metrics)?);
        let (address, listener) =
            listen(settings.listen).map_err(|source| listen_error(settings.listen, source))?;
        let workers = available_parallelism().map_or(1, usize::from);
        let most = settings.limits.connections;
        let service = ServerBuilder::new()
            .workers(workers)
            // Those beyond the limit are let in to be told so; those beyond these wait unanswered.
            .max_concurrent_connections((most + SPARE_CONNECTIONS).div_ceil(workers))
            .shutdown_timeout(LONGEST_DRAIN_S)
            .disable_signals();
        let stopping = service.graceful_shutdown_signal();
        let http = {
            let (api, connections) = (api.clone(), Connections::new(most));
            let times = Times {
                request: Duration::from_secs(settings.limits.request_s),
                stalled: Duration::from_secs(settings.limits.stalled_s),
            };
            let idle = Duration::from_secs(settings.limits.idle_s);
            move || {
                let (connections, stopping) = (connections.clone(), stopping.clone());
                http(api.clone(), connections, times, idle, stopping)
            }
        };
        let service = service
            .listen("http", listener, http)
            .map_err(|source| listen_error(address, source))?;
        Ok(Self {
            address,
            service: service.run(),
            api,
            announcements,
            backend,
            last_call: settings.limits.last_call(),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is cancelled, then answers everyone who waits and everything that
    /// has been accepted before it returns.
    ///
    /// # Errors
    /// Where the server ends by itself, or a task that it cannot do without.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), ServeError> {
        let mut tasks = JoinSet::new();
        tasks.spawn(follow_signals(
            self.api.clone(),
            self.backend.signals.clone(),
        ));
        tasks.spawn(keep_kinds_fresh(self.api.clone()));
        tasks.spawn(keep_keys_fresh(self.api.clone()));
        let (queue, signals) = (self.backend.queue.clone(), self.backend.signals.clone());
        let mut announcing = tokio::spawn(self.announcements.pass_on(queue, signals));

        let handle = self.service.handle();
        tasks.spawn(stop_when(
            shutdown,
            self.api.draining.clone(),
            handle.clone(),
            self.last_call,
        ));
        let mut service = pin!(self.service);
        let panicked = tokio::select! {
            served = &mut service => Ok(served),
            panicked = panics::first_of(&mut tasks) => Err(panicked),
            Err(panicked) = &mut announcing => Err(panicked),
        };
        let outcome = match panicked {
            Ok(served) => served.map_err(ServeError::Failed),
            Err(panicked) => {
                self.api.draining.cancel();
                // It stops only while it is served.
                tokio::join!(handle.stop(true), service).1.ok();
                Err(ServeError::Panicked(panicked))
            }
        };

        tasks.shutdown().await;
        drop(self.api);
        if !announcing.is_finished() && timeout(LAST_ANNOUNCEMENTS, &mut announcing).await.is_err()
        {
            announcing.abort();
        }
        outcome
    }
}

/// Stops the service when it is told to: first everyone who waits is answered and every connection
/// is told to end. During the last call more are accepted, each for one answer: a request on its way
/// is answered rather than reset. Then no more are.
async fn stop_when(
    shutdown: CancellationToken,
    draining: CancellationToken,
    handle: ServerHandle,
    last_call: Duration,
) {
    shutdown.cancelled().await;
    draining.cancel();
    tokio::time::sleep(last_call).await;
    handle.stop(true).await;
}

/// Listens; where, and on what.
fn listen(address: SocketAddr) -> io::Result<(SocketAddr, TcpListener)> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?.into_std()?;
    Ok((listener.local_addr()?, listener))
}

/// What serves a connection: the checks of its requests, the framework, the routes.
fn http(
    api: Data<Api>,
    connections: Connections,
    times: Times,
    idle: Duration,
    stopping: GracefulShutdownSignal,
) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = DispatchError, InitError = ()>
{
    let app = App::new()
        .app_data(api)
        .wrap(from_fn(exchange))
        .configure(routes)
        .into_factory()
        .map_err(|error: Error| error.error_response());
    let http = HttpService::build()
        .graceful_shutdown_signal(move || {
            let stopping = stopping.clone();
            async move { stopping.notified().await }
        })
        .keep_alive(KeepAlive::Timeout(idle))
        // The connection itself sees to it.
        .client_request_timeout(Duration::ZERO)
        .client_disconnect_timeout(CLOSING)
        .on_connect_ext(|stream: &CheckedStream, data: &mut Extensions| {
            data.insert(stream.connection());
        })
        .h1(map_config(app, |()| AppConfig::default()));
    fn_service(move |stream: TcpStream| {
        let peer = stream.peer_addr().ok();
        // Where it does not work, answers are a little later.
        let _ = stream.set_nodelay(true);
        ready(Ok((CheckedStream::new(stream, &connections, times), peer)))
    })
    .and_then(http)
}

fn listen_error(address: SocketAddr, source: io::Error) -> ServeError {
    if source.kind() == io::ErrorKind::AddrInUse {
        ServeError::AddressInUse(address)
    } else {
        ServeError::Listen { address, source }
    }
}

async fn follow_signals(api: Data<Api>, signals: Arc<dyn Signals>) {
    api.waiters.follow(&*signals).await;
}

async fn keep_kinds_fresh(api: Data<Api>) {
    api.kinds.keep_fresh().await;
}

async fn keep_keys_fresh(api: Data<Api>) {
    api.credentials.keep_fresh().await;
}
