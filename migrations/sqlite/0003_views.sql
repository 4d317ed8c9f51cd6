-- Views for people. Lengths of time are spoken as domain::time::spoken does: the largest unit of days, hours, minutes,
-- seconds, rounded down, and "a moment" under one second.

-- What waits for a person: what is asked for, why each provider failed, and for how long.
CREATE VIEW manual_queue AS
SELECT
    id, asset, medium, slug, prompt, input, reasons, waiting_since,
    CASE
        WHEN waited >= 172800 THEN (waited / 86400) || ' days'
        WHEN waited >= 86400 THEN '1 day'
        WHEN waited >= 7200 THEN (waited / 3600) || ' hours'
        WHEN waited >= 3600 THEN '1 hour'
        WHEN waited >= 120 THEN (waited / 60) || ' minutes'
        WHEN waited >= 60 THEN '1 minute'
        WHEN waited >= 2 THEN waited || ' seconds'
        WHEN waited = 1 THEN '1 second'
        ELSE 'a moment'
    END AS waits_for,
    -- What to write when the asset is there.
    'UPDATE jobs SET status = ''done'', '
        || CASE medium WHEN 'text' THEN 'text = ''...''' ELSE 'url = ''https://...''' END
        || ' WHERE id = ' || id || ';' AS answer
FROM (
    SELECT
        j.id, j.asset, a.medium, j.slug,
        coalesce(j.prompt, 'by the template of ' || j.asset) AS prompt,
        j.input,
        -- One line for each link of the last run, of its last attempt.
        coalesce(
            (SELECT group_concat(line, char(10)) FROM (
                -- The row of the maximum: SQLite takes bare columns from it. One pass, however many attempts.
                SELECT t.provider || ': ' || coalesce(t.error, t.class, t.status) AS line, max(t.id)
                FROM attempts t
                WHERE t.run_id = (SELECT r.id FROM runs r WHERE r.job_id = j.id ORDER BY r.number DESC LIMIT 1)
                GROUP BY t.position
                ORDER BY t.position)),
            j.error,
            'no provider was asked') AS reasons,
        j.finished_at AS waiting_since,
        max(0, CAST(round((julianday('now') - julianday(j.finished_at)) * 86400000) AS INTEGER) / 1000) AS waited
    FROM jobs j
    LEFT JOIN assets a ON a.name = j.asset
    WHERE j.status = 'manual'
)
ORDER BY waiting_since, id;

-- How each asset is doing, as a sentence. Its rules, which domain::health repeats word for word:
--   no run yet:                                        "Never run."
-- else two parts with a space between them. The primary is the chain's first link. Of it:
--   the chain is manual alone:                         "No provider stands in the chain."
--   no failure of this very provider is known:         "Primary provider has not failed."
--   else:                                              "Primary provider last failed 3 days ago."
-- Of the last run:
--   last_failure_at is later than last_success_at, or there is no success:
--     last_resolved_source is manual:                  "Last run needed a person."
--     else:                                            "Last run failed."
--   else:
--     last_resolved_source is manual:                  "Last run needed a person, who provided the asset."
--     last_resolved_source is the primary:             "Last run used the primary provider."
--     last_fallback_used is 1:                         "Last run used fallback: lummi."
--     else (an override, a chain that changed since):  "Last run used: lummi."
CREATE VIEW health AS
SELECT
    asset, medium, primary_provider, last_success_at, last_failure_at, last_error, last_resolved_source,
    last_fallback_used, primary_last_failure_at, primary_last_error,
    CASE
        WHEN last_success_at IS NULL AND last_failure_at IS NULL THEN 'Never run.'
        ELSE
            CASE
                WHEN primary_provider IS NULL THEN 'No provider stands in the chain.'
                WHEN primary_last_failure_at IS NULL THEN 'Primary provider has not failed.'
                ELSE 'Primary provider last failed ' || CASE
                    WHEN ago >= 172800 THEN (ago / 86400) || ' days'
                    WHEN ago >= 86400 THEN '1 day'
                    WHEN ago >= 7200 THEN (ago / 3600) || ' hours'
                    WHEN ago >= 3600 THEN '1 hour'
                    WHEN ago >= 120 THEN (ago / 60) || ' minutes'
                    WHEN ago >= 60 THEN '1 minute'
                    WHEN ago >= 2 THEN ago || ' seconds'
                    WHEN ago = 1 THEN '1 second'
                    ELSE 'a moment'
                END || ' ago.'
            END
            || ' ' || CASE
                WHEN last_success_at IS NULL OR last_failure_at > last_success_at THEN
                    CASE last_resolved_source WHEN 'manual' THEN 'Last run needed a person.' ELSE 'Last run failed.' END
                WHEN last_resolved_source = 'manual' THEN 'Last run needed a person, who provided the asset.'
                WHEN last_resolved_source = primary_provider THEN 'Last run used the primary provider.'
                WHEN last_fallback_used = 1 THEN 'Last run used fallback: ' || last_resolved_source || '.'
                ELSE 'Last run used: ' || coalesce(last_resolved_source, 'unknown') || '.'
            END
    END AS sentence
FROM (
    SELECT
        a.name AS asset, a.medium, a.primary_provider,
        h.last_success_at, h.last_failure_at, h.last_error, h.last_resolved_source, h.last_fallback_used,
        -- Remembered of another provider, these say nothing of this one.
        CASE WHEN h.primary_provider = a.primary_provider THEN h.primary_last_failure_at END AS primary_last_failure_at,
        CASE WHEN h.primary_provider = a.primary_provider THEN h.primary_last_error END AS primary_last_error,
        max(0, CAST(round((julianday('now') - julianday(h.primary_last_failure_at)) * 86400000) AS INTEGER) / 1000) AS ago
    FROM (SELECT name, medium, nullif(json_extract(chain, '$[0]'), 'manual') AS primary_provider FROM assets) a
    LEFT JOIN asset_health h ON h.asset = a.name
)
ORDER BY asset;
