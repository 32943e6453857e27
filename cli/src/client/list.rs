//! `coatcheck list`.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Args;
use coatcheck_shared::{
    job::{KindName, QueueName, State},
    timestamp::Timestamp,
};
use serde::Deserialize;

use super::{
    EXIT_STATUS,
    api::{Api, Call},
    job::Job,
    output::Output,
    server::Server,
    submit::pair,
    times::point,
};
use crate::failure::Failure;

/// The largest page that the server gives.
const LARGEST_PAGE: u32 = 1_000;

/// The arguments of `coatcheck list`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_STATUS)]
pub(crate) struct ListArguments {
    /// In one of these states: scheduled, queued, running, succeeded, failed, cancelled.
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    state: Vec<State>,
    /// Of one of these kinds.
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    kind: Vec<KindName>,
    /// In one of these queues.
    #[arg(long, value_name = "QUEUE", value_delimiter = ',')]
    queue: Vec<QueueName>,
    /// Submitted after this: an RFC 3339 time, or how long ago, like 2h.
    #[arg(long, value_name = "TIME", value_parser = point)]
    created_after: Option<Timestamp>,
    /// Submitted before this.
    #[arg(long, value_name = "TIME", value_parser = point)]
    created_before: Option<Timestamp>,
    /// With this metadata; all of them where there are several.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    metadata: Vec<(String, String)>,

    /// How many at most.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=i64::from(LARGEST_PAGE)))]
    limit: u32,
    /// All of them, however many.
    #[arg(long, conflicts_with_all = ["limit", "cursor"])]
    all: bool,
    /// Go on from the next_cursor of a page before.
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
    /// Print each page exactly as the server gives it, one on a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Job>,
    next_cursor: Option<String>,
}

/// Lists jobs, page by page.
pub(crate) fn run(arguments: &ListArguments) -> Result<ExitCode, Failure> {
    super::run(async {
        let api = Api::new(&arguments.server)?;
        let output = Output::new(arguments.json);
        let mut cursor = arguments.cursor.clone();
        let mut is_first = true;
        loop {
            let call = arguments.call(cursor.as_deref());
            let answer = output.ask(&api, &call).await?;
            let page: Page = answer.json()?;
            if output.json() {
                output.raw(&answer.body)?;
            } else if !page.items.is_empty() {
                show(&page, &output, is_first)?;
            }
            cursor = page.next_cursor;
            is_first = false;
            if cursor.is_none() || !arguments.all {
                break;
            }
        }
        if cursor.is_some() && output.terminal() && !output.json() {
            // Nobody reading it is no reason to fail.
            drop(writeln!(
                io::stderr(),
                "There are more: --all, or a larger --limit."
            ));
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn show(page: &Page, output: &Output, with_heads: bool) -> Result<(), Failure> {
    let times = output.times();
    let mut rows = Vec::new();
    if with_heads {
        rows.push(Job::column_heads());
    }
    rows.extend(page.items.iter().map(|job| job.columns(times)));
    output.table(&rows)
}

impl ListArguments {
    fn call(&self, cursor: Option<&str>) -> Call {
        let limit = if self.all { LARGEST_PAGE } else { self.limit };
        let mut call = Call::get([]).with_query("limit", limit);
        for state in &self.state {
            call = call.with_query("state", state);
        }
        for kind in &self.kind {
            call = call.with_query("kind", kind);
        }
        for queue in &self.queue {
            call = call.with_query("queue", queue);
        }
        for (name, time) in [
            ("created_after", self.created_after),
            ("created_before", self.created_before),
        ] {
            if let Some(time) = time {
                call = call.with_query(name, time);
            }
        }
        for (name, value) in &self.metadata {
            call = call.with_query(&format!("metadata.{name}"), value);
        }
        if let Some(cursor) = cursor {
            call = call.with_query("cursor", cursor);
        }
        call
    }
}
