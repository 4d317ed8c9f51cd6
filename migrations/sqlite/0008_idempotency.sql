-- Requests that must not be fulfilled twice, however often they are sent: the key that a program gave its request, and a
-- digest of what it asked for. Written with the job, and gone with it.

CREATE TABLE idempotency (
    key        TEXT NOT NULL PRIMARY KEY,
    digest     TEXT NOT NULL,
    job_id     INTEGER NOT NULL,
    created_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_by_job ON idempotency (job_id);

CREATE TRIGGER jobs_take_their_idempotency_keys_along AFTER DELETE ON jobs
BEGIN
    DELETE FROM idempotency WHERE job_id = OLD.id;
END;
