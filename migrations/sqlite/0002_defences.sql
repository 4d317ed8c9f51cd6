-- How the queue defends itself against what anybody may write into it.
--
-- * Refusals are BEFORE triggers with RAISE(ABORT): INSERT OR IGNORE swallows a violated CHECK, not an ABORT. The
--   CHECKs of 0001 are the net below, for whatever gets past a trigger.
-- * Messages are literals. An expression there needs SQLite 3.47 and makes the whole file unreadable before it.
-- * They do not rely on foreign keys, which the sqlite3 shell leaves off.
-- * A person and the daemon are told apart by shape. Entering running needs a new lease token. Leaving
--   running with another token (the daemon sets NULL) is the daemon's finish; with the token unchanged it is a
--   person, and a trigger clears the token so that the daemon's late write, which names it, matches nothing.
-- * Dates are read with '+0 days': without a modifier SQLite hands 2026-02-31 and 24:00 back as they were written.
-- * The daemon claims and finishes thousands of rows a second: every trigger on its path has a WHEN that is decided by
--   comparing a status or a token.

-- INSERT

CREATE TRIGGER jobs_insert_is_checked BEFORE INSERT ON jobs
BEGIN
    SELECT CASE
        WHEN NOT EXISTS (SELECT 1 FROM assets WHERE name = NEW.asset)
            AND NOT EXISTS (SELECT 1 FROM asset_aliases WHERE alias = NEW.asset)
            THEN RAISE(ABORT, 'unknown asset; SELECT name FROM assets')
        WHEN NEW.slug IS NULL OR trim(NEW.slug) = ''
            THEN RAISE(ABORT, 'slug must not be empty; it says what the asset is for')
        WHEN length(NEW.slug) > 200
            THEN RAISE(ABORT, 'slug must not be longer than 200 characters')
        WHEN instr(NEW.slug, char(0)) OR NEW.slug GLOB
            '*[' || char(1) || '-' || char(31) || char(127) || '-' || char(159) || char(8232) || '-'
            || char(8238) || char(8294) || '-' || char(8297) || char(65279) || ']*'
            THEN RAISE(ABORT, 'slug must not contain control characters')
        WHEN trim(NEW.slug) <> NEW.slug
            THEN RAISE(ABORT, 'slug must not begin or end with a space')
        WHEN instr(NEW.slug, '\')
            THEN RAISE(ABORT, 'slug must not contain a backslash')
        WHEN instr('/' || NEW.slug || '/', '//')
            THEN RAISE(ABORT, 'slug must not begin or end with a slash, nor contain two in a row')
        WHEN instr('/' || NEW.slug || '/', '/../') OR instr('/' || NEW.slug || '/', '/./')
            THEN RAISE(ABORT, 'slug must not contain . or .. as a path segment')
        WHEN trim(NEW.prompt) = ''
            THEN RAISE(ABORT, 'prompt must not be empty; leave it out to use the prompt of the asset')
        WHEN length(NEW.prompt) > 100000
            THEN RAISE(ABORT, 'prompt must not be longer than 100000 characters')
        WHEN instr(NEW.prompt, char(0))
            THEN RAISE(ABORT, 'prompt must not contain a NUL character')
        WHEN length(CAST(NEW.input AS BLOB)) > 1000000
            THEN RAISE(ABORT, 'input must not be larger than 1000000 bytes')
        WHEN CASE WHEN json_valid(NEW.input) THEN json_type(NEW.input) <> 'object' ELSE NEW.input IS NOT NULL END
            THEN RAISE(ABORT, 'input must be a JSON object, such as {"title": "My article"}')
        WHEN NEW.priority NOT BETWEEN 0 AND 9
            THEN RAISE(ABORT, 'priority must be a whole number from 0 to 9; 9 goes first')
        WHEN NEW.max_runs NOT BETWEEN 1 AND 100
            THEN RAISE(ABORT, 'max_runs must be a whole number from 1 to 100')
        WHEN NEW.run_at IS NOT NULL AND (lower(NEW.run_at) = 'now'
            OR (date(substr(NEW.run_at, 1, 10), '+0 days') = substr(NEW.run_at, 1, 10)
                AND strftime('%Y-%m-%dT%H:%M:%fZ', NEW.run_at, '+0 days') GLOB '[0-9]*')) IS NOT TRUE
            THEN RAISE(ABORT, 'run_at is no date that exists; write now, YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ')
        WHEN NEW.dedupe_key = ''
            THEN RAISE(ABORT, 'dedupe_key must not be empty; leave it out to enqueue without one')
        WHEN length(NEW.dedupe_key) > 200
            THEN RAISE(ABORT, 'dedupe_key must not be longer than 200 characters')
        WHEN instr(NEW.dedupe_key, char(0))
            THEN RAISE(ABORT, 'dedupe_key must not contain a NUL character')
        WHEN NEW.provider_override <> 'manual'
            AND NOT EXISTS (SELECT 1 FROM providers WHERE name = NEW.provider_override)
            THEN RAISE(ABORT, 'unknown provider_override; SELECT name FROM providers')
        WHEN NEW.provider_override <> 'manual'
            AND (SELECT medium FROM providers WHERE name = NEW.provider_override)
                <> (SELECT medium FROM assets WHERE name = coalesce(
                    (SELECT name FROM assets WHERE name = NEW.asset),
                    (SELECT asset FROM asset_aliases WHERE alias = NEW.asset)))
            THEN RAISE(ABORT, 'provider_override names a provider of another medium; SELECT name, medium FROM providers')
        WHEN NEW.status IS NOT 'pending'
            THEN RAISE(ABORT, 'a new job is pending; leave status out')
        WHEN NEW.url IS NOT NULL OR NEW.text IS NOT NULL
            THEN RAISE(ABORT, 'url and text are what is delivered; ask with prompt and input')
        WHEN NEW.content_type IS NOT NULL OR NEW.provider IS NOT NULL OR NEW.fallback_used IS NOT NULL
            OR NEW.message IS NOT NULL OR NEW.error IS NOT NULL OR NEW.metadata IS NOT NULL
            OR NEW.runs IS NOT 0 OR NEW.started_at IS NOT NULL OR NEW.finished_at IS NOT NULL
            OR NEW.lease_token IS NOT NULL OR NEW.lease_until IS NOT NULL OR NEW.lease_owner IS NOT NULL
            OR NEW.deaths IS NOT 0 OR NEW.solo_deaths IS NOT 0
            THEN RAISE(ABORT, 'only asset, slug, prompt, input, provider_override, priority, run_at, dedupe_key and max_runs are written by who enqueues')
        WHEN NEW.created_at IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.created_at, '+0 days')
            OR NEW.updated_at IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.updated_at, '+0 days')
            THEN RAISE(ABORT, 'created_at and updated_at are written by the queue; leave them out')
        -- OR REPLACE would delete the job that has the id, and fire no trigger for it. (An id that was left out
        -- is -1 here.) The largest possible id would leave no number for the next job.
        WHEN EXISTS (SELECT 1 FROM jobs WHERE id = NEW.id)
            THEN RAISE(ABORT, 'a job with this id exists; leave id out, the queue numbers its jobs')
        WHEN NEW.id > 9007199254740991 OR NEW.id < -1 OR NEW.id = 0
            THEN RAISE(ABORT, 'id is out of range; leave it out, the queue numbers its jobs')
    END;
END;

-- A dedupe_key that is taken must do nothing under ON CONFLICT DO NOTHING, so a BEFORE trigger cannot refuse
-- it: it does not see which form the statement has. The unique index decides: a plain INSERT is refused with its name,
-- DO NOTHING and OR IGNORE do nothing. OR REPLACE would delete the live job without firing a trigger; therefore
-- its id is noted before, and missed afterwards. Left over: a plain INSERT's message is SQLite's own.
CREATE TRIGGER jobs_dedupe_is_noted BEFORE INSERT ON jobs
WHEN NEW.dedupe_key IS NOT NULL
BEGIN
    DELETE FROM dedupe_guard;
    INSERT INTO dedupe_guard (job_id)
        SELECT id FROM jobs
        WHERE dedupe_key = NEW.dedupe_key
            AND replace(replace(lower(asset), '-', ''), '_', '')
                = replace(replace(lower(NEW.asset), '-', ''), '_', '')
            AND status IN ('pending', 'running', 'manual', 'done');
END;

CREATE TRIGGER jobs_dedupe_is_missed AFTER INSERT ON jobs
WHEN NEW.dedupe_key IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'this asset already has a job with this dedupe_key; use ON CONFLICT DO NOTHING, not OR REPLACE')
        FROM dedupe_guard WHERE job_id NOT IN (SELECT id FROM jobs);
END;

-- A BEFORE trigger cannot change the row, so spellings are settled right after. RETURNING shows them unsettled.
CREATE TRIGGER jobs_spellings_are_settled AFTER INSERT ON jobs
WHEN NOT EXISTS (SELECT 1 FROM assets WHERE name = NEW.asset)
    OR NEW.run_at IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.run_at, '+0 days')
BEGIN
    UPDATE jobs SET
        asset = CASE WHEN EXISTS (SELECT 1 FROM assets WHERE name = NEW.asset) THEN NEW.asset
            ELSE (SELECT asset FROM asset_aliases WHERE alias = NEW.asset) END,
        run_at = strftime('%Y-%m-%dT%H:%M:%fZ', NEW.run_at, '+0 days')
    WHERE id = NEW.id;
END;

-- UPDATE

-- The WHEN lets the daemon's two shapes pass: what holds or changes a lease on a running job, and a claim.
CREATE TRIGGER jobs_update_is_checked
BEFORE UPDATE OF id, asset, created_at, slug, prompt, input, provider_override, priority, run_at, dedupe_key, max_runs,
    status, url, text ON jobs
WHEN NEW.lease_token IS OLD.lease_token
    OR (OLD.status <> 'running' AND NOT (OLD.status = 'pending' AND NEW.status = 'running'
        AND coalesce(length(NEW.lease_token), 0) >= 16 AND NEW.lease_until IS NOT NULL))
BEGIN
    -- What never changes.
    SELECT CASE
        WHEN NEW.id IS NOT OLD.id
            THEN RAISE(ABORT, 'the id of a job never changes')
        WHEN NEW.asset IS NOT OLD.asset AND (EXISTS (SELECT 1 FROM assets WHERE name = OLD.asset)
            OR NEW.asset IS NOT (SELECT asset FROM asset_aliases WHERE alias = OLD.asset))
            THEN RAISE(ABORT, 'the asset of a job never changes; cancel it and insert another')
        WHEN NEW.created_at IS NOT OLD.created_at
            THEN RAISE(ABORT, 'created_at never changes')
    END;
    -- The status.
    SELECT CASE
        WHEN NEW.status IS NULL
            OR NEW.status NOT IN ('pending', 'running', 'manual', 'done', 'failed', 'cancelled')
            THEN RAISE(ABORT, 'status is one of pending, running, manual, done, failed, cancelled')
        WHEN NEW.status = 'running'
            THEN RAISE(ABORT, 'only the daemon sets a job running; it takes what is pending when it is due')
        WHEN OLD.status = 'running' AND NEW.status <> 'cancelled'
            THEN RAISE(ABORT, 'this job is running; until it ends it can only be cancelled')
        WHEN NEW.status IN ('manual', 'failed')
            THEN RAISE(ABORT, 'only the daemon sets manual or failed, at the end of a run; cancel the job, or provide the asset')
        WHEN OLD.status = 'done'
            AND NEW.status <> 'pending'
            THEN RAISE(ABORT, 'this job is done; set it to pending to do it again')
        WHEN OLD.status = 'cancelled'
            AND NEW.status <> 'pending'
            THEN RAISE(ABORT, 'this job is cancelled; set it to pending to do it again')
    END
    WHERE NEW.status IS NOT OLD.status;
    -- The asset that a person provides, and no other change of it.
    SELECT CASE
        WHEN NEW.status <> 'done' OR OLD.status = 'done'
            THEN RAISE(ABORT, 'url and text are set together with status = ''done''; set the job to pending first if it is done')
        WHEN NEW.url IS NOT OLD.url AND NEW.url IS NOT NULL AND NEW.text IS NOT OLD.text AND NEW.text IS NOT NULL
            THEN RAISE(ABORT, 'provide url or text, not both')
        WHEN NEW.url IS NOT OLD.url AND (
            ((lower(substr(NEW.url, 1, 7)) = 'http://' AND length(NEW.url) > 7)
                OR (lower(substr(NEW.url, 1, 8)) = 'https://' AND length(NEW.url) > 8))
            AND length(NEW.url) <= 2000 AND NOT instr(NEW.url, char(0))
            AND NEW.url NOT GLOB '*[' || char(1) || '-' || char(32) || char(127) || '-' || char(159) || ']*') IS FALSE
            THEN RAISE(ABORT, 'url must be an address that begins with http:// or https://, without spaces')
        WHEN NEW.text IS NOT OLD.text AND trim(NEW.text, char(9, 10, 13, 32)) = ''
            THEN RAISE(ABORT, 'text must not be empty')
        WHEN NEW.text IS NOT OLD.text AND (length(CAST(NEW.text AS BLOB)) > 1000000 OR instr(NEW.text, char(0)))
            THEN RAISE(ABORT, 'text must not be larger than 1000000 bytes, nor contain a NUL character')
        WHEN NEW.text IS NOT OLD.text AND NEW.text IS NOT NULL
            AND (SELECT medium FROM assets WHERE name = NEW.asset) <> 'text'
            THEN RAISE(ABORT, 'this asset is no text; provide its url')
    END
    WHERE (NEW.url IS NOT OLD.url OR NEW.text IS NOT OLD.text)
        -- jobs_a_person_provides puts the older of the two away.
        AND NOT (NEW.status = 'done' AND OLD.status = 'done' AND OLD.url IS NOT NULL AND OLD.text IS NOT NULL);
    SELECT RAISE(ABORT, 'done needs the asset; set url or text in the same UPDATE')
    WHERE NEW.status = 'done' AND NEW.url IS NULL AND NEW.text IS NULL;
    -- What is asked for.
    SELECT RAISE(ABORT, 'this job is running; slug, prompt, input and provider_override cannot change until it ends')
    WHERE OLD.status = 'running' AND NEW.status = 'running'
        AND (NEW.slug IS NOT OLD.slug OR NEW.prompt IS NOT OLD.prompt OR NEW.input IS NOT OLD.input
            OR NEW.provider_override IS NOT OLD.provider_override);
    SELECT CASE
        WHEN NEW.slug IS NULL OR trim(NEW.slug) = ''
            THEN RAISE(ABORT, 'slug must not be empty; it says what the asset is for')
        WHEN length(NEW.slug) > 200
            THEN RAISE(ABORT, 'slug must not be longer than 200 characters')
        WHEN instr(NEW.slug, char(0)) OR NEW.slug GLOB
            '*[' || char(1) || '-' || char(31) || char(127) || '-' || char(159) || char(8232) || '-'
            || char(8238) || char(8294) || '-' || char(8297) || char(65279) || ']*'
            THEN RAISE(ABORT, 'slug must not contain control characters')
        WHEN trim(NEW.slug) <> NEW.slug
            THEN RAISE(ABORT, 'slug must not begin or end with a space')
        WHEN instr(NEW.slug, '\')
            THEN RAISE(ABORT, 'slug must not contain a backslash')
        WHEN instr('/' || NEW.slug || '/', '//')
            THEN RAISE(ABORT, 'slug must not begin or end with a slash, nor contain two in a row')
        WHEN instr('/' || NEW.slug || '/', '/../') OR instr('/' || NEW.slug || '/', '/./')
            THEN RAISE(ABORT, 'slug must not contain . or .. as a path segment')
    END
    WHERE NEW.slug IS NOT OLD.slug;
    SELECT CASE
        WHEN trim(NEW.prompt) = ''
            THEN RAISE(ABORT, 'prompt must not be empty; set it to NULL to use the prompt of the asset')
        WHEN length(NEW.prompt) > 100000
            THEN RAISE(ABORT, 'prompt must not be longer than 100000 characters')
        WHEN instr(NEW.prompt, char(0))
            THEN RAISE(ABORT, 'prompt must not contain a NUL character')
    END
    WHERE NEW.prompt IS NOT OLD.prompt;
    SELECT CASE
        WHEN length(CAST(NEW.input AS BLOB)) > 1000000
            THEN RAISE(ABORT, 'input must not be larger than 1000000 bytes')
        WHEN CASE WHEN json_valid(NEW.input) THEN json_type(NEW.input) <> 'object' ELSE NEW.input IS NOT NULL END
            THEN RAISE(ABORT, 'input must be a JSON object, such as {"title": "My article"}')
    END
    WHERE NEW.input IS NOT OLD.input;
    SELECT CASE
        WHEN NEW.priority NOT BETWEEN 0 AND 9
            THEN RAISE(ABORT, 'priority must be a whole number from 0 to 9; 9 goes first')
        WHEN NEW.max_runs NOT BETWEEN 1 AND 100
            THEN RAISE(ABORT, 'max_runs must be a whole number from 1 to 100')
        WHEN NEW.run_at IS NOT OLD.run_at AND NEW.run_at IS NOT NULL AND (lower(NEW.run_at) = 'now'
            OR (date(substr(NEW.run_at, 1, 10), '+0 days') = substr(NEW.run_at, 1, 10)
                AND strftime('%Y-%m-%dT%H:%M:%fZ', NEW.run_at, '+0 days') GLOB '[0-9]*')) IS NOT TRUE
            THEN RAISE(ABORT, 'run_at is no date that exists; write now, YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ')
        WHEN NEW.dedupe_key = ''
            THEN RAISE(ABORT, 'dedupe_key must not be empty; set it to NULL to have none')
        WHEN length(NEW.dedupe_key) > 200
            THEN RAISE(ABORT, 'dedupe_key must not be longer than 200 characters')
        WHEN instr(NEW.dedupe_key, char(0))
            THEN RAISE(ABORT, 'dedupe_key must not contain a NUL character')
    END;
    -- Here a taken key can be refused, as an UPDATE has no DO NOTHING. OR REPLACE would delete the other job.
    SELECT RAISE(ABORT, 'another job of this asset has this dedupe_key; cancel that one, or set another key')
    WHERE NEW.dedupe_key IS NOT NULL
        AND NEW.status IN ('pending', 'running', 'manual', 'done')
        AND (NEW.dedupe_key IS NOT OLD.dedupe_key OR OLD.status IN ('failed', 'cancelled'))
        AND EXISTS (SELECT 1 FROM jobs
            WHERE dedupe_key = NEW.dedupe_key
                AND replace(replace(lower(asset), '-', ''), '_', '')
                    = replace(replace(lower(NEW.asset), '-', ''), '_', '')
                AND status IN ('pending', 'running', 'manual', 'done')
                AND id <> OLD.id);
    -- An override is for one life of the job; on one that has ended it would wait for a retry nobody asked for.
    SELECT CASE
        WHEN NEW.status <> 'pending'
            THEN RAISE(ABORT, 'provider_override is for a run to come; set it together with status = ''pending''')
        WHEN NEW.provider_override <> 'manual'
            AND NOT EXISTS (SELECT 1 FROM providers WHERE name = NEW.provider_override)
            THEN RAISE(ABORT, 'unknown provider_override; SELECT name FROM providers')
        WHEN NEW.provider_override <> 'manual'
            AND (SELECT medium FROM providers WHERE name = NEW.provider_override)
                <> (SELECT medium FROM assets WHERE name = NEW.asset)
            THEN RAISE(ABORT, 'provider_override names a provider of another medium; SELECT name, medium FROM providers')
    END
    WHERE NEW.provider_override IS NOT OLD.provider_override AND NEW.provider_override IS NOT NULL;
END;

CREATE TRIGGER jobs_run_at_is_settled AFTER UPDATE OF run_at ON jobs
WHEN NEW.run_at IS NOT OLD.run_at AND NEW.run_at IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.run_at, '+0 days')
BEGIN
    UPDATE jobs SET run_at = strftime('%Y-%m-%dT%H:%M:%fZ', NEW.run_at, '+0 days') WHERE id = NEW.id;
END;

-- Changes of status have their own; the daemon writes updated_at itself.
CREATE TRIGGER jobs_edit_is_dated
AFTER UPDATE OF slug, prompt, input, provider_override, priority, run_at, dedupe_key, max_runs ON jobs
WHEN NEW.lease_token IS OLD.lease_token AND NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE jobs SET updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE id = NEW.id;
END;

CREATE TRIGGER jobs_are_cancelled AFTER UPDATE OF status ON jobs
WHEN NEW.status = 'cancelled' AND OLD.status <> 'cancelled'
BEGIN
    UPDATE runs SET outcome = 'cancelled', finished_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
        WHERE job_id = NEW.id AND finished_at IS NULL;
    UPDATE jobs SET
        lease_token = NULL, lease_until = NULL, lease_owner = NULL, provider_override = NULL,
        message = upper(substr(NEW.asset, 1, 1)) || substr(replace(NEW.asset, '-', ' '), 2) || ' cancelled',
        finished_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
        updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
    WHERE id = NEW.id;
END;

-- From running it is the daemon's "come back later", which keeps the counts. url, text and who made them stay
-- until they are replaced.
CREATE TRIGGER jobs_are_retried AFTER UPDATE OF status ON jobs
WHEN NEW.status = 'pending' AND OLD.status NOT IN ('pending', 'running')
BEGIN
    UPDATE jobs SET
        runs = 0, deaths = 0, solo_deaths = 0, error = NULL, message = NULL, started_at = NULL, finished_at = NULL,
        run_at = strftime('%Y-%m-%dT%H:%M:%fZ', CASE WHEN NEW.run_at IS OLD.run_at THEN 'now' ELSE NEW.run_at END, '+0 days'),
        updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
    WHERE id = NEW.id;
END;

CREATE TRIGGER jobs_a_person_provides AFTER UPDATE OF status ON jobs
WHEN NEW.status = 'done' AND OLD.status NOT IN ('running', 'done')
BEGIN
    UPDATE jobs SET
        url = CASE WHEN NEW.text IS NOT NULL AND NEW.text IS NOT OLD.text THEN NULL ELSE NEW.url END,
        text = CASE WHEN NEW.url IS NOT NULL AND NEW.url IS NOT OLD.url THEN NULL ELSE NEW.text END,
        content_type = CASE
            WHEN NEW.content_type IS NOT OLD.content_type THEN NEW.content_type
            WHEN NEW.url IS OLD.url AND NEW.text IS OLD.text THEN NEW.content_type
            WHEN NEW.text IS NOT OLD.text AND NEW.text IS NOT NULL THEN 'text/plain'
        END,
        metadata = CASE
            WHEN NEW.metadata IS NOT OLD.metadata THEN NEW.metadata
            WHEN NEW.url IS OLD.url AND NEW.text IS OLD.text THEN NEW.metadata
        END,
        provider = 'manual',
        -- A chain that is manual alone has no link before the person.
        fallback_used = coalesce((SELECT json_extract(chain, '$[0]') <> 'manual' FROM assets WHERE name = NEW.asset), 1),
        provider_override = NULL, error = NULL,
        message = upper(substr(NEW.asset, 1, 1)) || substr(replace(NEW.asset, '-', ' '), 2) || ' ready',
        finished_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
        updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
    WHERE id = NEW.id;
    -- A run that was handed back open would be taken up by a later retry, with the chain it had then.
    UPDATE runs SET outcome = 'released', finished_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
        WHERE job_id = NEW.id AND finished_at IS NULL;
    -- Not an upsert: the outer statement's OR REPLACE or OR IGNORE would take its place.
    INSERT INTO asset_health (asset)
        SELECT NEW.asset WHERE NOT EXISTS (SELECT 1 FROM asset_health WHERE asset = NEW.asset);
    UPDATE asset_health SET
        last_success_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
        last_resolved_source = 'manual',
        last_fallback_used =
            coalesce((SELECT json_extract(chain, '$[0]') <> 'manual' FROM assets WHERE name = NEW.asset), 1),
        updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
    WHERE asset = NEW.asset;
    INSERT INTO notices (job_id, kind, created_at)
        VALUES (NEW.id, 'done', strftime('%Y-%m-%dT%H:%M:%fZ', 'now'));
END;

-- DELETE

CREATE TRIGGER jobs_delete_is_checked BEFORE DELETE ON jobs
WHEN OLD.status = 'running'
BEGIN
    SELECT RAISE(ABORT, 'this job is running; cancel it first, then delete it');
END;

-- What foreign keys do where they are on.
CREATE TRIGGER jobs_take_their_runs_along AFTER DELETE ON jobs
BEGIN
    DELETE FROM attempts WHERE run_id IN (SELECT id FROM runs WHERE job_id = OLD.id);
    DELETE FROM runs WHERE job_id = OLD.id;
END;

-- What an operator may set on a provider: paused_until, and state = 'closed' to reset its breaker.

CREATE TRIGGER provider_health_insert_is_checked BEFORE INSERT ON provider_health
BEGIN
    SELECT CASE
        WHEN NOT EXISTS (SELECT 1 FROM providers WHERE name = NEW.provider)
            THEN RAISE(ABORT, 'unknown provider; SELECT name FROM providers')
        WHEN NEW.paused_until IS NOT NULL AND (lower(NEW.paused_until) = 'now'
            OR (date(substr(NEW.paused_until, 1, 10), '+0 days') = substr(NEW.paused_until, 1, 10)
                AND strftime('%Y-%m-%dT%H:%M:%fZ', NEW.paused_until, '+0 days') GLOB '[0-9]*')) IS NOT TRUE
            THEN RAISE(ABORT, 'paused_until is no date that exists; write now, YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ')
    END;
END;

CREATE TRIGGER provider_health_update_is_checked BEFORE UPDATE OF provider, state, paused_until ON provider_health
BEGIN
    SELECT CASE
        WHEN NEW.provider IS NOT OLD.provider
            THEN RAISE(ABORT, 'the provider of a row never changes')
        WHEN NEW.state IS NULL OR NEW.state NOT IN ('closed', 'open', 'half-open')
            THEN RAISE(ABORT, 'state is one of closed, open, half-open; to stop calls set paused_until')
        WHEN NEW.paused_until IS NOT OLD.paused_until AND NEW.paused_until IS NOT NULL
            AND (lower(NEW.paused_until) = 'now'
                OR (date(substr(NEW.paused_until, 1, 10), '+0 days') = substr(NEW.paused_until, 1, 10)
                    AND strftime('%Y-%m-%dT%H:%M:%fZ', NEW.paused_until, '+0 days') GLOB '[0-9]*')) IS NOT TRUE
            THEN RAISE(ABORT, 'paused_until is no date that exists; write now, YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ')
    END;
END;

CREATE TRIGGER provider_health_insert_is_settled AFTER INSERT ON provider_health
WHEN NEW.paused_until IS NOT NULL AND NEW.paused_until IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.paused_until, '+0 days')
BEGIN
    UPDATE provider_health SET paused_until = strftime('%Y-%m-%dT%H:%M:%fZ', NEW.paused_until, '+0 days')
        WHERE provider = NEW.provider;
END;

CREATE TRIGGER provider_health_pause_is_settled AFTER UPDATE OF paused_until ON provider_health
WHEN NEW.paused_until IS NOT NULL AND NEW.paused_until IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.paused_until, '+0 days')
BEGIN
    UPDATE provider_health SET paused_until = strftime('%Y-%m-%dT%H:%M:%fZ', NEW.paused_until, '+0 days')
        WHERE provider = NEW.provider;
END;

-- The daemon closes a breaker together with what kept it open; whoever sets the state alone means a reset.
CREATE TRIGGER provider_health_is_reset AFTER UPDATE OF state ON provider_health
WHEN NEW.state = 'closed' AND OLD.state <> 'closed'
    AND NEW.consecutive_failures IS OLD.consecutive_failures AND NEW.open_until IS OLD.open_until
    AND NEW.step IS OLD.step AND NEW.held_class IS OLD.held_class
BEGIN
    UPDATE provider_health SET
        consecutive_failures = 0, step = 0, open_until = NULL, cool_until = NULL, probe_job = NULL, probe_until = NULL,
        held_class = NULL, held_fingerprint = NULL, updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
    WHERE provider = NEW.provider;
END;
