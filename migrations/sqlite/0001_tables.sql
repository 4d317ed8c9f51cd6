-- The tables of the SQL contract. Readable and writable by SQLite 3.37 and later, so: no ->>, no unixepoch(),
-- no IS DISTINCT FROM, and messages that are literals (see 0002).
--
-- All times are UTC text of one width, 2026-11-22T13:49:00.000Z, so that text compares as time does.
-- NOT NULL ON CONFLICT REPLACE: a program that binds NULL for "not given" gets the default.

-- "BSTP": tells this file from any other SQLite file.
PRAGMA application_id = 1112757328;

-- Mirrors of the configuration: read by people and by the checks, trusted by nobody.

CREATE TABLE assets (
    name          TEXT NOT NULL PRIMARY KEY,
    medium        TEXT NOT NULL CHECK (medium IN ('image', 'text', 'video', 'audio')),
    chain         TEXT NOT NULL CHECK (json_valid(chain)),           -- JSON array of labels, "manual" where spelled out
    max_runs      INTEGER NOT NULL,
    give_up_after INTEGER NOT NULL,                                  -- seconds since a job's first claim
    on_exhausted  TEXT NOT NULL CHECK (on_exhausted IN ('manual', 'fail')),
    updated_at    TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE asset_aliases (
    alias TEXT NOT NULL PRIMARY KEY,                                 -- heroImage, hero_image
    asset TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE providers (
    name       TEXT NOT NULL PRIMARY KEY,
    title      TEXT NOT NULL,
    protocol   TEXT NOT NULL,
    medium     TEXT NOT NULL CHECK (medium IN ('image', 'text', 'video', 'audio')),
    model      TEXT,
    base_url   TEXT,
    supported  INTEGER NOT NULL CHECK (supported IN (0, 1)),         -- whether the daemon speaks its protocol
    updated_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The queue.

CREATE TABLE jobs (
    id                INTEGER PRIMARY KEY AUTOINCREMENT CHECK (id > 0),
    -- What a person writes.
    asset             TEXT NOT NULL,
    slug              TEXT NOT NULL CHECK (length(slug) BETWEEN 1 AND 200),
    prompt            TEXT,                                          -- NULL: the asset's template
    input             TEXT NOT NULL ON CONFLICT REPLACE DEFAULT '{}' CHECK (json_valid(input)),
    provider_override TEXT,                                          -- start at this provider, once
    priority          INTEGER NOT NULL ON CONFLICT REPLACE DEFAULT 5 CHECK (priority BETWEEN 0 AND 9),
    run_at            TEXT NOT NULL ON CONFLICT REPLACE DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    dedupe_key        TEXT CHECK (length(dedupe_key) BETWEEN 1 AND 200),
    max_runs          INTEGER CHECK (max_runs BETWEEN 1 AND 100),    -- NULL: the asset's
    -- How it stands.
    status            TEXT NOT NULL DEFAULT 'pending'
                      CHECK (status IN ('pending', 'running', 'manual', 'done', 'failed', 'cancelled')),
    runs              INTEGER NOT NULL DEFAULT 0 CHECK (runs BETWEEN 0 AND 1000000), -- counted runs since the last retry
    url               TEXT,
    text              TEXT,
    content_type      TEXT,
    provider          TEXT,
    fallback_used     INTEGER CHECK (fallback_used IN (0, 1)),
    message           TEXT,
    error             TEXT,
    metadata          TEXT CHECK (metadata IS NULL OR json_valid(metadata)),
    created_at        TEXT NOT NULL ON CONFLICT REPLACE DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    updated_at        TEXT NOT NULL ON CONFLICT REPLACE DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    started_at        TEXT,                                          -- first claim since the last retry
    finished_at       TEXT,                                          -- when it became done, manual, failed, cancelled
    -- The lease.
    lease_token       TEXT,
    lease_until       TEXT,
    lease_owner       TEXT,                                          -- JSON: which worker, so that its death can be proved
    deaths            INTEGER NOT NULL DEFAULT 0 CHECK (deaths BETWEEN 0 AND 1000001),              -- workers that died with this job in hand
    solo_deaths       INTEGER NOT NULL DEFAULT 0 CHECK (solo_deaths BETWEEN 0 AND 1000001),              -- of these, while it was run alone
    CHECK (status <> 'running' OR (lease_token IS NOT NULL AND lease_until IS NOT NULL)),
    CHECK (status <> 'done' OR url IS NOT NULL OR text IS NOT NULL)
) STRICT;

-- Claims seek asset = ? AND priority = ? AND run_at <= ? ORDER BY run_at, id.
CREATE INDEX jobs_due ON jobs (asset, priority, run_at, id) WHERE status = 'pending';
CREATE INDEX jobs_leased ON jobs (lease_until) WHERE status = 'running';
CREATE INDEX jobs_by_token ON jobs (lease_token) WHERE lease_token IS NOT NULL;
CREATE INDEX jobs_by_slug ON jobs (slug);
CREATE INDEX jobs_waiting ON jobs (finished_at) WHERE status = 'manual';
CREATE INDEX jobs_ended ON jobs (finished_at) WHERE status IN ('done', 'failed', 'cancelled');
-- The asset's spelling is folded here, because heroImage becomes hero-image only after it was inserted: unfolded,
-- ON CONFLICT DO NOTHING would not see the collision. Being an index on an expression, its name is what
-- SQLite prints when a plain INSERT collides.
CREATE UNIQUE INDEX jobs_one_live_job_per_dedupe_key
    ON jobs (dedupe_key, replace(replace(lower(asset), '-', ''), '_', ''))
    WHERE dedupe_key IS NOT NULL AND status IN ('pending', 'running', 'manual', 'done');

CREATE TABLE runs (
    id            INTEGER PRIMARY KEY,
    job_id        INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    number        INTEGER NOT NULL CHECK (number BETWEEN 1 AND 1000000000),
    chain         TEXT NOT NULL CHECK (json_valid(chain)),           -- JSON array: the links of this run, in order
    override      TEXT,
    prompt_digest TEXT,
    started_at    TEXT NOT NULL,
    finished_at   TEXT,
    outcome       TEXT CHECK (outcome IN ('delivered', 'exhausted', 'later', 'released', 'lost', 'cancelled')),
    provider      TEXT,
    fallback_used INTEGER CHECK (fallback_used IN (0, 1)),
    error         TEXT,
    UNIQUE (job_id, number),
    CHECK ((outcome IS NULL) = (finished_at IS NULL))
) STRICT;

CREATE TABLE attempts (
    id           INTEGER PRIMARY KEY,
    run_id       INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    job_id       INTEGER NOT NULL,
    position     INTEGER NOT NULL CHECK (position BETWEEN 0 AND 1000000), -- of the link in the run's chain, from 0
    repeat       INTEGER NOT NULL DEFAULT 0 CHECK (repeat BETWEEN 0 AND 1000000),
    provider     TEXT NOT NULL,
    model        TEXT,
    status       TEXT NOT NULL
                 CHECK (status IN ('started', 'accepted', 'delivered', 'failed', 'skipped', 'unknown')),
    class        TEXT,
    error        TEXT,
    http_status  INTEGER,
    request_id   TEXT,
    operation    TEXT,
    fingerprint  TEXT,                                               -- of the provider's settings at the call
    started_at   TEXT NOT NULL,
    finished_at  TEXT,
    cost_micros  INTEGER NOT NULL DEFAULT 0 CHECK (cost_micros BETWEEN 0 AND 1000000000000)
) STRICT;

CREATE INDEX attempts_by_run ON attempts (run_id);
CREATE INDEX attempts_refused ON attempts (job_id) WHERE class = 'refused';
CREATE INDEX attempts_open ON attempts (status) WHERE status IN ('started', 'accepted');

-- What is remembered.

CREATE TABLE asset_health (
    asset                   TEXT NOT NULL PRIMARY KEY,
    last_success_at         TEXT,
    last_failure_at         TEXT,
    last_error              TEXT,
    last_resolved_source    TEXT,                                    -- a provider, or 'manual'
    last_fallback_used      INTEGER CHECK (last_fallback_used IN (0, 1)),
    primary_provider        TEXT,                                    -- whom the two columns below speak of
    primary_last_failure_at TEXT,
    primary_last_error      TEXT,
    updated_at              TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT, WITHOUT ROWID;

CREATE TABLE provider_health (
    provider             TEXT NOT NULL PRIMARY KEY,
    state                TEXT NOT NULL DEFAULT 'closed' CHECK (state IN ('closed', 'open', 'half-open')),
    consecutive_failures INTEGER NOT NULL DEFAULT 0 CHECK (consecutive_failures BETWEEN 0 AND 4294967295),
    last_success_at      TEXT,
    last_failure_at      TEXT,
    last_error           TEXT,
    last_class           TEXT,
    open_until           TEXT,
    paused_until         TEXT,
    step                 INTEGER NOT NULL DEFAULT 0 CHECK (step BETWEEN 0 AND 4294967295), -- how often the breaker's wait was doubled
    cool_until           TEXT,
    probe_job            INTEGER,
    probe_until          TEXT,
    held_class           TEXT CHECK (held_class IN ('auth', 'retired')),
    held_fingerprint     TEXT,
    updated_at           TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT, WITHOUT ROWID;

-- Files that are being brought to the vault: their keys, before the upload begins.
CREATE TABLE staged (
    key        TEXT NOT NULL PRIMARY KEY,
    attempt_id INTEGER NOT NULL,
    created_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Ticks of recurring schedules that were enqueued (or deliberately skipped: job_id NULL).
CREATE TABLE recurring_ticks (
    schedule   TEXT NOT NULL,
    tick       TEXT NOT NULL,
    job_id     INTEGER,
    created_at TEXT NOT NULL,
    PRIMARY KEY (schedule, tick)
) STRICT, WITHOUT ROWID;

-- The outbox: written in the transaction that changes the job, sent later.
CREATE TABLE notices (
    id         INTEGER PRIMARY KEY,
    job_id     INTEGER NOT NULL,
    kind       TEXT NOT NULL CHECK (kind IN ('manual', 'done', 'failed')),
    created_at TEXT NOT NULL,
    sent_at    TEXT
) STRICT;

CREATE INDEX notices_unsent ON notices (id) WHERE sent_at IS NULL;

-- One INSERT's note from its BEFORE to its AFTER trigger (see 0002).
CREATE TABLE dedupe_guard (job_id INTEGER NOT NULL) STRICT;
