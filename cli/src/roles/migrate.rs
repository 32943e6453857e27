//! `coatcheck migrate`: brings the schema up.

use coatcheck_shared::backend;

use super::Process;
use crate::failure::Failure;

/// Brings the schema up, or ends at once where it is told to.
pub(crate) async fn run(process: Process) -> Result<(), Failure> {
    let settings = &process.settings;
    tokio::select! {
        outcome = backend::migrate(settings) => {
            outcome.map_err(|error| super::no_backend(settings, &error))?;
        }
        () = process.shutdown.cancelled() => {
            return Err(Failure::error("the migration was interrupted; it can be run again"));
        }
    }
    tracing::info!("the schema is up to date");
    Ok(())
}
