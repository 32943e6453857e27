//! `coatcheck logs`.

use std::{process::ExitCode, time::Duration};

use clap::Args;
use coatcheck_shared::timestamp::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    EXIT_STATUS,
    api::{Api, Call, OUTAGE, PATIENCE},
    job::{self, Job},
    output::Output,
    server::Server,
};
use crate::failure::Failure;

const PAGE: u32 = 1_000;

/// The arguments of `coatcheck logs`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_STATUS)]
pub(crate) struct LogsArguments {
    /// The job: its id or its URL.
    #[arg(value_name = "ID", value_parser = job::id)]
    id: String,
    /// Go on with new lines until the job is finished. The exit status is 0 however it ends.
    #[arg(short, long)]
    follow: bool,
    /// Print each line as the JSON object that the server gives.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
    next_offset: Option<u64>,
}

#[derive(Deserialize)]
struct Line {
    attempt: u32,
    logged_at: Timestamp,
    text: String,
}

/// Shows lines.
pub(crate) fn run(arguments: &LogsArguments) -> Result<ExitCode, Failure> {
    super::run(async {
        let api = Api::new(&arguments.server)?;
        let output = Output::new(arguments.json);
        let mut offset = 0;
        show_from(&api, arguments, &output, &mut offset, PATIENCE).await?;
        let mut ended = !arguments.follow;
        while !ended {
            // The state first: what an ended job has logged is all there.
            let mut call = Call::get([&arguments.id]).with_header("prefer", "wait=1");
            call.patience = OUTAGE;
            let asked = std::time::Instant::now();
            let answer = api.ask(&call).await?;
            ended = answer.json::<Job>()?.state.is_terminal();
            show_from(&api, arguments, &output, &mut offset, OUTAGE).await?;
            if !ended && asked.elapsed() < PAUSE {
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// The pause where the server does not wait as it was asked.
const PAUSE: Duration = Duration::from_millis(500);

async fn show_from(
    api: &Api,
    arguments: &LogsArguments,
    output: &Output,
    offset: &mut u64,
    patience: Duration,
) -> Result<(), Failure> {
    loop {
        let mut call = Call::get([&arguments.id, "logs"])
            .with_query("offset", *offset)
            .with_query("limit", PAGE);
        call.patience = patience;
        let answer = output.ask(api, &call).await?;
        let page: Page<'_> = answer.json()?;
        for item in &page.items {
            show(item, output)?;
        }
        *offset += page.items.len() as u64;
        if page.next_offset.is_none() {
            return Ok(());
        }
    }
}

fn show(item: &RawValue, output: &Output) -> Result<(), Failure> {
    if output.json() {
        return output.raw(item.get().as_bytes());
    }
    let line: Line = serde_json::from_str(item.get())
        .map_err(|error| Failure::caused_by("a line of the log cannot be read", &error))?;
    let Line {
        attempt,
        logged_at,
        text,
    } = line;
    output.text(&format!("{logged_at}  #{attempt}  {text}"))
}
