//! What goes in, what comes out, and how it ends.

use std::{fmt::Write, io::Write as _};

use serde_json::{Value, json};

use super::{handler, output, rehearsal, run, shell, text_of};
use crate::{
    context::{Rehearsal, Said},
    handler::{BytesHandler, RawPayload, Then},
    handlers::command::CommandHandler,
};

/// Twelve million bytes, no two lines the same.
fn large_text() -> String {
    let mut text = String::with_capacity(12_000_000);
    for number in 0..600_000 {
        writeln!(text, "line number {number:07}").unwrap();
    }
    text
}

#[tokio::test]
async fn a_large_file_is_read_by_the_program() {
    let text = large_text();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    assert!(text.len() >= 10_000_000);
    let path = file.path().display();
    let cat = handler(&format!(
        "program = '/bin/cat'\nargs = ['{path}']\ncontent_type = 'text/plain'"
    ));
    let result = run(&cat, Value::Null).await.unwrap();
    assert_eq!(result.content_type, "text/plain");
    assert!(result.body == text.as_bytes());
    let of_file = handler(&format!("program = '/usr/bin/md5sum'\nargs = ['{path}']"));
    let of_input = handler("program = '/usr/bin/md5sum'");
    let file_sum = text_of(&run(&of_file, Value::Null).await.unwrap());
    let input_sum = text_of(&run(&of_input, Value::String(text)).await.unwrap());
    assert_eq!(file_sum[..32], input_sum[..32]);
}

#[tokio::test]
async fn a_large_input_and_output_pass_each_other() {
    let text = large_text();
    let result = run(&handler("program = '/bin/cat'"), json!(text))
        .await
        .unwrap();
    assert!(result.body == text.as_bytes());
}

#[tokio::test]
async fn a_program_need_not_read_its_input() {
    let result = run(&shell("echo done"), json!(large_text())).await.unwrap();
    assert_eq!(result.body, "done\n");
}

#[tokio::test]
async fn a_string_goes_in_as_it_is_and_all_else_as_json() {
    let cat = handler("program = '/bin/cat'");
    for (input, expected) in [
        (json!("plain \"text\"\n"), "plain \"text\"\n"),
        (json!({"b": [1, null]}), r#"{"b":[1,null]}"#),
        (json!(7), "7"),
        (Value::Null, ""),
    ] {
        let result = run(&cat, input).await.unwrap();
        assert_eq!(result.body, expected);
        assert_eq!(result.content_type, "application/octet-stream");
    }
}

#[tokio::test]
async fn arguments_are_a_list_and_no_shell_reads_them() {
    let printf =
        handler("program = '/usr/bin/printf'\nargs = ['[%s]', '$(id) `id` ; *', \"a b\", '']");
    let result = run(&printf, Value::Null).await.unwrap();
    assert_eq!(result.body, "[$(id) `id` ; *][a b][]");
}

#[tokio::test]
async fn the_environment_and_the_directory_are_the_settings_own() {
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    let env = handler("program = '/usr/bin/env'\nenv = { LANG = 'C.UTF-8' }");
    let rehearsal = rehearsal(&Value::Null);
    let text = text_of(&rehearsal.run(&env).await.unwrap());
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    let job = format!("COATCHECK_JOB_ID={}", rehearsal.context().id());
    assert_eq!(
        lines,
        [
            "COATCHECK_ATTEMPT=1",
            &job,
            "LANG=C.UTF-8",
            "PATH=/usr/local/bin:/usr/bin:/bin",
        ]
    );
    let pwd = handler("program = '/bin/pwd'\ndirectory = '/usr/bin'");
    assert_eq!(run(&pwd, Value::Null).await.unwrap().body, "/usr/bin\n");
    assert_eq!(output("pwd").await, "/\n");
}

#[tokio::test]
async fn standard_error_goes_to_the_log_line_by_line() {
    let rehearsal = rehearsal(&Value::Null);
    let script = r"printf 'one\ntwo\r\n\npart' >&2; sleep 0.2; printf 'ial' >&2";
    rehearsal.run(&shell(script)).await.unwrap();
    let lines = ["one", "two", "", "partial"].map(|line| Said::Log(line.to_owned()));
    assert_eq!(rehearsal.said(), lines);
}

#[tokio::test]
async fn long_lines_and_many_lines_are_cut_and_it_says_so() {
    let long = rehearsal(&Value::Null);
    let script = "head -c 100000 /dev/zero | tr '\\0' x >&2; echo >&2; echo end >&2";
    long.run(&shell(script)).await.unwrap();
    let said = long.said();
    let Said::Log(line) = &said[0] else {
        panic!("{said:?}")
    };
    assert!(line.len() < 5_000 && line.ends_with("… (cut)"), "{line}");
    assert_eq!(said[1..], [Said::Log("end".to_owned())]);

    let many = rehearsal(&Value::Null);
    let error = many.run(&shell("seq 50000 >&2; exit 1")).await.unwrap_err();
    let said = many.said();
    assert_eq!(said.len(), 1_001);
    assert!(format!("{:?}", said[1_000]).contains("not kept"));
    assert!(error.to_string().ends_with("49999\n50000"), "{error}");
}

#[tokio::test]
async fn a_failed_end_is_retried_and_says_how_it_was() {
    let script = "echo first >&2; echo disk full >&2; exit 3";
    let error = run(&shell(script), Value::Null).await.unwrap_err();
    let (message, details, then) = error.into_parts();
    assert_eq!(message, "x ended with exit status 3: first\ndisk full");
    assert_eq!(details, Some(json!({"exit_status": 3})));
    assert_eq!(then, Then::Retry);

    let error = run(&shell("kill -SEGV $$"), Value::Null).await.unwrap_err();
    let (message, details, then) = error.into_parts();
    assert_eq!(message, "x was ended by signal 11 (SIGSEGV)");
    assert_eq!(details, Some(json!({"signal": 11})));
    assert_eq!(then, Then::Retry);
}

#[tokio::test]
async fn what_was_not_allowed_is_refused_with_what_is() {
    let two = CommandHandler::new(
        &coatcheck_shared::settings::load_from(
            "commands.b.program = '/bin/true'\ncommands.a.program = '/bin/true'",
        )
        .unwrap(),
    );
    let payload = json!({"command": "/bin/ls"});
    let rehearsal = Rehearsal::of::<CommandHandler>(&payload).unwrap();
    let (message, _, then) = rehearsal.run(&two).await.unwrap_err().into_parts();
    assert_eq!(then, Then::Fail);
    assert!(
        message.contains("\"/bin/ls\"") && message.ends_with("a, b"),
        "{message}"
    );
}

#[tokio::test]
async fn a_program_that_is_not_there_says_so_without_its_path() {
    let gone = handler("program = '/nowhere/secret'");
    let error = run(&gone, Value::Null).await.unwrap_err().to_string();
    assert!(error.starts_with("x cannot be started"), "{error}");
    assert!(!error.contains("secret"), "{error}");
}

#[tokio::test]
async fn a_program_that_is_a_kind_reads_the_payload_byte_for_byte() {
    let handler = shell("cat");
    let kind = handler.kinds().pop().unwrap();
    assert_eq!(kind.kind(), "command.x");
    let bytes: Vec<u8> = (0..=255).cycle().take(200_000).collect();
    let payload = RawPayload {
        media_type: "image/png".to_owned(),
        bytes: bytes.clone().into(),
    };
    let rehearsal = Rehearsal::of_bytes(&kind, payload).unwrap();
    let result = rehearsal.run_bytes(&kind).await.unwrap();
    assert_eq!(result.body.inline().unwrap().as_ref(), bytes);
}
