//! Requests over bare sockets, as cheap as can be: the driver shares its machine with what it
//! measures, and `coatcheck load` only submits and follows.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, de::IgnoredAny};
use time::OffsetDateTime;

use crate::{Result, interrupt};

/// How long one answer may take.
const LIMIT: Duration = Duration::from_secs(10);
/// How long all jobs together may take to be run.
const DRAINING: Duration = Duration::from_secs(120);
/// As many connections as `coatcheck load` uses, on as many threads as the machine has cores.
const THREADS: usize = 2;
const CONNECTIONS_A_THREAD: usize = 32;
/// As many jobs as one batch takes.
const BATCH: usize = 1_000;

/// One connection.
pub(crate) struct Connection {
    reader: BufReader<TcpStream>,
    address: SocketAddr,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, LIMIT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LIMIT))?;
        Ok(Self {
            reader: BufReader::new(stream),
            address,
        })
    }

    /// A request and its answer.
    pub(crate) fn exchange(&mut self, method: &str, path: &str, body: &str) -> Result<Answer> {
        let request = request(self.address, method, path, body);
        self.send(request.as_bytes())?;
        self.receive()
    }

    /// A job, once it has come to its end.
    fn wait_for(&mut self, path: &str) -> Result<Answer> {
        let address = self.address;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nPrefer: wait=10\r\n\r\n");
        self.send(request.as_bytes())?;
        self.receive()
    }

    fn send(&mut self, request: &[u8]) -> Result<()> {
        Ok(self.reader.get_mut().write_all(request)?)
    }

    fn receive(&mut self) -> Result<Answer> {
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        let status = line.split(' ').nth(1).ok_or("the answer has no status")?;
        let status = status.parse()?;
        let mut length = 0;
        loop {
            line.clear();
            self.reader.read_line(&mut line)?;
            let field = line.trim_end();
            if field.is_empty() {
                break;
            }
            if let Some((name, value)) = field.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body)?;
        Ok(Answer { status, body })
    }
}

fn request(address: SocketAddr, method: &str, path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
}

/// How long each of a number of equal requests took.
pub(crate) struct Answered {
    /// In the order of their length.
    pub(crate) latencies: Vec<Duration>,
    took: Duration,
}

impl Answered {
    /// How many there were in a second.
    pub(crate) fn per_second(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 requests")]
        let count = self.latencies.len() as f64;
        count / self.took.as_secs_f64()
    }

    /// The latency that so many hundredths of them kept, in milliseconds.
    pub(crate) fn quantile_ms(&self, hundredths: usize) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let latency = self.latencies.get(last * hundredths / 100);
        latency.copied().unwrap_or_default().as_secs_f64() * 1_000.0
    }
}

/// Asks the same on every connection again and again, each time to be answered with this status.
pub(crate) fn hammer(
    address: SocketAddr,
    [method, path, body]: [&str; 3],
    status: u16,
    duration: Duration,
) -> Result<Answered> {
    let request = request(address, method, path, body);
    let begun = Instant::now();
    let latencies = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| scope.spawn(|| keep_asking(address, &request, status, begun + duration)))
            .collect();
        let mut latencies = Vec::new();
        for thread in threads {
            latencies.extend(thread.join().map_err(|_| "a driver's thread panicked")??);
        }
        latencies.sort_unstable();
        Result::Ok(latencies)
    })?;
    Ok(Answered {
        latencies,
        took: begun.elapsed(),
    })
}

/// Each round asks on every connection and then reads every answer.
fn keep_asking(
    address: SocketAddr,
    request: &str,
    status: u16,
    end: Instant,
) -> Result<Vec<Duration>> {
    let mut connections = (0..CONNECTIONS_A_THREAD)
        .map(|_| Connection::open(address))
        .collect::<Result<Vec<_>>>()?;
    let mut latencies = Vec::new();
    while Instant::now() < end {
        let mut sent = Vec::with_capacity(connections.len());
        for connection in &mut connections {
            sent.push(Instant::now());
            connection.send(request.as_bytes())?;
        }
        for (connection, sent) in connections.iter_mut().zip(sent) {
            let got = connection.receive()?.status;
            if got != status {
                return Err(format!("a request was answered {got}, not {status}").into());
            }
            latencies.push(sent.elapsed());
        }
    }
    Ok(latencies)
}

/// The median time of one GET after another, in milliseconds.
pub(crate) fn median_get(address: SocketAddr, path: &str, times: usize) -> Result<f64> {
    let mut connection = Connection::open(address)?;
    let mut took = Vec::with_capacity(times);
    for _ in 0..times {
        let begun = Instant::now();
        let status = connection.exchange("GET", path, "")?.status;
        if !matches!(status, 200 | 206) {
            return Err(format!("GET {path} was answered {status}").into());
        }
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    Ok(took[times / 2].as_secs_f64() * 1_000.0)
}

#[expect(clippy::disallowed_methods, reason = "nothing here is async")]
fn pause(duration: Duration) {
    thread::sleep(duration);
}

#[derive(Deserialize)]
struct Page {
    items: Vec<IgnoredAny>,
}

/// Waits until no job waits or runs.
pub(crate) fn drain(address: SocketAddr) -> Result<()> {
    let mut connection = Connection::open(address)?;
    let until = Instant::now() + DRAINING;
    while Instant::now() < until {
        let path = "/v1/jobs?state=queued,running,scheduled&limit=1";
        let answer = connection.exchange("GET", path, "")?;
        if serde_json::from_slice::<Page>(&answer.body)?
            .items
            .is_empty()
        {
            return Ok(());
        }
        pause(Duration::from_millis(100));
    }
    Err("the jobs were not run in time".into())
}

#[derive(Deserialize)]
struct Job {
    id: String,
    state: String,
    #[serde(default, with = "time::serde::rfc3339::option")]
    finished_at: Option<OffsetDateTime>,
}

/// From the end of a handler until its client, who has waited for it, is told: of so many jobs, one
/// after another. The database and the driver go by the same clock here.
pub(crate) fn wake_ups(address: SocketAddr, jobs: usize) -> Result<Answered> {
    let mut connection = Connection::open(address)?;
    // Long enough for the client to be waiting by then.
    let submission = r#"{"kind": "sleep", "payload": {"ms": 20}}"#;
    let begun = Instant::now();
    let mut latencies = Vec::with_capacity(jobs);
    for _ in 0..jobs {
        let answer = connection.exchange("POST", "/v1/jobs", submission)?;
        let job: Job = serde_json::from_slice(&answer.body)?;
        let answer = connection.wait_for(&format!("/v1/jobs/{}", job.id))?;
        let told_at = wall_clock();
        let job: Job = serde_json::from_slice(&answer.body)?;
        let finished_at = job.finished_at.ok_or("a job was answered before its end")?;
        latencies.push((told_at - finished_at).unsigned_abs());
    }
    latencies.sort_unstable();
    Ok(Answered {
        latencies,
        took: begun.elapsed(),
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "it is held against the time of another process"
)]
fn wall_clock() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

/// Submits a job and waits for its end; its path.
pub(crate) fn finished_job(address: SocketAddr) -> Result<String> {
    let mut connection = Connection::open(address)?;
    let submission = r#"{"kind": "sleep", "payload": {"ms": 0}}"#;
    let answer = connection.exchange("POST", "/v1/jobs", submission)?;
    let job: Job = serde_json::from_slice(&answer.body)?;
    let path = format!("/v1/jobs/{}", job.id);
    let until = Instant::now() + LIMIT;
    while Instant::now() < until {
        let answer = connection.exchange("GET", &path, "")?;
        let job: Job = serde_json::from_slice(&answer.body)?;
        if job.state == "succeeded" {
            return Ok(path);
        }
        pause(Duration::from_millis(10));
    }
    Err("a job of no work did not succeed in time".into())
}

/// Has so many jobs wait in a queue.
pub(crate) fn fill(address: SocketAddr, queue: &str, jobs: usize) -> Result<()> {
    let job = format!(r#"{{"kind":"sleep","payload":{{"ms":0}},"queue":"{queue}"}}"#);
    let batch = format!(r#"{{"jobs":[{}]}}"#, vec![job.as_str(); BATCH].join(","));
    let batches = jobs.div_ceil(BATCH);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|number| batches / THREADS + usize::from(number < batches % THREADS))
            .map(|share| (share, &batch))
            .map(|(share, batch)| scope.spawn(move || submit_batches(address, batch, share)))
            .collect();
        for thread in threads {
            thread.join().map_err(|_| "a driver's thread panicked")??;
        }
        Result::Ok(())
    })
}

fn submit_batches(address: SocketAddr, batch: &str, times: usize) -> Result<()> {
    let mut connection = Connection::open(address)?;
    for _ in 0..times {
        interrupt::check()?;
        let answer = connection.exchange("POST", "/v1/jobs/batch", batch)?;
        if answer.status != 202 {
            let said = String::from_utf8_lossy(&answer.body);
            return Err(format!("a batch was answered {}: {said}", answer.status).into());
        }
    }
    Ok(())
}
