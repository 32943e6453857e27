//! Every type of problem: its name, its status, its title, and the explanation that its page
//! serves.

use actix_web::http::StatusCode;

/// What a type of problem means.
pub(crate) struct Row {
    /// The last segment of the type's path.
    pub(crate) name: &'static str,
    /// The one status that it is answered with.
    pub(crate) status: u16,
    /// The type in a few words.
    pub(crate) title: &'static str,
    /// When it occurs and what to do about it.
    pub(crate) explanation: &'static str,
}

macro_rules! problem_types {
    ($($variant:ident = $status:literal, $name:literal, $title:literal, $explanation:literal;)*) => {
        /// A type of problem. Its path is stable: clients may compare it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum ProblemType {
            $(#[doc = $title] $variant,)*
        }

        impl ProblemType {
            /// Every type.
            pub(crate) const ALL: &[Self] = &[$(Self::$variant),*];

            /// What it means.
            pub(crate) const fn row(self) -> Row {
                match self {
                    $(Self::$variant => Row {
                        name: $name,
                        status: $status,
                        title: $title,
                        explanation: $explanation,
                    },)*
                }
            }
        }
    };
}

problem_types! {
    MalformedRequest = 400, "malformed-request", "The request cannot be read",
        "The request breaks HTTP itself (RFC 9112), or could be read in two ways, so nothing was looked at and the connection was closed. `detail` says where. Check the client or the proxy in between.";
    MalformedJson = 400, "malformed-json", "The body is not acceptable JSON",
        "A body is one JSON object in UTF-8, nested at most 64 deep, in which no object has the same member twice, at any depth. `errors` says where it breaks these rules.";
    InvalidRequest = 400, "invalid-request", "Fields of the body are wrong",
        "The body is JSON, but some of its fields are missing, unknown, of the wrong type or out of range, or the payload does not fit the JSON Schema of its kind. `errors` names each of them with a JSON pointer. Where the kind is not known, `kinds` lists those that are; GET /v1/kinds has their schemas.";
    InvalidParameter = 400, "invalid-parameter", "Parameters of the query are wrong",
        "A filter, a limit, an offset or a cursor cannot be used, or a move of many jobs names no filter at all. `errors` names each of them, as if the query were a JSON object. A cursor is good only as it was handed out.";
    InvalidIdempotencyKey = 400, "invalid-idempotency-key", "The Idempotency-Key cannot be used",
        "An Idempotency-Key is one string of 1 to 255 visible ASCII characters, in double quotes or without any. A batch takes one only where it is atomic. Nothing was stored.";
    Unauthorized = 401, "unauthorized", "A credential is needed",
        "This server knows its callers by key. Send it as `Authorization: Bearer KEY`. The answer is the same for a key that is missing and one that is wrong, but for its WWW-Authenticate field.";
    InsufficientScope = 403, "insufficient-scope", "The key does not allow this",
        "The key is good, but lacks the scope that WWW-Authenticate names, or is limited to other queues or kinds than those of the job that is to be made, or administers another tenant than the one that a key is to be made for. What a limited key may not see is answered 404, as if it were not there.";
    CrossOrigin = 403, "cross-origin", "A page of another origin asks for this",
        "The server lets callers in without a key, so a page that is open in a browser beside it could have work done. It takes requests that change something from its own pages and from the origins in cors.origins alone. Nothing was done.";
    RouteNotFound = 404, "route-not-found", "There is nothing at this path",
        "No resource has this path. Mind that paths have no slash at their end.";
    JobNotFound = 404, "job-not-found", "There is no such job",
        "No job with this id is visible to the caller: it was never submitted, its retention is over, or it belongs to someone else. The three cannot be told apart.";
    JobGone = 404, "job-gone", "The job of this request is kept no longer",
        "The same request came before under the same Idempotency-Key and became the job that `job` names, which has since been deleted or is past its retention. No second job was made. Submit under a new key to have the work done again.";
    KeyNotFound = 404, "key-not-found", "There is no such key",
        "No key with this id is visible to the caller: it was never made, it was revoked, or it belongs to another tenant. The three cannot be told apart.";
    QueueNotFound = 404, "queue-not-found", "There is no such queue",
        "A queue is made on first use, so every name of 1 to 64 of `a-z 0-9 _ . -` is one; this is none.";
    ResultNotReady = 404, "result-not-ready", "The job is not finished",
        "The job exists and has no result yet. Come back after Retry-After, or ask for the job with `Prefer: wait=N`.";
    NoResult = 404, "no-result", "The job ended without a result",
        "The job failed or was cancelled, so there will be no result. The job itself says why in `error`.";
    MethodNotAllowed = 405, "method-not-allowed", "The resource does not have this method",
        "The Allow field lists the methods that it has.";
    RequestTimeout = 408, "request-timeout", "The request took too long to arrive",
        "The head or the body did not arrive in the time that limits.request_s allows, and the connection was closed. Nothing was stored.";
    JobFinished = 409, "job-finished", "The job is finished",
        "A job that has succeeded or failed cannot be cancelled any more. `state` says how it ended.";
    UniqueJobExists = 409, "job-exists", "Another job holds this unique key",
        "A job that was submitted with the same `unique.key` still holds it, so no second one was made. `existing_job` is its URL.";
    JobNotRetryable = 409, "job-not-retryable", "The job cannot be sent round again",
        "Only a job that has failed or was cancelled can be retried. `state` says where this one is.";
    JobActive = 409, "job-active", "The job is not finished",
        "Only a finished job can be deleted. `state` says where this one is: cancel it first, and wait until it is.";
    PreconditionFailed = 412, "precondition-failed", "The resource is not as the request expects",
        "If-Match names no tag of the resource as it stands now. Ask for the resource again, and decide anew.";
    TooManyKeys = 409, "too-many-keys", "There are too many keys",
        "The server keeps as many keys as it can. Revoke some first.";
    BodyTooLarge = 413, "body-too-large", "The body is too large",
        "`limit_bytes` is the largest body that this server takes (limits.body_bytes).";
    UriTooLong = 414, "uri-too-long", "The URI is too long",
        "`limit_bytes` is the longest target of a request that this server takes.";
    UnsupportedMediaType = 415, "unsupported-media-type", "The body is of a media type that is not taken",
        "Send `Content-Type: application/json`, for a batch also `application/x-ndjson`; a charset other than UTF-8 is refused. The Accept field repeats it.";
    UnsupportedCoding = 415, "unsupported-coding", "The body is coded in a way that is not taken",
        "Send the body as it is, without a Content-Encoding.";
    RangeNotSatisfiable = 416, "range-not-satisfiable", "The range lies outside",
        "The Range field asks for nothing that is there. Content-Range says how much there is.";
    IdempotencyKeyReused = 422, "idempotency-key-reused", "The Idempotency-Key belongs to another request",
        "A request with another method, target, media type or body came before under the same Idempotency-Key. Nothing was stored. Use a new key for each new request, and the same one only to repeat a request as it was.";
    RateLimited = 429, "rate-limited", "The caller makes too many requests",
        "The caller's key has used up its rate (limits.rate_per_s and limits.rate_burst). The fields RateLimit and RateLimit-Policy (IETF draft) say what is left and what is allowed. Nothing was done. Try again after Retry-After.";
    QuotaExceeded = 429, "quota-exceeded", "The tenant has too many unfinished jobs",
        "The key's tenant has as many scheduled, queued and running jobs as it may have (limits.unfinished_jobs). Nothing was stored. Cancel some, or wait until some are finished: try again after Retry-After, with the same Idempotency-Key.";
    HeadersTooLarge = 431, "headers-too-large", "The header fields are too large",
        "`limit_bytes` is how much all header fields of a request may take together.";
    Internal = 500, "internal", "Something went wrong in the server",
        "The fault is the server's. `instance` is the id under which the operator finds it in the log.";
    MethodNotImplemented = 501, "method-not-implemented", "No resource has this method",
        "The server does not know the method at all.";
    CodingNotImplemented = 501, "coding-not-implemented", "The transfer coding is not known",
        "The Transfer-Encoding of a request can be `chunked` and nothing else. The connection was closed.";
    KindNotImplemented = 501, "kind-not-implemented", "The kind is declared but cannot be run yet",
        "The operator has announced this kind in advance; nothing runs it. Nothing was stored.";
    DatabaseUnavailable = 503, "database-unavailable", "The database is not available",
        "The database cannot be reached or did not answer in time. Try again after Retry-After. A submission may have been stored though its answer was lost: retry it with the same Idempotency-Key.";
    QueueFull = 503, "queue-full", "Too many jobs wait in this queue",
        "As many jobs wait in the queue as the server lets wait (limits.queue_depth). Nothing was stored. Try again after Retry-After, with the same Idempotency-Key.";
    ShuttingDown = 503, "shutting-down", "The server is about to end",
        "The process was told to end. It still answers, but whoever chooses between several should choose another.";
    Overloaded = 503, "overloaded", "The server is at its limit",
        "The server holds as much as it may at once: connections (limits.connections), bodies, or answers that follow a job. Nothing was stored. Try again after Retry-After.";
    VersionNotSupported = 505, "version-not-supported", "The version of HTTP is not spoken here",
        "The server speaks HTTP/1.1 and HTTP/1.0. A client that wants HTTP/2 has to go through a proxy that speaks it. The connection was closed.";
}

impl ProblemType {
    /// The type's URI: a path on this server, at which its explanation stands.
    pub(crate) fn path(self) -> String {
        format!("/problems/{}", self.row().name)
    }

    /// The status that it is answered with.
    pub(crate) fn status(self) -> StatusCode {
        StatusCode::from_u16(self.row().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The type with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|each| each.row().name == name)
    }
}
