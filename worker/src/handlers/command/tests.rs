//! Real programs of the machine.

mod group;
mod output;

use coatcheck_shared::{job::JobResult, settings::load_from};
use serde_json::{Value, json};

use super::CommandHandler;
use crate::{HandlerError, context::Rehearsal};

/// A handler with these lines under `[commands.x]`.
fn handler(lines: &str) -> CommandHandler {
    CommandHandler::new(&load_from(&format!("[commands.x]\n{lines}")).unwrap())
}

/// A handler whose command `x` is a script for the shell.
fn shell(script: &str) -> CommandHandler {
    handler(&format!(
        "program = '/bin/sh'\nargs = ['-c', '''{script}''']"
    ))
}

fn rehearsal(input: &Value) -> Rehearsal {
    Rehearsal::of::<CommandHandler>(&json!({"command": "x", "input": input})).unwrap()
}

async fn run(handler: &CommandHandler, input: Value) -> Result<JobResult, HandlerError> {
    rehearsal(&input).run(handler).await
}

/// What a script wrote when it succeeded.
async fn output(script: &str) -> String {
    let result = run(&shell(script), Value::Null).await.unwrap();
    text_of(&result)
}

fn text_of(result: &JobResult) -> String {
    String::from_utf8(result.body.inline().unwrap().to_vec()).unwrap()
}
