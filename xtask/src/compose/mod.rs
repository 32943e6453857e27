//! `cargo xtask compose-test`: the whole of docker-compose.yml on a real engine, while parts of it
//! are killed, restarted and replaced. Every job that was accepted must end well.

mod commands;
mod engine;
mod stack;
mod stream;
mod table;
mod trials;
mod verdict;
mod watching;

use std::time::{Duration, Instant};

use self::{engine::Engine, stack::Stack, stream::Stream, table::Table};
use crate::{Result, interrupt};

/// How soon all of it is to be ready, once it is built.
const READY: Duration = Duration::from_secs(60);

/// What to do without an engine.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where no Docker engine runs or can be started, say so and succeed.
    #[arg(long)]
    skip_without_engine: bool,
}

/// Builds the images, brings all of it up, harms it, and counts.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let engine = match Engine::find() {
        Ok(engine) => engine,
        Err(reason) if arguments.skip_without_engine => {
            println!("compose-test: SKIPPED, nothing of it was tested: {reason}");
            return Ok(());
        }
        Err(reason) => return Err(reason),
    };
    engine.fetch_images()?;
    let stack = Stack::new()?;
    let mut table = Table::default();
    let outcome = stack.build(&mut table).and_then(|()| {
        watching::check(&stack, engine.root())?;
        let trial = Trial::begin(&stack, &mut table)?;
        trial.all()
    });
    println!("\n{table}");
    if outcome.is_err() {
        stack.show_logs();
    }
    // In this order: the containers before the engine that runs them.
    drop(stack);
    drop(engine);
    outcome
}

/// The running system, submissions all the while, and what was seen so far.
struct Trial<'a> {
    stack: &'a Stack,
    stream: Stream,
    table: &'a mut Table,
}

impl<'a> Trial<'a> {
    fn begin(stack: &'a Stack, table: &'a mut Table) -> Result<Self> {
        let begun = Instant::now();
        println!("── up");
        stack.up(1, 1)?;
        stack.wait_until_answering(READY)?;
        table.add("up, until ready", begun.elapsed(), None);
        Ok(Self {
            stream: Stream::start(stack.address()),
            stack,
            table,
        })
    }

    /// Does a step while jobs are submitted; how often a request had to be repeated meanwhile.
    fn step(&mut self, name: &'static str, act: impl FnOnce(&Stack) -> Result<()>) -> Result<u64> {
        interrupt::check()?;
        println!("── {name}");
        let (begun, before) = (Instant::now(), self.stream.tally());
        act(self.stack).map_err(|error| format!("{name}: {error}"))?;
        let seen = self.stream.tally().since(before);
        self.table.add(name, begun.elapsed(), Some(seen));
        Ok(seen.repeated)
    }
}
