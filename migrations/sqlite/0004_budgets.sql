-- What was spent, per provider and per asset, in every UTC day and month. Counters of their own, so that the
-- deletion of old jobs does not touch them.
--
-- A paid call reserves what it may cost in the transaction that writes its intent; its verdict gives the reservation
-- back and adds what it did cost. Whoever writes the verdict, and whatever becomes of the attempt, the triggers below
-- settle it: once, because only an open attempt has anything to settle.

CREATE TABLE spending (
    scope           TEXT NOT NULL CHECK (scope IN ('provider', 'asset')),
    name            TEXT NOT NULL,                                   -- of the provider or the asset
    period          TEXT NOT NULL,                                   -- 2026-11-24 or 2026-11, in UTC
    reserved_micros INTEGER NOT NULL DEFAULT 0 CHECK (reserved_micros >= 0), -- by calls under way, in micro-dollars
    spent_micros    INTEGER NOT NULL DEFAULT 0 CHECK (spent_micros >= 0),
    PRIMARY KEY (period, scope, name)
) STRICT, WITHOUT ROWID;

-- For whose budget the call counts, besides its provider's; and what it was taken to cost at most. Both only of calls
-- that were begun in the ledger, which are the paid ones.
ALTER TABLE attempts ADD COLUMN asset TEXT;
ALTER TABLE attempts ADD COLUMN reserved_micros INTEGER NOT NULL DEFAULT 0
    CHECK (reserved_micros BETWEEN 0 AND 1000000000000);

-- Calls that are under way while this is applied have reserved nothing; what they cost counts all the same.
UPDATE attempts SET asset = (SELECT asset FROM jobs WHERE id = attempts.job_id)
WHERE status IN ('started', 'accepted');

-- The budgets as configured, in micro-dollars; NULL is no limit. Mirrors, like the rest of these tables.
ALTER TABLE assets ADD COLUMN budget_day_micros INTEGER;
ALTER TABLE assets ADD COLUMN budget_month_micros INTEGER;
ALTER TABLE providers ADD COLUMN budget_day_micros INTEGER;
ALTER TABLE providers ADD COLUMN budget_month_micros INTEGER;

-- The verdict. Of a call whose fate is not known the money may be gone, so that its reservation counts as spent. It
-- counts for the periods in which it began, which are those it was reserved in. Not an upsert: the outer
-- statement's OR REPLACE or OR IGNORE would take its place.
CREATE TRIGGER attempts_are_settled AFTER UPDATE OF status ON attempts
WHEN OLD.status IN ('started', 'accepted') AND NEW.status NOT IN ('started', 'accepted')
    AND (OLD.reserved_micros > 0 OR NEW.cost_micros > 0)
BEGIN
    INSERT INTO spending (scope, name, period)
        SELECT whose.scope, whose.name, spans.period
        FROM (SELECT 'provider' AS scope, NEW.provider AS name
                UNION ALL SELECT 'asset', NEW.asset WHERE NEW.asset IS NOT NULL) AS whose,
            (SELECT substr(NEW.started_at, 1, 10) AS period
                UNION ALL SELECT substr(NEW.started_at, 1, 7)) AS spans
        WHERE NOT EXISTS (SELECT 1 FROM spending AS s
            WHERE s.period = spans.period AND s.scope = whose.scope AND s.name = whose.name);
    UPDATE spending SET
        reserved_micros = max(0, reserved_micros - OLD.reserved_micros),
        spent_micros = min(spent_micros, 1000000000000000000)
            + CASE NEW.status WHEN 'unknown' THEN max(NEW.cost_micros, OLD.reserved_micros) ELSE NEW.cost_micros END
    WHERE period IN (substr(NEW.started_at, 1, 10), substr(NEW.started_at, 1, 7))
        AND ((scope = 'provider' AND name = NEW.provider) OR (scope = 'asset' AND name = NEW.asset));
END;

-- An open attempt whose job is deleted gets no verdict any more. What becomes of the call is not known then.
CREATE TRIGGER attempts_are_settled_when_deleted AFTER DELETE ON attempts
WHEN OLD.status IN ('started', 'accepted') AND OLD.reserved_micros > 0
BEGIN
    UPDATE spending SET
        reserved_micros = max(0, reserved_micros - OLD.reserved_micros),
        spent_micros = min(spent_micros, 1000000000000000000) + OLD.reserved_micros
    WHERE period IN (substr(OLD.started_at, 1, 10), substr(OLD.started_at, 1, 7))
        AND ((scope = 'provider' AND name = OLD.provider) OR (scope = 'asset' AND name = OLD.asset));
END;

-- What was spent and what may be, in dollars: every budget of today and of this month, and every counter there is.
CREATE VIEW budgets AS
SELECT
    known.period, known.scope, known.name,
    coalesce(s.spent_micros, 0) / 1000000.0 AS spent,
    coalesce(s.reserved_micros, 0) / 1000000.0 AS reserved,
    known.limit_micros / 1000000.0 AS budget
FROM (
    SELECT period, scope, name, max(limit_micros) AS limit_micros
    FROM (
        SELECT s.period, s.scope, s.name, CASE s.scope
            WHEN 'provider' THEN (SELECT CASE length(s.period)
                WHEN 10 THEN budget_day_micros ELSE budget_month_micros END FROM providers WHERE name = s.name)
            ELSE (SELECT CASE length(s.period)
                WHEN 10 THEN budget_day_micros ELSE budget_month_micros END FROM assets WHERE name = s.name)
            END AS limit_micros
        FROM spending AS s
        UNION ALL SELECT date('now'), 'provider', name, budget_day_micros FROM providers
        UNION ALL SELECT strftime('%Y-%m', 'now'), 'provider', name, budget_month_micros FROM providers
        UNION ALL SELECT date('now'), 'asset', name, budget_day_micros FROM assets
        UNION ALL SELECT strftime('%Y-%m', 'now'), 'asset', name, budget_month_micros FROM assets
    )
    GROUP BY period, scope, name
) AS known
LEFT JOIN spending AS s ON s.period = known.period AND s.scope = known.scope AND s.name = known.name
WHERE s.period IS NOT NULL OR known.limit_micros IS NOT NULL
ORDER BY known.period DESC, known.scope, known.name;
