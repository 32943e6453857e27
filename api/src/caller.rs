//! Who calls: whom a request's credential speaks for, and what it lets them do. [`Caller`] is the
//! only way in: it knows from the route table which scope the endpoint needs.

use std::{
    future::{Ready, ready},
    sync::Arc,
};

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::header::{self, HeaderValue},
    web::Data,
};
use coatcheck_shared::{
    api_key::{ApiKey, Scope},
    job::{Job, JobFilter, JobId, KindName, QueueName, Tenant},
    timestamp::Timestamp,
};
use futures::{
    FutureExt,
    future::{Either, LocalBoxFuture},
};

use crate::{
    api::Api,
    cors,
    credentials::{self, Shown},
    problem::{Problem, ProblemType},
    routes,
};

/// A caller whose credential is good and has the scope that the endpoint needs. An endpoint that
/// takes it is closed to everyone else.
#[derive(Clone)]
pub(crate) struct Caller {
    /// Whose jobs the caller sees.
    pub(crate) tenant: Tenant,
    /// The key; none where everything is allowed.
    key: Option<Arc<ApiKey>>,
}

impl Caller {
    /// Whoever may do everything.
    pub(crate) fn operator() -> Self {
        Self {
            tenant: Tenant::default(),
            key: None,
        }
    }

    /// The holder of a key, as long as it is good.
    pub(crate) fn holding(key: Arc<ApiKey>, now: Timestamp) -> Result<Self, Problem> {
        if key.has_expired(now) {
            return Err(credentials::refused());
        }
        Ok(Self {
            tenant: key.tenant.clone(),
            key: Some(key),
        })
    }

    /// Whether the key that has let this caller in has been neither revoked nor outlived. What goes
    /// on after that asks this again and again.
    pub(crate) fn is_still_good(&self, api: &Api) -> bool {
        self.key
            .as_ref()
            .is_none_or(|key| api.credentials.still_hold(key, api.now()))
    }

    /// Whether a job's queue and kind are among those that the key is good for.
    fn sees(&self, job: &Job) -> bool {
        self.covers(&job.queue, &job.kind)
    }

    /// Whether the key is good for jobs of this kind in this queue.
    pub(crate) fn covers(&self, queue: &QueueName, kind: &KindName) -> bool {
        self.key
            .as_ref()
            .is_none_or(|key| key.covers_queue(queue) && key.covers_kind(kind))
    }

    fn is_limited(&self) -> bool {
        self.key.as_ref().is_some_and(|key| key.is_limited())
    }

    /// Refuses a job that is to be made where the key is not good for its queue or kind.
    pub(crate) fn require_covered(
        &self,
        queue: &QueueName,
        kind: &KindName,
    ) -> Result<(), Problem> {
        if self.covers(queue, kind) {
            return Ok(());
        }
        let detail = format!("This key is not good for jobs of the kind {kind} in {queue}.");
        Err(insufficient(Scope::Submit, detail))
    }

    /// A filter that lets nothing through that the key is not good for.
    pub(crate) fn narrow(&self, filter: JobFilter) -> JobFilter {
        match &self.key {
            None => filter,
            Some(key) => JobFilter {
                visible_kinds: key.kinds.clone(),
                visible_queues: key.queues.clone(),
                ..filter
            },
        }
    }

    /// Whether the caller, an administrator, manages the keys of a tenant: the operator's those of
    /// all, others their own tenant's.
    pub(crate) fn manages(&self, tenant: &Tenant) -> bool {
        self.key.is_none() || self.tenant == Tenant::default() || self.tenant == *tenant
    }

    /// Whether this is whoever runs the system, and so sees it as a whole.
    pub(crate) fn is_operator(&self) -> bool {
        self.tenant == Tenant::default()
            && self.key.as_ref().is_none_or(|key| key.allows(Scope::Admin))
    }

    fn require(self, scope: Scope) -> Result<Self, Problem> {
        if self.key.as_ref().is_none_or(|key| key.allows(scope)) {
            return Ok(self);
        }
        let detail = format!("This key lacks the scope {}.", scope.as_str());
        Err(insufficient(scope, detail))
    }
}

impl FromRequest for Caller {
    type Error = Problem;
    type Future =
        Either<Ready<Result<Self, Problem>>, LocalBoxFuture<'static, Result<Self, Problem>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let (Some(api), Some(needed)) = (
            request.app_data::<Data<Api>>(),
            routes::needed_scope(request),
        ) else {
            let problem = Problem::internal(&"an endpoint without its state or its scope");
            return Either::Left(ready(Err(problem)));
        };
        let visit = Visit {
            api: api.clone(),
            request: request.clone(),
            needed,
        };
        let shown = Shown::of(request.headers());
        let Some(known) = api.credentials.look(&shown, api.now()) else {
            return Either::Right(visit.by_what_the_database_says(shown).boxed_local());
        };
        match known.and_then(|caller| visit.enter(caller)) {
            Ok(caller) if visit.needs_a_look(&caller) => {
                Either::Right(visit.require_visible(caller).boxed_local())
            }
            outcome => Either::Left(ready(outcome)),
        }
    }
}

/// A request that asks to be let in.
struct Visit {
    api: Data<Api>,
    request: HttpRequest,
    needed: Scope,
}

impl Visit {
    /// Lets a known caller in, who is not too fast and has the scope.
    fn enter(&self, caller: Caller) -> Result<Caller, Problem> {
        let (method, headers) = (self.request.method(), self.request.headers());
        if caller.key.is_none() && cors::is_strangers(self.api.cors.as_ref(), method, headers) {
            return Err(Problem::new(
                ProblemType::CrossOrigin,
                "The page that asks for this is not of this server, and cors.origins does not \
                 name its origin.",
            ));
        }
        let identity = (caller.key.as_ref().map(|key| key.id), &caller.tenant);
        self.api.rate_limits.admit(&self.request, &identity)?;
        caller.require(self.needed)
    }

    /// Whether it depends on the job if the caller may see it.
    fn needs_a_look(&self, caller: &Caller) -> bool {
        caller.is_limited() && routes::is_about_a_job(&self.request)
    }

    async fn by_what_the_database_says(self, shown: Shown) -> Result<Caller, Problem> {
        let caller = self.api.credentials.find(&shown, &self.api.clock).await?;
        let caller = self.enter(caller)?;
        if self.needs_a_look(&caller) {
            return self.require_visible(caller).await;
        }
        Ok(caller)
    }

    /// What a limited key is not good for is not there, whatever the endpoint.
    async fn require_visible(self, caller: Caller) -> Result<Caller, Problem> {
        let id: Option<JobId> = self
            .request
            .match_info()
            .get("id")
            .and_then(|text| text.parse().ok());
        let job = match id {
            Some(id) => self.api.store.get(&caller.tenant, id).await?,
            None => None,
        };
        match job {
            Some(job) if caller.sees(&job) => Ok(caller),
            _ => Err(Problem::no_job()),
        }
    }
}

/// That a good key does not suffice (RFC 6750 §3.1).
pub(crate) fn insufficient(scope: Scope, detail: String) -> Problem {
    let challenge = format!(
        "Bearer realm=\"coatcheck\", error=\"insufficient_scope\", scope=\"{}\"",
        scope.as_str()
    );
    let problem = Problem::new(ProblemType::InsufficientScope, detail);
    match HeaderValue::from_str(&challenge) {
        Ok(challenge) => problem.with_header(header::WWW_AUTHENTICATE, challenge),
        Err(_) => problem,
    }
}
