//! Reading the settings from where they stand.

use std::path::Path;

use figment::{
    Figment,
    providers::{Env, Format, Serialized, Toml},
};

use super::{REFERENCE, Settings, unreadable::Sources};

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file that `COATCHECK_CONFIG` names is not there.
    #[error("settings: COATCHECK_CONFIG names {0:?}, and there is no such file")]
    NoFile(String),
    /// Settings that cannot be read, are wrong, or contradict one another: a line for each.
    #[error("settings: {}", .0.join("; "))]
    Wrong(Vec<String>),
}

/// What the variables of all other settings begin with.
pub(super) const PREFIX: &str = "COATCHECK_";

/// The variables that are about the settings, a client's or a test's, and no settings themselves.
const NOT_SETTINGS: [&str; 4] = ["CONFIG", "URL", "KEY", "FAILPOINTS"];

/// The settings whose variables have no prefix, by the custom of the field.
pub(super) const ADDRESSES: [&str; 2] = ["DATABASE_URL", "REDIS_URL"];

/// The settings whose variables are taken as they stand: a key of digits alone is no number.
const VERBATIM: [(&str, &str); 4] = [
    ("DATABASE_URL", "database_url"),
    ("REDIS_URL", "redis_url"),
    ("COATCHECK_AUTH__ADMIN_KEY", "auth.admin_key"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "traces.endpoint"),
];

/// The settings of this process: the defaults, the file that `COATCHECK_CONFIG` names, and the
/// environment.
///
/// # Errors
/// With the name of each setting that is wrong, its value, and what would be right.
pub fn load() -> Result<Settings, SettingsError> {
    check_failure_points().map_err(|error| SettingsError::Wrong(vec![error]))?;
    let file = std::env::var("COATCHECK_CONFIG").ok();
    if let Some(file) = &file
        && !Path::new(file).is_file()
    {
        return Err(SettingsError::NoFile(file.clone()));
    }
    let mut figment = Figment::from(Toml::string(REFERENCE));
    if let Some(file) = &file {
        figment = figment.merge(Toml::file_exact(file));
    }
    figment = figment.merge(
        Env::prefixed(PREFIX)
            .ignore(&NOT_SETTINGS)
            .filter(|name| is_filled(&format!("{PREFIX}{name}")))
            .split("__"),
    );
    let variables = filled_variables();
    for (name, value) in &variables {
        let verbatim = VERBATIM
            .iter()
            .find(|(variable, _)| variable.eq_ignore_ascii_case(name));
        if let Some((_, key)) = verbatim {
            figment = figment.merge(Serialized::global(key, value));
        }
    }
    let variables = variables.into_iter().map(|(name, _)| name).collect();
    read(&figment, &Sources { variables, file })
}

/// What is meant to break a test's process must not go unnoticed.
#[cfg(feature = "failure-points")]
fn check_failure_points() -> Result<(), String> {
    let points = crate::failure_points::of_this_process();
    points.map(drop).map_err(|error| error.to_string())
}

/// A program without failure points that is told to use them would seem to pass every test.
#[cfg(not(feature = "failure-points"))]
fn check_failure_points() -> Result<(), String> {
    if is_filled("COATCHECK_FAILPOINTS") {
        return Err(
            "COATCHECK_FAILPOINTS is set, and this program has no failure points: they come with \
             `cargo build --features failure-points`"
                .to_owned(),
        );
    }
    Ok(())
}

/// The defaults with a TOML text over them.
///
/// # Errors
/// As [`load`].
pub fn load_from(text: &str) -> Result<Settings, SettingsError> {
    let figment = Figment::from(Toml::string(REFERENCE)).merge(Toml::string(text));
    read(&figment, &Sources::default())
}

/// The variables that are set to something: compose files pass on unset ones as empty.
fn filled_variables() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

fn is_filled(name: &str) -> bool {
    let mut variables = filled_variables().into_iter();
    variables.any(|(filled, _)| filled.eq_ignore_ascii_case(name))
}

fn read(figment: &Figment, sources: &Sources) -> Result<Settings, SettingsError> {
    let settings: Settings = figment
        .extract()
        .map_err(|error| SettingsError::Wrong(sources.explain(figment, error)))?;
    settings.check()?;
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_is_complete_and_right() {
        let settings = load_from("").unwrap();
        assert_eq!(settings.worker.concurrency, 1_000);
        assert!(settings.database_url.is_none());
    }
}
