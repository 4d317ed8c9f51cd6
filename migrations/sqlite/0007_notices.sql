-- Notices of more kinds, with a name of their own that receivers know them by, and what became of each at each
-- destination. The table is made anew, because its CHECK named three kinds.

CREATE TABLE notices_kept AS SELECT id, job_id, kind, created_at, sent_at FROM notices;
DROP TABLE notices;

-- The outbox: written in the transaction that changes the job or the provider, sent later. Setting sent_at to NULL
-- sends a notice once more, under the same name.
CREATE TABLE notices (
    id         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE DEFAULT ('msg_' || lower(hex(randomblob(16)))),
    kind       TEXT NOT NULL CHECK (kind IN ('manual', 'done', 'failed', 'provider_opened', 'provider_closed',
                                             'provider_retired', 'budget_80', 'budget_100')),
    job_id     INTEGER,
    provider   TEXT,
    detail     TEXT,
    topic      TEXT UNIQUE, -- what is told once only: one budget's threshold in one period
    created_at TEXT NOT NULL,
    sent_at    TEXT
) STRICT;

INSERT INTO notices (id, job_id, kind, created_at, sent_at)
    SELECT id, job_id, kind, created_at, sent_at FROM notices_kept;
DROP TABLE notices_kept;

CREATE INDEX notices_unsent ON notices (id) WHERE sent_at IS NULL;

-- What became of a notice at one destination of the configuration.
CREATE TABLE notice_sends (
    notice_id   INTEGER NOT NULL,
    destination TEXT NOT NULL,
    tries       INTEGER NOT NULL,
    next_at     TEXT,          -- when it is tried again
    sent_at     TEXT,          -- when it was taken
    gave_up_at  TEXT,          -- when it was tried for the last time
    error       TEXT,          -- what the last try came to
    PRIMARY KEY (notice_id, destination)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER notices_are_sent_again AFTER UPDATE OF sent_at ON notices
WHEN OLD.sent_at IS NOT NULL AND NEW.sent_at IS NULL
BEGIN
    DELETE FROM notice_sends WHERE notice_id = NEW.id;
END;

CREATE TRIGGER notices_take_their_sends_along AFTER DELETE ON notices
BEGIN
    DELETE FROM notice_sends WHERE notice_id = OLD.id;
END;
