//! SIGTERM and SIGINT: the first asks for an orderly end, the second is one.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// The exit status of a process that SIGINT ended.
const INTERRUPTED: i32 = 130;

/// Fires `shutdown` at the first signal, and ends the process at the second.
pub(crate) fn on_signals(shutdown: CancellationToken) -> Result<(), Failure> {
    let listen = |kind| {
        signal(kind).map_err(|error| Failure::error(format!("signals cannot be heard: {error}")))
    };
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    tokio::spawn(async move {
        either(&mut terminate, &mut interrupt).await;
        tracing::info!("shutting down; a second signal ends at once");
        shutdown.cancel();
        either(&mut terminate, &mut interrupt).await;
        tracing::warn!("ended by a second signal, before the drain was over");
        std::process::exit(INTERRUPTED);
    });
    Ok(())
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
