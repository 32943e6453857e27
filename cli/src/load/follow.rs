//! The ways to follow a job to its end.

use std::time::{Duration, Instant};

use bytes::Bytes;
use coatcheck_shared::job::State;
use hyper::{Method, StatusCode, Uri, header::HeaderValue};

use super::{
    client::{Answer, Failure, Reservation},
    events::{Event, Events},
    job::{Jobs, WAIT, WAIT_LIMIT, uri},
    patience::Patience,
    plan::Follow,
    seen::Seen,
};

/// The pause after an answer that came at once with an unfinished job.
const PAUSE: Duration = Duration::from_millis(100);
/// A long poll that ends sooner than this was cut short.
const SHORT_POLL: Duration = Duration::from_secs(1);

/// A job that is followed.
pub(super) struct Followed<'a> {
    jobs: &'a Jobs,
    part: usize,
    /// Whence its latency counts.
    since: Instant,
    accepted: Instant,
    is_started: bool,
    patience: Patience,
}

/// What a look at the job has led to.
enum Look {
    /// It is over: the job has finished, or is given up.
    Over,
    /// The job goes on.
    NotYet,
    /// It failed; the next is after this pause.
    Failed(Duration),
}

impl<'a> Followed<'a> {
    pub(super) const fn new(
        jobs: &'a Jobs,
        part: usize,
        since: Instant,
        accepted: Instant,
    ) -> Self {
        Self {
            jobs,
            part,
            since,
            accepted,
            is_started: false,
            patience: Patience::new(jobs.plan().timeout),
        }
    }

    /// Follows it as planned.
    pub(super) async fn follow(mut self, reservation: Reservation, path: &str) {
        match self.jobs.plan().follow {
            Follow::LongPoll | Follow::Submit => self.long_poll(&reservation, uri(path)).await,
            Follow::Poll { every } => {
                // A job that nobody asks about needs no connection.
                drop(reservation);
                self.poll(uri(path), every).await;
            }
            Follow::Events => self.events(&reservation, path).await,
            Follow::Not { .. } => {}
        }
    }

    /// Counts what was seen of it, and says whether that was its end.
    pub(super) fn note(&mut self, seen: &Seen) -> bool {
        if let Some(waited) = seen.waited {
            self.started(self.accepted.checked_add(waited));
        }
        if seen.state.is_terminal() {
            self.finished(seen.state);
        }
        seen.state.is_terminal()
    }

    fn started(&mut self, moment: Option<Instant>) {
        if !self.is_started {
            self.is_started = true;
            let now = Instant::now();
            let moment = moment.unwrap_or(now).min(now);
            self.jobs.measurements().started(moment);
        }
    }

    fn finished(&mut self, state: State) {
        // What ended without an attempt ran for no time.
        self.started(None);
        self.jobs
            .measurements()
            .finished(self.part, self.since, state);
    }

    async fn long_poll(&mut self, reservation: &Reservation, path: Uri) {
        loop {
            let asked = Instant::now();
            let request = self
                .jobs
                .request(Method::GET, path.clone(), Bytes::new(), Some(WAIT));
            let answer = self.jobs.exchange(reservation, request, WAIT_LIMIT).await;
            match self.look(answer) {
                Look::Over => return,
                Look::NotYet if asked.elapsed() > SHORT_POLL => {}
                Look::NotYet => tokio::time::sleep(PAUSE).await,
                Look::Failed(pause) => tokio::time::sleep(pause).await,
            }
        }
    }

    async fn poll(&mut self, path: Uri, every: Duration) {
        loop {
            tokio::time::sleep(every).await;
            let reservation = self.jobs.client().reserve().await;
            let request = self
                .jobs
                .request(Method::GET, path.clone(), Bytes::new(), None);
            let answer = self
                .jobs
                .exchange(&reservation, request, Duration::ZERO)
                .await;
            drop(reservation);
            match self.look(answer) {
                Look::Over => return,
                Look::NotYet => {}
                Look::Failed(pause) => tokio::time::sleep(pause).await,
            }
        }
    }

    fn look(&mut self, answer: Result<Answer, Failure>) -> Look {
        match answer {
            Ok(answer) if answer.status == StatusCode::OK => match Seen::in_body(&answer.body) {
                Some(seen) => {
                    self.patience.renew();
                    if self.note(&seen) {
                        Look::Over
                    } else {
                        Look::NotYet
                    }
                }
                None => self.failed(&Failure::Unreadable),
            },
            Ok(answer) => self.refused(&answer),
            Err(failure) => self.failed(&failure),
        }
    }

    fn refused(&mut self, answer: &Answer) -> Look {
        self.jobs.measurements().refused(answer);
        if answer.status == StatusCode::NOT_FOUND {
            return Look::Over;
        }
        self.lose_patience()
    }

    fn failed(&mut self, failure: &Failure) -> Look {
        self.jobs.measurements().broken(failure);
        self.lose_patience()
    }

    fn lose_patience(&mut self) -> Look {
        let pause = self.patience.lose(Instant::now());
        pause.map_or(Look::Over, Look::Failed)
    }

    async fn events(&mut self, reservation: &Reservation, path: &str) {
        let events_uri = uri(&format!("{path}/events"));
        let mut events = Events::default();
        loop {
            let look = self.read_events(reservation, &events_uri, &mut events);
            match look.await {
                // The server has told all that there is, to whoever read it.
                Ok(Look::NotYet) => return self.long_poll(reservation, uri(path)).await,
                Ok(Look::Over) => return,
                Ok(Look::Failed(pause)) => tokio::time::sleep(pause).await,
                Err(failure) => match self.failed(&failure) {
                    Look::Failed(pause) => tokio::time::sleep(pause).await,
                    Look::Over | Look::NotYet => return,
                },
            }
        }
    }

    /// Reads one stream of the job's events, from where the last one broke.
    async fn read_events(
        &mut self,
        reservation: &Reservation,
        uri: &Uri,
        events: &mut Events,
    ) -> Result<Look, Failure> {
        let mut request = self
            .jobs
            .request(Method::GET, uri.clone(), Bytes::new(), None);
        let last = events.resume().map(HeaderValue::from_str);
        if let Some(Ok(last)) = last {
            request.headers_mut().insert("last-event-id", last);
        }
        self.jobs.measurements().requests += 1;
        let mut stream = reservation.stream(request).await?;
        match stream.status {
            StatusCode::OK => {}
            StatusCode::NO_CONTENT => return Ok(Look::NotYet),
            _ => return Ok(self.refused(&stream.into_answer().await?)),
        }
        let mut is_over = false;
        loop {
            let piece = match stream.next(WAIT_LIMIT).await {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                // The job's end has been told and counted: how the stream ends is of no matter.
                Err(_) if is_over => break,
                Err(failure) => return Err(failure),
            };
            self.patience.renew();
            for event in events.of(&piece).ok_or(Failure::Unreadable)? {
                is_over = is_over || self.told(&event)?;
            }
        }
        // A stream that ends before the job does was ended by the server's own end.
        Ok(if is_over {
            Look::Over
        } else {
            self.lose_patience()
        })
    }

    /// Whether an event tells of the job's end.
    fn told(&mut self, event: &Event) -> Result<bool, Failure> {
        if event.name != "state" {
            return Ok(false);
        }
        let seen = Seen::in_body(event.data.as_bytes()).ok_or(Failure::Unreadable)?;
        if seen.state == State::Running {
            self.started(None);
        }
        Ok(self.note(&seen))
    }
}
