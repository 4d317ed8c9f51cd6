-- What the page asks: each answered by an index or a counter, however many jobs there are.

-- Jobs of one asset and status, newest first: the number of a job is the end of every index. Those that run are few and
-- have an index of their own (jobs_leased); each claim would be written here for nothing.
CREATE INDEX jobs_listed ON jobs (asset, status) WHERE status <> 'running';

-- The latest calls of a provider. What was skipped is no call, and of a provider that is down there is much of it.
CREATE INDEX attempts_by_provider ON attempts (provider) WHERE status <> 'skipped';

-- How many walks ended how on each UTC day. Counters of their own, so that neither pruning nor a job that is done again
-- rewrites what was; what a person provides afterwards changes nothing: the day had needed a person.
CREATE TABLE outcomes (
    day     TEXT NOT NULL,                                           -- 2026-11-24
    asset   TEXT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('primary', 'fallback', 'manual', 'failed')),
    count   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (day, asset, outcome)
) STRICT, WITHOUT ROWID;

-- The days before, as well as the jobs still tell.
INSERT INTO outcomes (day, asset, outcome, count)
SELECT substr(finished_at, 1, 10), asset,
    CASE
        WHEN status = 'failed' THEN 'failed'
        WHEN status = 'manual' OR provider = 'manual' THEN 'manual'
        WHEN fallback_used = 1 THEN 'fallback'
        ELSE 'primary'
    END,
    count(*)
FROM jobs
WHERE status IN ('done', 'manual', 'failed') AND finished_at IS NOT NULL
GROUP BY 1, 2, 3;

-- Not an upsert: the outer statement's OR REPLACE or OR IGNORE would take its place.
CREATE TRIGGER jobs_ends_are_counted AFTER UPDATE OF status ON jobs
WHEN OLD.status = 'running'
    AND (NEW.status IN ('manual', 'failed') OR (NEW.status = 'done' AND NEW.provider IS NOT 'manual'))
BEGIN
    INSERT INTO outcomes (day, asset, outcome)
        SELECT ended.day, NEW.asset, ended.outcome
        FROM (SELECT substr(coalesce(NEW.finished_at, NEW.updated_at), 1, 10) AS day,
            CASE WHEN NEW.status <> 'done' THEN NEW.status
                WHEN NEW.fallback_used = 1 THEN 'fallback' ELSE 'primary' END AS outcome) AS ended
        WHERE NOT EXISTS (SELECT 1 FROM outcomes AS o
            WHERE o.day = ended.day AND o.asset = NEW.asset AND o.outcome = ended.outcome);
    UPDATE outcomes SET count = min(count, 1000000000000000000) + 1
    WHERE day = substr(coalesce(NEW.finished_at, NEW.updated_at), 1, 10) AND asset = NEW.asset
        AND outcome = CASE WHEN NEW.status <> 'done' THEN NEW.status
            WHEN NEW.fallback_used = 1 THEN 'fallback' ELSE 'primary' END;
END;
