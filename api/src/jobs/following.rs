//! Answers that go on until a job has ended: what is new of it is sent as it comes.

use std::{convert::Infallible, sync::Arc, time::Duration};

use actix_web::{HttpResponse, HttpResponseBuilder, http::header, web::Data};
use bytes::Bytes;
use coatcheck_shared::{
    job::JobId,
    store::{LogLine, StoreError},
};
use futures::stream;
use tokio::{
    sync::{OwnedSemaphorePermit, futures::OwnedNotified},
    time::{Instant, sleep},
};

use crate::{
    api::Api,
    caller::Caller,
    problem::{Problem, ProblemType},
    waiters::Waiter,
};

/// How many such answers may be under way at once.
pub(crate) const MOST_STREAMS: usize = 10_000;

/// How often a job of which no signal comes is read again.
const REREAD: Duration = Duration::from_secs(1);

/// How long a client hears nothing before it is told that the connection stands.
const LONGEST_SILENCE: Duration = Duration::from_secs(15);

/// How many lines of a log are read at a time.
pub(super) const LINES_AT_ONCE: u32 = 100;

/// How soon a client that found no room should try again, in seconds.
const RETRY_AFTER_S: u64 = 5;

/// What is sent of a job.
pub(super) trait Follower: 'static {
    /// Tells the client, in its format, that the connection stands.
    const KEEP_ALIVE: &'static str;

    /// What is new since the last look.
    async fn look(&mut self, api: &Api) -> Result<News, StoreError>;
}

/// What is new of a job.
pub(super) struct News {
    /// To be sent as it is; may be empty.
    pub(super) text: String,
    /// Whether nothing will follow.
    pub(super) is_last: bool,
}

impl News {
    /// The job is there no longer.
    pub(super) const fn none_ever() -> Self {
        Self {
            text: String::new(),
            is_last: true,
        }
    }
}

/// Whether there may be further lines beyond these.
pub(super) fn may_have_more(lines: &[LogLine]) -> bool {
    lines.len() >= LINES_AT_ONCE as usize
}

/// Adds what keeps such an answer from being held back on its way.
fn head(content_type: &str) -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CONTENT_TYPE, content_type))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header(("x-accel-buffering", "no"));
    response
}

/// The answer to HEAD: as that to GET, whose length nobody knows either.
pub(super) fn nothing(content_type: &str) -> HttpResponse {
    head(content_type).streaming(stream::empty::<Result<Bytes, Infallible>>())
}

/// An answer that goes on until the follower says that it is over, the caller's key is good no
/// longer, or the server goes.
///
/// # Errors
/// Where too many of them are under way.
pub(super) fn answer(
    api: Data<Api>,
    caller: Caller,
    job: JobId,
    content_type: &str,
    follower: impl Follower,
) -> Result<HttpResponse, Problem> {
    let permit = Arc::clone(&api.streams).try_acquire_owned().map_err(|_| {
        Problem::new(
            ProblemType::Overloaded,
            format!("The server follows {MOST_STREAMS} jobs for its clients already."),
        )
        .retry_after(RETRY_AFTER_S)
    })?;
    let following = Following {
        api,
        caller,
        job,
        follower,
        is_over: false,
        last_sent: Instant::now(),
        _permit: permit,
    };
    Ok(head(content_type).streaming(stream::unfold(following, Following::next)))
}

struct Following<F> {
    api: Data<Api>,
    caller: Caller,
    job: JobId,
    follower: F,
    is_over: bool,
    last_sent: Instant,
    _permit: OwnedSemaphorePermit,
}

impl<F: Follower> Following<F> {
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if self.is_over {
            return None;
        }
        let text = self.news().await?;
        self.last_sent = Instant::now();
        Some((Ok(text.into()), self))
    }

    /// The next thing to be sent; none where nothing follows.
    async fn news(&mut self) -> Option<String> {
        let api = self.api.clone();
        let waiter = api.waiters.join(self.job);
        while !api.draining.is_cancelled() && self.caller.is_still_good(&api) {
            // Asked for before the job is read, so that a signal in between is not missed.
            let signal = waiter.as_ref().map(Waiter::next_signal);
            match self.follower.look(&api).await {
                Ok(news) => {
                    self.is_over = news.is_last;
                    if self.is_over || !news.text.is_empty() {
                        return (!news.text.is_empty()).then_some(news.text);
                    }
                }
                Err(error) if error.is_unavailable() => {}
                Err(error) => {
                    tracing::error!(%error, job = %self.job, "a job cannot be followed");
                    return None;
                }
            }
            if self.last_sent.elapsed() >= LONGEST_SILENCE {
                return Some(F::KEEP_ALIVE.to_owned());
            }
            tokio::select! {
                () = heard(signal) => {}
                () = sleep(REREAD) => {}
                () = api.draining.cancelled() => {}
            }
        }
        None
    }
}

async fn heard(signal: Option<OwnedNotified>) {
    match signal {
        Some(signal) => signal.await,
        None => std::future::pending().await,
    }
}
