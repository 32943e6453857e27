//! Fetching a result: as a stream, taken up again where it broke off.

use std::{
    io::{self, IsTerminal, Write},
    os::fd::AsFd,
    path::Path,
    time::Duration,
};

use reqwest::{
    Response, StatusCode,
    header::{CONTENT_TYPE, ETAG},
};
use tokio::{
    fs::File,
    io::{AsyncWrite, AsyncWriteExt},
};

use super::{
    api::{Api, Call},
    output::unwritable,
    problem,
};
use crate::failure::{Failure, UNAVAILABLE};

/// How often a stream that breaks off without bringing anything is taken up again.
const MOST_BREAKS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);
/// The status that the target of an `http` job answered with.
const RESULT_STATUS: &str = "coatcheck-result-status";
/// Marks an answer as a result, whatever its status.
const RESULT_OF: &str = "coatcheck-job";
/// More than any problem has.
const LARGEST_PROBLEM_BYTES: usize = 1024 * 1024;

/// Writes a job's result to a file or to stdout, without holding it in memory.
pub(super) async fn fetch(api: &Api, id: &str, to_file: Option<&Path>) -> Result<(), Failure> {
    let response = start(api, id).await?;
    tell(&response);
    match to_file {
        Some(path) => {
            let failure = |error: io::Error| {
                Failure::error(format!("{} cannot be written: {error}", path.display()))
            };
            let file = File::create(path).await.map_err(failure)?;
            copy(api, id, response, file, failure).await
        }
        None => {
            let failure = |error: io::Error| unwritable(&error);
            let stdout = io::stdout().as_fd().try_clone_to_owned().map_err(failure)?;
            let stdout = File::from_std(stdout.into());
            copy(api, id, response, stdout, failure).await
        }
    }
}

async fn start(api: &Api, id: &str) -> Result<Response, Failure> {
    let response = api.send(&Call::get([id, "result"])).await?;
    if response.status().is_success() || response.headers().contains_key(RESULT_OF) {
        return Ok(response);
    }
    let (status, headers) = (response.status(), response.headers().clone());
    let body = first_bytes(response)
        .await
        .map_err(|error| api.away(error))?;
    Err(problem::failure(status, &headers, &body))
}

async fn first_bytes(mut response: Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > LARGEST_PROBLEM_BYTES {
            break;
        }
    }
    Ok(body)
}

async fn copy(
    api: &Api,
    id: &str,
    mut response: Response,
    mut target: impl AsyncWrite + Unpin,
    unwritable: impl Fn(io::Error) -> Failure,
) -> Result<(), Failure> {
    let tag = response.headers().get(ETAG).cloned();
    let tag = tag.and_then(|tag| tag.to_str().map(str::to_owned).ok());
    let (mut written, mut breaks) = (0_u64, 0);
    loop {
        let error = match response.chunk().await {
            Ok(Some(chunk)) => {
                target.write_all(&chunk).await.map_err(&unwritable)?;
                written += chunk.len() as u64;
                breaks = 0;
                continue;
            }
            Ok(None) => return target.flush().await.map_err(&unwritable),
            Err(error) => error,
        };
        breaks += 1;
        let Some(tag) = tag.as_deref().filter(|_| breaks <= MOST_BREAKS) else {
            return Err(api.away(error));
        };
        tokio::time::sleep(PAUSE).await;
        response = go_on(api, id, written, tag).await?;
    }
}

/// The rest of a result, from a byte on, if it is still the same.
async fn go_on(api: &Api, id: &str, from: u64, tag: &str) -> Result<Response, Failure> {
    let call = Call::get([id, "result"])
        .with_header("range", format!("bytes={from}-"))
        .with_header("if-range", tag);
    let response = api.send(&call).await?;
    let goes_on = match response.status() {
        StatusCode::PARTIAL_CONTENT => true,
        status => from == 0 && status.is_success(),
    };
    if goes_on {
        return Ok(response);
    }
    let reason = format!("the result broke off after {from} bytes and cannot be taken up again");
    Err(Failure::new(UNAVAILABLE, reason))
}

/// What the bytes are, for a person who does not see it otherwise.
fn tell(response: &Response) {
    if !io::stderr().is_terminal() {
        return;
    }
    let header = |name: &str| response.headers().get(name)?.to_str().ok();
    let mut line = header(CONTENT_TYPE.as_str())
        .unwrap_or("unknown type")
        .to_owned();
    if let Some(length) = response.content_length() {
        line = format!("{line}, {length} bytes");
    }
    if let Some(status) = header(RESULT_STATUS) {
        line = format!("{line}, answered with status {status}");
    }
    // With stderr gone the bytes still come.
    drop(writeln!(io::stderr(), "{line}"));
}
