//! The statements that read the same in both dialects.

use super::rows::job_columns;

pub(super) const GET: &str = concat!(
    "SELECT ",
    job_columns!(),
    " FROM jobs WHERE tenant = $1 AND id = $2"
);

pub(super) const RESULT: &str = "SELECT result_type, result_status, result_headers, \
     result_size, result FROM jobs WHERE id = $1 AND state = 'succeeded'";

pub(super) const ENDED_ATTEMPTS: &str = "SELECT number, started_at, finished_at, worker, \
     outcome, failure FROM attempts WHERE job_id = $1 ORDER BY started_at, number";

pub(super) const WORKER_OF_NEWEST_ATTEMPT: &str = "SELECT leases.worker FROM jobs \
     JOIN leases ON leases.id = jobs.lease WHERE jobs.id = $1";

pub(super) const LOGS: &str = "SELECT attempt, started_at, sequence, logged_at, line FROM logs \
     WHERE job_id = $1 ORDER BY started_at, attempt, sequence LIMIT $3 OFFSET $2";

pub(super) const CREATE_QUEUE: &str =
    "INSERT INTO queues (name) VALUES ($1) ON CONFLICT DO NOTHING";

pub(super) const QUEUES: &str = "SELECT name FROM queues ORDER BY name";

pub(super) const KINDS: &str = "SELECT definition FROM kinds ORDER BY name";

pub(super) const ANNOUNCE_KIND: &str = "INSERT INTO kinds (name, definition) VALUES ($1, $2) \
     ON CONFLICT (name) DO UPDATE SET definition = excluded.definition \
     WHERE kinds.definition <> excluded.definition";

pub(super) const CANCEL_REQUESTS: &str = "SELECT id FROM jobs \
     WHERE cancel_requested AND active AND state = 'running' AND lease = $1";

pub(super) const QUEUED_AT: &str = "SELECT queued_at FROM jobs WHERE id = $1";

// One look into the index for each lane. Of an EXISTS Postgres makes a join with all jobs that
// wait, and without the order it would read them too.
pub(super) const LANES: &str = "SELECT queues.name AS queue, ranks.rank AS priority FROM queues, \
     (SELECT 0 AS rank UNION ALL SELECT 1 UNION ALL SELECT 2) AS ranks \
     WHERE (SELECT 1 FROM jobs WHERE active AND state = 'queued' \
     AND queue = queues.name AND priority = ranks.rank ORDER BY queued_at LIMIT 1) IS NOT NULL";

pub(super) const QUEUED_BEFORE: &str = "SELECT id FROM jobs WHERE active AND state = 'queued' \
     AND crashes = 0 AND queue = $1 AND priority = $2 AND queued_at < $3 ORDER BY queued_at LIMIT $4";

pub(super) const COUNT_WAITING: &str = "SELECT count(*) FROM (SELECT 1 FROM jobs \
     WHERE active AND queue = $1 AND state IN ('queued', 'scheduled') LIMIT $2) AS waiting";

pub(super) const COUNT_UNFINISHED: &str = "SELECT count(*) FROM (SELECT 1 FROM jobs \
     WHERE active AND tenant = $1 LIMIT $2) AS unfinished";

pub(super) const INSERT_ENDED_ATTEMPT: &str = "INSERT INTO attempts \
     (job_id, number, started_at, finished_at, worker, outcome, failure) \
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";

pub(super) const INSERT_CHUNK: &str = "INSERT INTO chunks (job_id, attempt, sequence, body) \
     VALUES ($1, $2, $3, $4) \
     ON CONFLICT (job_id, attempt, sequence) DO UPDATE SET body = excluded.body";

/// Over Postgres `substr` of all of 100 KiB takes 91 µs, the column itself 53.
pub(super) const CHUNK: &str = "SELECT CASE WHEN $4 = 1 AND $5 >= length(body) \
     THEN body ELSE substr(body, $4, $5) END \
     FROM chunks WHERE job_id = $1 AND attempt = $2 AND sequence = $3";

pub(super) const HAS_IDEMPOTENCY_KEY: &str = "SELECT EXISTS (SELECT 1 FROM idempotency_keys \
     WHERE tenant = $1 AND key = $2 AND expires_at > $3)";

pub(super) const SET_REPLAYED_STATUS: &str =
    "UPDATE idempotency_keys SET status = $3 WHERE tenant = $1 AND key = $2";

pub(super) const GIVE_BACK_IDEMPOTENCY_KEY: &str =
    "DELETE FROM idempotency_keys WHERE job_id = $1 AND tenant = $2 AND key = $3";

pub(super) const TAKE_UNIQUE_KEY: &str = "INSERT INTO unique_keys \
     (tenant, key, job_id, held_until) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";

pub(super) const TAKE_OVER_UNIQUE_KEY: &str = "UPDATE unique_keys \
     SET job_id = $3, held_until = $4 WHERE tenant = $1 AND key = $2";

/// A macro, since Postgres locks what it finds by what it puts behind this.
macro_rules! unique_key {
    () => {
        "SELECT job_id, held_until FROM unique_keys WHERE tenant = $1 AND key = $2"
    };
}
pub(super) use unique_key;

pub(super) const INSERT_API_KEY: &str = "INSERT INTO api_keys \
     (id, secret_hash, tenant, scopes, queues, kinds, created_at, expires_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO NOTHING";

pub(super) const API_KEYS: &str = "SELECT id, secret_hash, tenant, scopes, queues, kinds, \
     created_at, expires_at FROM api_keys ORDER BY created_at, id";

pub(super) const DELETE_API_KEY: &str = "DELETE FROM api_keys WHERE id = $1";
