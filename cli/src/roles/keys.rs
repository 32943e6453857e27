//! `coatcheck keys`: makes, lists and revokes keys, in the database itself.

use std::{io::Write, time::Duration};

use clap::{Args, Subcommand};
use coatcheck_shared::{
    api_key::{ApiKey, MOST_API_KEYS, NewApiKey, Scope},
    backend,
    clock::SynchronisedClock,
    job::{KindName, QueueName, Tenant},
    store::{Store, StoreError},
};
use secrecy::ExposeSecret;
use uuid::Uuid;

use super::Process;
use crate::failure::{Failure, USAGE};

/// The arguments of `coatcheck keys`.
#[derive(Debug, Args)]
pub(crate) struct KeysArguments {
    #[command(subcommand)]
    command: KeysCommand,
}

/// What is to be done about keys.
#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Make a key. Its secret goes to stdout, this once; everything else to stderr.
    Create(CreateArguments),
    /// List the keys, oldest first, without their secrets.
    List,
    /// Revoke a key.
    Revoke {
        /// The key's id: the 32 digits of its secret, or as `list` shows it.
        id: Uuid,
    },
}

/// The arguments of `coatcheck keys create`.
#[derive(Debug, Args)]
struct CreateArguments {
    /// Whose jobs its holder sees and makes. An admin key of `default` manages all tenants' keys,
    /// of another tenant that tenant's alone.
    #[arg(long, value_name = "NAME", default_value = "default")]
    tenant: Tenant,
    /// What it allows: jobs:submit, jobs:read, jobs:cancel, jobs:work, admin (everything).
    #[arg(
        long = "scope",
        value_name = "SCOPE",
        value_delimiter = ',',
        required = true
    )]
    scopes: Vec<Scope>,
    /// The queues that it is good for; without one, all.
    #[arg(long = "queue", value_name = "NAME", value_delimiter = ',')]
    queues: Vec<QueueName>,
    /// The kinds that it is good for; without one, all.
    #[arg(long = "kind", value_name = "NAME", value_delimiter = ',')]
    kinds: Vec<KindName>,
    /// How long it is good, such as 30d [for ever].
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    expires_in: Option<Duration>,
}

/// Does it, or ends at once where it is told to.
pub(crate) async fn run(process: Process, arguments: KeysArguments) -> Result<(), Failure> {
    let settings = &process.settings;
    let work = async {
        let store = backend::open_store(settings)
            .await
            .map_err(|error| super::no_backend(settings, &error))?;
        match arguments.command {
            KeysCommand::Create(arguments) => create(&*store, arguments).await,
            KeysCommand::List => list(&*store).await,
            KeysCommand::Revoke { id } => revoke(&*store, id).await,
        }
    };
    tokio::select! {
        outcome = work => outcome,
        () = process.shutdown.cancelled() => Err(Failure::error("interrupted")),
    }
}

async fn create(store: &dyn Store, arguments: CreateArguments) -> Result<(), Failure> {
    let now = store.now().await.map_err(failed)?;
    let new = NewApiKey {
        tenant: arguments.tenant,
        scopes: arguments.scopes,
        queues: Some(arguments.queues).filter(|queues| !queues.is_empty()),
        kinds: Some(arguments.kinds).filter(|kinds| !kinds.is_empty()),
        expires_at: arguments.expires_in.map(|duration| now.after(duration)),
    };
    new.check(now).map_err(|error| Failure::new(USAGE, error))?;
    if store.api_keys().await.map_err(failed)?.len() >= MOST_API_KEYS {
        return Err(Failure::error(format!(
            "there are {MOST_API_KEYS} keys already: revoke some first"
        )));
    }
    let issued = new
        .issue(&SynchronisedClock::starting_at(now))
        .map_err(Failure::error)?;
    store.insert_api_key(&issued.key).await.map_err(failed)?;
    let id = issued.key.id;
    tell(&format!(
        "This is the secret of the key {id}. It is shown this once."
    ));
    // Nobody knows a secret that could not be written: the key would be good for nothing.
    if let Err(error) = put(issued.secret.expose_secret()) {
        store.delete_api_key(id).await.map_err(failed)?;
        return Err(Failure::error(format!(
            "the secret could not be written, so there is no key: {error}"
        )));
    }
    Ok(())
}

async fn list(store: &dyn Store) -> Result<(), Failure> {
    let keys = store.api_keys().await.map_err(failed)?;
    let mut text = format!(
        "{:<36}  {:<16}  {:<27}  {:<27}  SCOPES AND LIMITS",
        "ID", "TENANT", "CREATED", "EXPIRES"
    );
    for key in &keys {
        text.push('\n');
        text.push_str(&line(key));
    }
    put(&text).map_err(|error| Failure::error(format!("the list could not be written: {error}")))
}

fn line(key: &ApiKey) -> String {
    let expires = key
        .expires_at
        .map_or_else(|| "never".to_owned(), |time| time.to_string());
    let mut line = format!(
        "{:<36}  {:<16}  {:<27}  {expires:<27}  {}",
        key.id.to_string(),
        key.tenant.as_str(),
        key.created_at.to_string(),
        joined(&key.scopes, |scope| scope.as_str())
    );
    if let Some(queues) = &key.queues {
        line = format!("{line} queue={}", joined(queues, QueueName::as_str));
    }
    if let Some(kinds) = &key.kinds {
        line = format!("{line} kind={}", joined(kinds, KindName::as_str));
    }
    line
}

fn joined<T>(items: &[T], name: impl Fn(&T) -> &str) -> String {
    items.iter().map(name).collect::<Vec<_>>().join(",")
}

async fn revoke(store: &dyn Store, id: Uuid) -> Result<(), Failure> {
    if !store.delete_api_key(id).await.map_err(failed)? {
        return Err(Failure::error(format!("there is no key {id}")));
    }
    tell(&format!(
        "The key {id} is revoked. Every process refuses it within five seconds."
    ));
    Ok(())
}

fn failed(error: StoreError) -> Failure {
    Failure::caused_by("the database", &error)
}

fn put(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// For the person at the terminal; with stderr gone, the status still tells.
fn tell(text: &str) {
    drop(writeln!(std::io::stderr(), "{text}"));
}
