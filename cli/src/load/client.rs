//! A bounded set of HTTP/1.1 connections, as cheap as can be: the load tester shares its
//! machine with what it measures.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::{Body, Incoming},
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::plan::Target;
use crate::failure::with_causes;

/// More than any answer about a job has.
const LARGEST_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("no answer in time")]
    Timeout,
    #[error("no connection: {0}")]
    Connect(#[source] io::Error),
    #[error("connection broken: {}", with_causes(.0))]
    Broken(#[source] hyper::Error),
    #[error("the answer could not be read")]
    Unreadable,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

type Sender = SendRequest<Full<Bytes>>;

/// The connections to one API.
pub(crate) struct Client {
    addresses: Vec<SocketAddr>,
    free: Arc<Semaphore>,
    /// Connections that nobody uses. The one used last is taken first, so a slow schedule keeps
    /// few of them and the server may close the rest.
    idle: Mutex<Vec<Sender>>,
    timeout: Duration,
}

impl Client {
    /// A client of at most so many connections, with one of them made.
    ///
    /// # Errors
    /// Where nobody listens.
    pub(crate) async fn connect(
        target: &Target,
        connections: u32,
        limit: Duration,
    ) -> Result<Arc<Self>, Failure> {
        let lookup = tokio::net::lookup_host((target.host.as_str(), target.port));
        let addresses = timeout(limit, lookup)
            .await
            .map_err(|_| Failure::Timeout)?
            .map_err(Failure::Connect)?
            .collect();
        let client = Self {
            addresses,
            free: Arc::new(Semaphore::new(connections as usize)),
            idle: Mutex::new(Vec::new()),
            timeout: limit,
        };
        let first = timeout(limit, client.open())
            .await
            .map_err(|_| Failure::Timeout)??;
        client.give_back(first);
        Ok(Arc::new(client))
    }

    /// A connection of one's own, as soon as there is one.
    pub(crate) async fn reserve(self: &Arc<Self>) -> Reservation {
        #[expect(clippy::expect_used, reason = "the semaphore is never closed")]
        let permit = Arc::clone(&self.free)
            .acquire_owned()
            .await
            .expect("an open semaphore");
        Reservation {
            client: Arc::clone(self),
            _permit: permit,
        }
    }

    /// A connection of one's own, if one is free now.
    pub(crate) fn try_reserve(self: &Arc<Self>) -> Option<Reservation> {
        let permit = Arc::clone(&self.free).try_acquire_owned().ok()?;
        Some(Reservation {
            client: Arc::clone(self),
            _permit: permit,
        })
    }

    async fn open(&self) -> Result<Sender, Failure> {
        let stream = TcpStream::connect(self.addresses.as_slice())
            .await
            .map_err(Failure::Connect)?;
        stream.set_nodelay(true).map_err(Failure::Connect)?;
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(Failure::Broken)?;
        // What breaks a connection is told to whoever waits for its answer.
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }

    async fn take(&self) -> Result<(Sender, bool), Failure> {
        loop {
            let idle = self
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop();
            let Some(mut sender) = idle else {
                return Ok((self.open().await?, true));
            };
            if sender.ready().await.is_ok() {
                return Ok((sender, false));
            }
        }
    }

    fn give_back(&self, sender: Sender) {
        if !sender.is_closed() {
            self.idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(sender);
        }
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer, Failure> {
        let (response, sender) = self.begin(request).await?;
        let (head, body) = response.into_parts();
        let body = read(body).await?;
        self.give_back(sender);
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    /// Sends a request and reads the head of its answer.
    async fn begin(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, Sender), Failure> {
        loop {
            let (mut sender, is_new) = self.take().await?;
            match sender.try_send_request(request).await {
                Ok(response) => return Ok((response, sender)),
                // An idle connection that the server closed just now: nothing of the request
                // was sent, so a second one is not a second submission.
                Err(mut error) => match error.take_message() {
                    Some(unsent) if !is_new => request = unsent,
                    _ => return Err(Failure::Broken(error.into_error())),
                },
            }
        }
    }
}

async fn read<B>(body: B) -> Result<Bytes, Failure>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    Limited::new(body, LARGEST_ANSWER_BYTES)
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .map_err(|_| Failure::Unreadable)
}

/// The right to one connection at a time.
pub(crate) struct Reservation {
    client: Arc<Client>,
    _permit: OwnedSemaphorePermit,
}

impl Reservation {
    /// One request and its answer; `extra` is how long the server was asked to wait.
    ///
    /// # Errors
    /// Where there is no whole answer in time.
    pub(crate) async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        extra: Duration,
    ) -> Result<Answer, Failure> {
        timeout(self.client.timeout + extra, self.client.send(request))
            .await
            .unwrap_or(Err(Failure::Timeout))
    }

    /// One request, whose answer comes piece by piece.
    ///
    /// # Errors
    /// Where there is no head of an answer in time.
    pub(crate) async fn stream(&self, request: Request<Full<Bytes>>) -> Result<Stream, Failure> {
        let begun = timeout(self.client.timeout, self.client.begin(request));
        let (response, sender) = begun.await.unwrap_or(Err(Failure::Timeout))?;
        let (head, body) = response.into_parts();
        Ok(Stream {
            status: head.status,
            headers: head.headers,
            body,
            sender: Some(sender),
            client: Arc::clone(&self.client),
        })
    }
}

/// An answer that comes piece by piece.
pub(crate) struct Stream {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    body: Incoming,
    sender: Option<Sender>,
    client: Arc<Client>,
}

impl Stream {
    /// The next piece; none at the end. The server may be silent for `extra` longer than an
    /// answer may take.
    ///
    /// # Errors
    /// Where nothing comes in time.
    pub(crate) async fn next(&mut self, extra: Duration) -> Result<Option<Bytes>, Failure> {
        loop {
            let frame = timeout(self.client.timeout + extra, self.body.frame())
                .await
                .map_err(|_| Failure::Timeout)?;
            match frame {
                // Trailers are no piece.
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(piece) => return Ok(Some(piece)),
                    Err(_) => continue,
                },
                Some(Err(error)) => return Err(Failure::Broken(error)),
                None => {
                    // Read to its end, the connection is free for another.
                    if let Some(sender) = self.sender.take() {
                        self.client.give_back(sender);
                    }
                    return Ok(None);
                }
            }
        }
    }

    /// All of it, as an answer.
    ///
    /// # Errors
    /// Where it does not come in time.
    pub(crate) async fn into_answer(mut self) -> Result<Answer, Failure> {
        let body = timeout(self.client.timeout, read(&mut self.body))
            .await
            .map_err(|_| Failure::Timeout)??;
        if let Some(sender) = self.sender.take() {
            self.client.give_back(sender);
        }
        Ok(Answer {
            status: self.status,
            headers: std::mem::take(&mut self.headers),
            body,
        })
    }
}
