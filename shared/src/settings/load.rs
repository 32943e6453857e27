//! Reading the settings from where they stand.

use std::path::Path;

use figment::{
    Figment,
    providers::{Env, Format, Toml},
};

use super::{REFERENCE, Settings};

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file or a variable that cannot be read as a setting.
    #[error("settings: {0}")]
    Unreadable(#[source] Box<figment::Error>),
    /// The file that `COATCHECK_CONFIG` names is not there.
    #[error("settings: COATCHECK_CONFIG names {0:?}, and there is no such file")]
    NoFile(String),
    /// Settings that are each readable but wrong, or contradict one another.
    #[error("settings: {}", .0.join("; "))]
    Wrong(Vec<String>),
}

/// The variables that are about the settings, and none themselves.
const NOT_SETTINGS: [&str; 1] = ["CONFIG"];

/// The settings whose variables have no prefix, by the custom of the field.
const ADDRESSES: [&str; 2] = ["DATABASE_URL", "REDIS_URL"];

/// The settings of this process: the defaults, the file that `COATCHECK_CONFIG` names, and the
/// environment.
///
/// # Errors
/// With the name of each setting that is wrong, its value, and what would be right.
pub fn load() -> Result<Settings, SettingsError> {
    let file = std::env::var("COATCHECK_CONFIG").ok();
    if let Some(file) = &file
        && !Path::new(file).is_file()
    {
        return Err(SettingsError::NoFile(file.clone()));
    }
    let mut figment = Figment::from(Toml::string(REFERENCE));
    if let Some(file) = file {
        figment = figment.merge(Toml::file_exact(file));
    }
    let figment = figment
        .merge(
            Env::raw()
                .only(&ADDRESSES)
                .filter(|name| is_filled(name.as_str())),
        )
        .merge(
            Env::prefixed("COATCHECK_")
                .ignore(&NOT_SETTINGS)
                .filter(|name| is_filled(&format!("COATCHECK_{name}")))
                .split("__"),
        );
    read(&figment)
}

/// The defaults with a TOML text over them.
///
/// # Errors
/// As [`load`].
pub fn load_from(text: &str) -> Result<Settings, SettingsError> {
    read(&Figment::from(Toml::string(REFERENCE)).merge(Toml::string(text)))
}

/// Whether a variable is set to something: compose files pass on unset ones as empty.
fn is_filled(name: &str) -> bool {
    std::env::vars_os().any(|(key, value)| key.eq_ignore_ascii_case(name) && !value.is_empty())
}

fn read(figment: &Figment) -> Result<Settings, SettingsError> {
    let settings: Settings = figment
        .extract()
        .map_err(|error| SettingsError::Unreadable(Box::new(error)))?;
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

    #[test]
    fn an_unknown_or_unreadable_setting_is_named() {
        for (text, named) in [
            ("worker.concurency = 1", "concurency"),
            ("worker.concurrency = \"many\"", "worker.concurrency"),
            ("listen = \"here\"", "listen"),
            ("auth.mode = \"none\"", "auth.mode"),
        ] {
            let error = load_from(text).unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
