-- no-transaction
-- Jobs that wait again after a worker has died under them. A claim changes none of these columns.
CREATE INDEX CONCURRENTLY IF NOT EXISTS jobs_suspected ON jobs (queued_at) WHERE crashes > 0 AND active;
