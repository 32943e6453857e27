//! The kinds that every worker can run.

pub mod command;
pub mod http;
pub mod sleep;

use coatcheck_shared::settings::Settings;

use self::{command::CommandHandler, http::HttpHandler, sleep::SleepHandler};
use crate::{Registry, RegistryError};

/// Why the built-in handlers cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum BuiltinError {
    /// A kind cannot be registered.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The settings of TLS are refused.
    #[error("TLS for http jobs cannot be set up")]
    Tls(#[from] rustls::Error),
    /// The client of `http` jobs cannot be made.
    #[error("the client of http jobs cannot be set up")]
    Client(#[from] reqwest::Error),
}

/// The built-in kinds, as these settings have them.
///
/// # Errors
/// Where the client of `http` jobs cannot be set up.
pub fn builtin(settings: &Settings) -> Result<Registry, BuiltinError> {
    let command = CommandHandler::new(settings);
    let mut registry = Registry::new();
    for kind in command.kinds() {
        registry = registry.register_bytes(kind)?;
    }
    Ok(registry
        .register(command)?
        .register(HttpHandler::new(settings)?)?
        .register(SleepHandler)?)
}

#[cfg(test)]
mod tests {
    use coatcheck_shared::settings::load_from;

    use super::*;

    #[test]
    fn every_built_in_kind_is_registered() {
        let settings = "[commands.wc]\nprogram = '/usr/bin/wc'\n[commands.'W C']\nprogram = '/x'";
        let registry = builtin(&load_from(settings).unwrap()).unwrap();
        let kinds: Vec<String> = registry.kinds().iter().map(ToString::to_string).collect();
        assert_eq!(kinds, ["command", "command.wc", "http", "sleep"]);
    }
}
