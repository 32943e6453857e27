//! The kinds that can be submitted: the built-in ones, those that workers have announced, and
//! those that the settings declare.

pub(crate) mod list;
mod schema;

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use coatcheck_shared::{
    job::{InvalidName, KindName},
    kind::{KindDefinition, command::CommandPayload, http::HttpPayload, sleep::SleepPayload},
    settings::{KindSettings, Settings},
    store::{Store, StoreError},
};
use tokio::time::timeout;

pub(crate) use self::schema::PayloadSchema;

/// How old the list may be while it serves.
const REFRESH_EVERY: Duration = Duration::from_secs(5);

/// How old it must be before an unknown kind makes it be read again.
const REFRESH_ON_MISS: Duration = Duration::from_secs(1);

/// A kind that can be submitted.
#[derive(Debug)]
pub(crate) struct Kind {
    /// Its name, what it does, the schema of its payload.
    pub(crate) definition: KindDefinition,
    /// Whether anything runs it.
    pub(crate) implemented: bool,
    /// What its payloads are checked against.
    pub(crate) schema: PayloadSchema,
}

/// Every kind, by name.
pub(crate) type KindList = BTreeMap<KindName, Arc<Kind>>;

/// The kinds, kept fresh.
pub(crate) struct Kinds {
    store: Arc<dyn Store>,
    builtin: Vec<KindDefinition>,
    declared: BTreeMap<KindName, KindSettings>,
    list: RwLock<Arc<KindList>>,
    deadline: Duration,
    /// When the store was last asked.
    asked: tokio::sync::Mutex<Option<Instant>>,
}

impl Kinds {
    /// The built-in and the declared kinds; the announced ones come with the first refresh.
    ///
    /// # Errors
    /// Where a built-in kind has no proper name.
    pub(crate) fn new(store: Arc<dyn Store>, settings: &Settings) -> Result<Self, InvalidName> {
        let kinds = Self {
            store,
            builtin: builtin()?,
            declared: settings.kinds.clone(),
            list: RwLock::default(),
            deadline: settings.store.deadline(),
            asked: tokio::sync::Mutex::new(None),
        };
        kinds.replace(Vec::new());
        Ok(kinds)
    }

    /// Every kind that is known.
    pub(crate) fn all(&self) -> Arc<KindList> {
        self.list
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether there are kinds beside the built-in ones.
    pub(crate) fn has_others(&self) -> bool {
        let is_builtin = |name: &KindName| self.builtin.iter().any(|each| each.name == *name);
        !self.all().keys().all(is_builtin)
    }

    /// A kind, none where there is none. One that is not known may have been announced since.
    pub(crate) async fn find(&self, name: &KindName) -> Result<Option<Arc<Kind>>, StoreError> {
        if let Some(kind) = self.all().get(name) {
            return Ok(Some(kind.clone()));
        }
        // Whoever asks at the same time waits for one refresh, and no longer than for its own.
        timeout(self.deadline, self.refresh_if_older_than(REFRESH_ON_MISS))
            .await
            .unwrap_or_else(|_| Err(StoreError::timed_out()))?;
        Ok(self.all().get(name).cloned())
    }

    /// Reads the announced kinds again and again.
    pub(crate) async fn keep_fresh(&self) {
        loop {
            if let Err(error) = self.refresh_if_older_than(REFRESH_EVERY).await {
                tracing::debug!(%error, "the kinds could not be refreshed");
            }
            tokio::time::sleep(REFRESH_EVERY).await;
        }
    }

    async fn refresh_if_older_than(&self, age: Duration) -> Result<(), StoreError> {
        let mut asked = self.asked.lock().await;
        if asked.is_none_or(|asked| asked.elapsed() >= age) {
            self.replace(self.store.kinds().await?);
            *asked = Some(Instant::now());
        }
        Ok(())
    }

    /// Builds the list anew, keeping the compiled schemas of what has not changed.
    fn replace(&self, announced: Vec<KindDefinition>) {
        let previous = self.all();
        let mut list = KindList::new();
        for definition in self.builtin.iter().cloned().chain(announced) {
            add(&mut list, &previous, definition, true);
        }
        for (name, settings) in &self.declared {
            let definition = list
                .get(name)
                .map_or_else(|| declared(name.clone()), |kind| kind.definition.clone());
            add(&mut list, &previous, definition, settings.implemented);
        }
        *self.list.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(list);
    }
}

fn add(list: &mut KindList, previous: &KindList, definition: KindDefinition, implemented: bool) {
    let name = definition.name.clone();
    let unchanged = previous
        .get(&name)
        .filter(|kind| kind.definition == definition && kind.implemented == implemented);
    let kind = unchanged.cloned().unwrap_or_else(|| {
        Arc::new(Kind {
            schema: PayloadSchema::compile(&definition),
            definition,
            implemented,
        })
    });
    list.insert(name, kind);
}

fn builtin() -> Result<Vec<KindDefinition>, InvalidName> {
    Ok(vec![
        KindDefinition::of::<CommandPayload>()?,
        KindDefinition::of::<HttpPayload>()?,
        KindDefinition::of::<SleepPayload>()?,
    ])
}

/// A kind of which nothing is known but its name.
fn declared(name: KindName) -> KindDefinition {
    KindDefinition {
        name,
        description: "Declared in the settings.".to_owned(),
        payload_schema: serde_json::Value::Bool(true),
        media_types: None,
    }
}
