-- What waits and runs in which queue, counted by one process at a time and read by all. SQLite
-- needs neither table: its one process keeps what it has counted in memory.

CREATE TABLE census (
    one boolean PRIMARY KEY DEFAULT true,
    -- Null until the first count.
    taken_at timestamptz,
    -- Not to be counted again before then.
    due_at timestamptz NOT NULL,
    CONSTRAINT there_is_one CHECK (one)
);
INSERT INTO census (due_at) VALUES ('-infinity');

CREATE TABLE census_groups (
    tenant text NOT NULL,
    queue text NOT NULL,
    kind text NOT NULL,
    scheduled bigint NOT NULL,
    queued bigint NOT NULL,
    running bigint NOT NULL,
    oldest_queued_at timestamptz,
    counted_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, queue, kind)
) WITH (fillfactor = 50);
