-- A job is a row. Every index below is on columns that claiming a job does not change, so that
-- the claim is a heap-only (HOT) update; the finish, which leaves `active`, is the one that is not.
-- The fill factor leaves room for both new versions of a row in its page.

CREATE TABLE queues (
    name text PRIMARY KEY
);

CREATE TABLE kinds (
    name text PRIMARY KEY,
    definition text NOT NULL
);

-- One row a worker process. An ended lease never comes back.
CREATE TABLE leases (
    id uuid PRIMARY KEY,
    worker text NOT NULL,
    ends_at timestamptz NOT NULL,
    -- How often the rescuer has looked for its jobs since it ended.
    sweeps integer NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE TABLE jobs (
    id uuid PRIMARY KEY,
    tenant text NOT NULL,
    kind text NOT NULL,
    queue text NOT NULL,
    priority smallint NOT NULL,
    state text NOT NULL,
    attempt integer NOT NULL DEFAULT 0,
    max_attempts integer NOT NULL,
    crashes integer NOT NULL DEFAULT 0,
    cancel_requested boolean NOT NULL DEFAULT false,
    -- The lease of the newest attempt; with `attempt`, the fencing token.
    lease uuid,
    created_at timestamptz NOT NULL,
    run_at timestamptz NOT NULL,
    queued_at timestamptz,
    started_at timestamptz,
    finished_at timestamptz,
    expires_at timestamptz,
    start_by timestamptz,
    deadline_at timestamptz,
    timeout_ms bigint,
    retain_s bigint NOT NULL,
    backoff_ms bigint,
    progress text,
    failure text,
    metadata text,
    traceparent text,
    payload_type text NOT NULL,
    payload_size bigint NOT NULL,
    -- Null where the payload lies in chunks.
    payload bytea,
    result_type text,
    result_status integer,
    result_headers text,
    result_size bigint,
    -- Null where there is no result, or it lies in chunks.
    result bytea,
    active boolean NOT NULL GENERATED ALWAYS AS (state IN ('scheduled', 'queued', 'running')) STORED,
    due_at timestamptz GENERATED ALWAYS AS (CASE WHEN state = 'scheduled' THEN run_at END) STORED,
    overdue_at timestamptz GENERATED ALWAYS AS (LEAST(start_by, deadline_at)) STORED,
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
) WITH (fillfactor = 45, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

-- Bodies arrive compressed or small; compressing them again costs more than it saves.
ALTER TABLE jobs ALTER COLUMN payload SET STORAGE EXTERNAL;
ALTER TABLE jobs ALTER COLUMN result SET STORAGE EXTERNAL;

CREATE INDEX jobs_by_tenant ON jobs (tenant, id);
CREATE INDEX jobs_active ON jobs (queue, priority, queued_at) WHERE active;
CREATE INDEX jobs_due ON jobs (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX jobs_overdue ON jobs (overdue_at) WHERE overdue_at IS NOT NULL AND active;
CREATE INDEX jobs_told_to_stop ON jobs (id) WHERE cancel_requested AND active;
CREATE INDEX jobs_expired ON jobs (expires_at) WHERE expires_at IS NOT NULL;

-- Attempts that another followed. The newest attempt is in the job's own row.
CREATE TABLE attempts (
    job_id uuid NOT NULL,
    number integer NOT NULL,
    started_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    worker text,
    outcome text NOT NULL,
    failure text,
    PRIMARY KEY (job_id, number, started_at)
);

-- Bodies too large for the row: the payload under attempt 0, a result under its attempt.
CREATE TABLE chunks (
    job_id uuid NOT NULL,
    attempt integer NOT NULL,
    sequence integer NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (job_id, attempt, sequence)
);
ALTER TABLE chunks ALTER COLUMN body SET STORAGE EXTERNAL;

-- A number that was handed back is another attempt's: the time of its start tells them apart.
CREATE TABLE logs (
    job_id uuid NOT NULL,
    attempt integer NOT NULL,
    started_at timestamptz NOT NULL,
    sequence integer NOT NULL,
    logged_at timestamptz NOT NULL,
    line text NOT NULL,
    PRIMARY KEY (job_id, started_at, attempt, sequence)
);

-- Which request a client's Idempotency-Key stands for, and what became of it.
CREATE TABLE idempotency_keys (
    tenant text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    job_id uuid NOT NULL,
    -- The status of the first answer.
    status integer NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, key)
);
CREATE INDEX idempotency_keys_expired ON idempotency_keys (expires_at);

-- The job that holds a unique key. A key whose job is no longer in its way is taken over, so no
-- job has to give its key back when it ends.
CREATE TABLE unique_keys (
    tenant text NOT NULL,
    key text NOT NULL,
    job_id uuid NOT NULL,
    -- Held until then whatever becomes of the job; null: while the job is active.
    held_until timestamptz,
    PRIMARY KEY (tenant, key)
);
CREATE INDEX unique_keys_of_jobs ON unique_keys (job_id);
CREATE INDEX unique_keys_held_until ON unique_keys (held_until) WHERE held_until IS NOT NULL;

-- What callers show to be let in. Of a secret only its hash is kept.
CREATE TABLE api_keys (
    id uuid PRIMARY KEY,
    secret_hash bytea NOT NULL UNIQUE,
    tenant text NOT NULL,
    -- Lists of names as JSON; null: all.
    scopes text NOT NULL,
    queues text,
    kinds text,
    created_at timestamptz NOT NULL,
    expires_at timestamptz
);
