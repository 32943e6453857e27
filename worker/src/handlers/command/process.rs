//! One run of a program: its process group and its three pipes.

use std::{
    io::{self, ErrorKind},
    os::unix::process::ExitStatusExt,
    pin::pin,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use bytes::Bytes;
use coatcheck_shared::{job::ClaimedJob, settings::CommandSettings};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    sync::Semaphore,
    task::spawn_blocking,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::error_log::ErrorLog;
use crate::{HandlerError, JobContext, ResultWriter};

const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// How much is asked of a pipe at a time: what Linux keeps in one.
const READ_BYTES: usize = 64 * 1024;

/// How much is asked of standard error at a time.
const LISTEN_BYTES: usize = 8 * 1024;

/// How long what a program has started may go on writing after the program itself has ended.
const LONGEST_DRAIN: Duration = Duration::from_secs(2);

/// How long the kernel may take over a SIGKILL.
const LONGEST_KILL: Duration = Duration::from_secs(1);

/// How many programs may be starting at once: were they to hang, the threads that wait for names and
/// files must not all wait for them.
static STARTS: Semaphore = Semaphore::const_new(32);

/// A process group that ends with this value.
struct ProcessGroup(Pid);

impl ProcessGroup {
    /// A group that is gone already is as good as one that heard.
    fn signal(&self, signal: Signal) {
        if let Err(error) = killpg(self.0, signal)
            && error != nix::errno::Errno::ESRCH
        {
            tracing::warn!(%error, %signal, "a command's process group cannot be signalled");
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

/// A program that has been started.
///
/// The fields are dropped in this order: the group is killed while its leader is still unreaped,
/// so that the number cannot belong to anyone else.
pub(super) struct Process {
    group: ProcessGroup,
    child: Child,
    pipes: Pipes,
}

struct Pipes {
    /// Closed as soon as everything is written.
    input: Option<ChildStdin>,
    output: ChildStdout,
    errors: ChildStderr,
}

/// A program that has ended by itself.
pub(super) struct Ended<'a> {
    pub(super) status: ExitStatus,
    pub(super) output: ResultWriter<'a>,
    /// The end of what it wrote to its standard error.
    pub(super) last_words: String,
}

/// Why a program that was started did not end by itself.
#[derive(Debug, thiserror::Error)]
pub(super) enum RunError {
    #[error("it wrote more than {0} bytes to its standard output")]
    TooMuch(usize),
    #[error("it was stopped")]
    Stopped,
    #[error(transparent)]
    Pipe(#[from] io::Error),
    #[error("{0}")]
    Output(HandlerError),
}

impl Process {
    /// A program is told whose attempt it is, so that what it does elsewhere can be done once.
    ///
    /// It is started on a thread that may wait: its file or folder may lie on a network that hangs. What
    /// hangs there is out of reach: the program begins when the network is back, and is killed at once
    /// where its attempt has ended meanwhile.
    pub(super) async fn start(command: &CommandSettings, job: &ClaimedJob) -> io::Result<Self> {
        let mut program = Command::new(&command.program);
        program
            .args(&command.args)
            .env_clear()
            .env("PATH", PATH)
            .env("COATCHECK_JOB_ID", job.id.to_string())
            .env("COATCHECK_ATTEMPT", job.attempt.to_string())
            .envs(&command.env)
            .current_dir(&command.directory)
            .process_group(0)
            .kill_on_drop(true)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let turn = STARTS.acquire().await.map_err(io::Error::other)?;
        let starting = spawn_blocking(move || {
            let _turn = turn;
            Self::of(program.spawn()?)
        });
        starting.await.map_err(io::Error::other)?
    }

    fn of(mut child: Child) -> io::Result<Self> {
        let leader = child.id().and_then(|id| i32::try_from(id).ok());
        let (Some(leader), input, Some(output), Some(errors)) = (
            leader,
            child.stdin.take(),
            child.stdout.take(),
            child.stderr.take(),
        ) else {
            return Err(io::Error::other("it has no id or no pipes"));
        };
        Ok(Self {
            group: ProcessGroup(Pid::from_raw(leader)),
            child,
            pipes: Pipes {
                input,
                output,
                errors,
            },
        })
    }

    /// Feeds and reads the program until it has ended, or the job is told to stop.
    pub(super) async fn run(
        mut self,
        input: Bytes,
        most_bytes: usize,
        termination: Duration,
        context: &JobContext,
    ) -> Result<Ended<'_>, RunError> {
        let mut output = context.result_writer();
        let exited = CancellationToken::new();
        let mut error_log = ErrorLog::new(context);
        let status = {
            let conversation =
                self.pipes
                    .converse(&input, most_bytes, &mut output, &mut error_log, &exited);
            let mut run = pin!(to_the_end(&mut self.child, conversation, &exited));
            tokio::select! {
                status = &mut run => status?,
                () = context.cancellation().cancelled() => {
                    self.group.signal(Signal::SIGTERM);
                    // It is still read, so that it can say what it has to while it ends.
                    if timeout(termination, &mut run).await.is_err() {
                        self.group.signal(Signal::SIGKILL);
                        if timeout(LONGEST_KILL, &mut run).await.is_err() {
                            tracing::warn!("a program has not ended after SIGKILL");
                        }
                    }
                    return Err(RunError::Stopped);
                }
            }
        };
        Ok(Ended {
            status,
            output,
            last_words: error_log.last_words(),
        })
    }
}

impl Pipes {
    /// All three at once: a program that writes before it has read everything must not be waited
    /// for by one that reads nothing before everything is written.
    async fn converse(
        &mut self,
        input: &[u8],
        most_bytes: usize,
        output: &mut ResultWriter<'_>,
        error_log: &mut ErrorLog<'_>,
        exited: &CancellationToken,
    ) -> Result<(), RunError> {
        tokio::try_join!(
            write(self.input.take(), input, exited),
            read(&mut self.output, most_bytes, output, exited),
            listen(&mut self.errors, error_log, exited),
        )?;
        Ok(())
    }
}

/// A program that ends without having read everything has not failed by that.
async fn write(
    pipe: Option<ChildStdin>,
    input: &[u8],
    exited: &CancellationToken,
) -> Result<(), RunError> {
    let Some(mut pipe) = pipe else { return Ok(()) };
    let written = tokio::select! {
        biased;
        written = pipe.write_all(input) => written,
        () = drained(exited) => Ok(()),
    };
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Ends when what comes through a pipe is no longer the program's own: whoever left the group may
/// hold it open for ever. What is there already is read first, however long the store took over
/// what came before it.
async fn drained(exited: &CancellationToken) {
    exited.cancelled().await;
    sleep(LONGEST_DRAIN).await;
}

async fn read(
    pipe: &mut ChildStdout,
    most_bytes: usize,
    output: &mut ResultWriter<'_>,
    exited: &CancellationToken,
) -> Result<(), RunError> {
    let mut bytes = vec![0; READ_BYTES];
    let mut size = 0;
    let mut drained = pin!(drained(exited));
    loop {
        let length = tokio::select! {
            biased;
            length = pipe.read(&mut bytes) => length?,
            () = &mut drained => 0,
        };
        if length == 0 {
            return Ok(());
        }
        size += length;
        if size > most_bytes {
            return Err(RunError::TooMuch(most_bytes));
        }
        let written = output.write(&bytes[..length]).await;
        written.map_err(RunError::Output)?;
    }
}

async fn listen(
    pipe: &mut ChildStderr,
    error_log: &mut ErrorLog<'_>,
    exited: &CancellationToken,
) -> Result<(), RunError> {
    let mut bytes = vec![0; LISTEN_BYTES];
    let mut drained = pin!(drained(exited));
    loop {
        let length = tokio::select! {
            biased;
            length = pipe.read(&mut bytes) => length?,
            () = &mut drained => 0,
        };
        if length == 0 {
            error_log.end();
            return Ok(());
        }
        error_log.write(&bytes[..length]);
    }
}

async fn to_the_end(
    child: &mut Child,
    conversation: impl Future<Output = Result<(), RunError>>,
    exited: &CancellationToken,
) -> Result<ExitStatus, RunError> {
    let mut conversation = pin!(conversation);
    let mut is_over = false;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            outcome = &mut conversation, if !is_over => {
                outcome?;
                is_over = true;
            }
        }
    };
    exited.cancel();
    if !is_over {
        conversation.await?;
    }
    Ok(status)
}

/// How a program that did not succeed ended: in words, and for programs.
pub(super) fn ending(status: ExitStatus) -> (String, Value) {
    if let Some(number) = status.signal() {
        let name = Signal::try_from(number).map_or("an unknown signal", Signal::as_str);
        let words = format!("was ended by signal {number} ({name})");
        return (words, json!({"signal": number}));
    }
    let code = status.code();
    let words = code.map_or("ended".to_owned(), |code| {
        format!("ended with exit status {code}")
    });
    (words, json!({"exit_status": code}))
}
