-- Every call of a provider whose calls are bounded, by whichever daemon: what `concurrency`, `calls_per_minute` and
-- `calls_per_hour` are held to. Before a call its row is written, in a transaction that counts the others. What is
-- older than an hour is deleted by the next call of the provider.
--
-- A call is under way while it has no end and its job runs under the same lease, which has not run out. So a dead worker's
-- calls make room when its jobs are taken over, and nobody has to renew anything here.

CREATE TABLE provider_calls (
    id         INTEGER PRIMARY KEY,
    provider   TEXT NOT NULL,
    job_id     INTEGER NOT NULL,
    token      TEXT NOT NULL,                                        -- the lease it is made under
    started_at TEXT NOT NULL,
    ended_at   TEXT                                                  -- NULL: no verdict yet, or none any more
) STRICT;

CREATE INDEX provider_calls_by_start ON provider_calls (provider, started_at);
CREATE INDEX provider_calls_open ON provider_calls (provider, job_id) WHERE ended_at IS NULL;
