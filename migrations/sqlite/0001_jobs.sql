-- The same tables as in Postgres. Ids are BLOBs of 16 bytes, times INTEGERs of microseconds since
-- the Unix epoch: both compare as they sort. What Postgres is told of its storage has no meaning here.

CREATE TABLE queues (
    name TEXT PRIMARY KEY
);

CREATE TABLE kinds (
    name TEXT PRIMARY KEY,
    definition TEXT NOT NULL
);

-- One row a worker process. An ended lease never comes back.
CREATE TABLE leases (
    id BLOB PRIMARY KEY,
    worker TEXT NOT NULL,
    ends_at INTEGER NOT NULL,
    -- How often the rescuer has looked for its jobs since it ended.
    sweeps INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE jobs (
    id BLOB PRIMARY KEY,
    tenant TEXT NOT NULL,
    kind TEXT NOT NULL,
    queue TEXT NOT NULL,
    priority INTEGER NOT NULL,
    state TEXT NOT NULL,
    attempt INTEGER NOT NULL DEFAULT 0,
    max_attempts INTEGER NOT NULL,
    crashes INTEGER NOT NULL DEFAULT 0,
    cancel_requested BOOLEAN NOT NULL DEFAULT false,
    -- The lease of the newest attempt; with `attempt`, the fencing token.
    lease BLOB,
    created_at INTEGER NOT NULL,
    run_at INTEGER NOT NULL,
    queued_at INTEGER,
    started_at INTEGER,
    finished_at INTEGER,
    expires_at INTEGER,
    start_by INTEGER,
    deadline_at INTEGER,
    timeout_ms INTEGER,
    retain_s INTEGER NOT NULL,
    backoff_ms INTEGER,
    progress TEXT,
    failure TEXT,
    metadata TEXT,
    traceparent TEXT,
    payload_type TEXT NOT NULL,
    payload_size INTEGER NOT NULL,
    -- Null where the payload lies in chunks.
    payload BLOB,
    result_type TEXT,
    result_status INTEGER,
    result_headers TEXT,
    result_size INTEGER,
    -- Null where there is no result, or it lies in chunks.
    result BLOB,
    active BOOLEAN GENERATED ALWAYS AS (state IN ('scheduled', 'queued', 'running')) VIRTUAL,
    due_at INTEGER GENERATED ALWAYS AS (CASE WHEN state = 'scheduled' THEN run_at END) VIRTUAL,
    overdue_at INTEGER GENERATED ALWAYS AS (coalesce(min(start_by, deadline_at), start_by, deadline_at)) VIRTUAL,
    CONSTRAINT priority_is_known CHECK (priority BETWEEN 0 AND 2),
    CONSTRAINT state_is_known
        CHECK (state IN ('scheduled', 'queued', 'running', 'succeeded', 'failed', 'cancelled')),
    CONSTRAINT attempts_are_within_bounds CHECK (max_attempts >= 1 AND attempt BETWEEN 0 AND max_attempts AND crashes >= 0),
    CONSTRAINT queued_since_some_time CHECK (state <> 'queued' OR queued_at IS NOT NULL),
    CONSTRAINT running_under_a_lease
        CHECK (state <> 'running' OR (lease IS NOT NULL AND attempt > 0 AND started_at IS NOT NULL)),
    CONSTRAINT finished_or_active
        CHECK ((state IN ('scheduled', 'queued', 'running')) = (finished_at IS NULL)
           AND (finished_at IS NULL) = (expires_at IS NULL)),
    CONSTRAINT only_a_success_has_a_result CHECK ((state = 'succeeded') = (result_size IS NOT NULL)),
    CONSTRAINT only_a_failure_ends_in_one CHECK (state <> 'failed' OR failure IS NOT NULL),
    CONSTRAINT told_to_stop_only_once_begun
        CHECK (NOT cancel_requested OR state IN ('running', 'cancelled'))
);

CREATE INDEX jobs_by_tenant ON jobs (tenant, id);
CREATE INDEX jobs_active ON jobs (queue, priority, queued_at) WHERE active;
CREATE INDEX jobs_due ON jobs (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX jobs_overdue ON jobs (overdue_at) WHERE overdue_at IS NOT NULL AND active;
CREATE INDEX jobs_told_to_stop ON jobs (id) WHERE cancel_requested AND active;
CREATE INDEX jobs_expired ON jobs (expires_at) WHERE expires_at IS NOT NULL;

-- Attempts that another followed. The newest attempt is in the job's own row.
CREATE TABLE attempts (
    job_id BLOB NOT NULL,
    number INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    worker TEXT,
    outcome TEXT NOT NULL,
    failure TEXT,
    PRIMARY KEY (job_id, number, started_at)
);

-- Bodies too large for the row: the payload under attempt 0, a result under its attempt.
CREATE TABLE chunks (
    job_id BLOB NOT NULL,
    attempt INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (job_id, attempt, sequence)
);

-- A number that was handed back is another attempt's: the time of its start tells them apart.
CREATE TABLE logs (
    job_id BLOB NOT NULL,
    attempt INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    logged_at INTEGER NOT NULL,
    line TEXT NOT NULL,
    PRIMARY KEY (job_id, started_at, attempt, sequence)
);

-- Which request a client's Idempotency-Key stands for, and what became of it.
CREATE TABLE idempotency_keys (
    tenant TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    job_id BLOB NOT NULL,
    -- The status of the first answer.
    status INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, key)
);
CREATE INDEX idempotency_keys_expired ON idempotency_keys (expires_at);

-- The job that holds a unique key. A key whose job is no longer in its way is taken over, so no
-- job has to give its key back when it ends.
CREATE TABLE unique_keys (
    tenant TEXT NOT NULL,
    key TEXT NOT NULL,
    job_id BLOB NOT NULL,
    -- Held until then whatever becomes of the job; null: while the job is active.
    held_until INTEGER,
    PRIMARY KEY (tenant, key)
);
CREATE INDEX unique_keys_of_jobs ON unique_keys (job_id);
CREATE INDEX unique_keys_held_until ON unique_keys (held_until) WHERE held_until IS NOT NULL;

-- What callers show to be let in. Of a secret only its hash is kept.
CREATE TABLE api_keys (
    id BLOB PRIMARY KEY,
    secret_hash BLOB NOT NULL UNIQUE,
    tenant TEXT NOT NULL,
    -- Lists of names as JSON; null: all.
    scopes TEXT NOT NULL,
    queues TEXT,
    kinds TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER
);
