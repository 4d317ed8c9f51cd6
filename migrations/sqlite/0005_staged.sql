-- What a delivery needs besides its file, so that a crash between the upload and the end of a run costs no second
-- call. Nothing was written to the first form of this table.

DROP TABLE staged;

-- Files that are being brought to the vault: their keys, before the upload begins. The transaction that ends their
-- run as delivered takes them away; what a dead run left here is swept after a day, with its file.
CREATE TABLE staged (
    key        TEXT NOT NULL PRIMARY KEY,
    job_id     INTEGER NOT NULL,
    run_id     INTEGER NOT NULL,
    attempt_id INTEGER,                                              -- NULL: of a call that is free to repeat
    output     TEXT NOT NULL CHECK (json_valid(output)),             -- metadata, model, cost, request id
    created_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX staged_by_attempt ON staged (attempt_id) WHERE attempt_id IS NOT NULL;
CREATE INDEX staged_by_age ON staged (created_at);
