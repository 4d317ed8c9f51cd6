#!/usr/bin/env bash
# How fast the pages are rendered that look at many jobs, on a queue that holds a million.
#
#   benches/page.sh [JOBS] [ROUNDS]     default: 1000000 jobs, 21 rounds
#
# Of the jobs seven in ten are done, two wait, and the rest needed a person, failed or were cancelled; their times lie
# within the last 90 days. Each has a run and an attempt. Printed is the median time of each page in milliseconds, as a
# client sees it. Needs a release build (cargo build --release), curl and the sqlite3 shell; BACKSTOP names another binary.
set -euo pipefail
jobs=${1:-1000000}
rounds=${2:-21}
target=${CARGO_TARGET_DIR:-$(dirname "$0")/../target}
backstop=${BACKSTOP:-$target/release/backstop}
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$folder"' EXIT

cat >"$folder/backstop.toml" <<TOML
[queue]
database = "sqlite:backstop.db"
[web]
listen = "127.0.0.1:0"
[log]
filter = "info"
[assets.social-text]
chain = ["template", "manual"]
TOML
"$backstop" --config "$folder/backstop.toml" migrate >/dev/null
# The rows as a daemon would have left them: written around the triggers, which would take them for a person's.
sqlite3 "$folder/backstop.db" "SELECT 'DROP TRIGGER ' || name || ';' FROM sqlite_schema WHERE type = 'trigger'" >"$folder/bare.sql"
sqlite3 "$folder/backstop.db" "SELECT sql || ';' FROM sqlite_schema WHERE type = 'trigger'" >"$folder/guarded.sql"
sqlite3 "$folder/backstop.db" >/dev/null <<SQL
PRAGMA synchronous = OFF;
PRAGMA foreign_keys = OFF;
BEGIN;
.read $folder/bare.sql
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $jobs)
INSERT INTO jobs (asset, slug, status, run_at, created_at, finished_at, text, provider, fallback_used, message)
SELECT CASE WHEN i % 3 = 0 THEN 'hero-image' WHEN i % 3 = 1 THEN 'social-text' ELSE 'video-clip' END, 'article-' || i,
    CASE WHEN i % 10 < 7 THEN 'done' WHEN i % 10 < 9 THEN 'pending'
        WHEN i % 1000 = 9 THEN 'manual' WHEN i % 20 = 9 THEN 'failed' ELSE 'cancelled' END,
    '2199-01-01T00:00:00.000Z', ended, CASE WHEN i % 10 IN (7, 8) THEN NULL ELSE ended END,
    CASE WHEN i % 10 < 7 THEN 'A text about article ' || i END, CASE WHEN i % 10 < 7 THEN 'template' END, i % 4 = 0, 'Ready'
FROM (SELECT i, strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-' || (($jobs - i) * 7776000 / $jobs) || ' seconds') AS ended FROM n);
INSERT INTO runs (id, job_id, number, chain, started_at, finished_at, outcome, provider)
    SELECT id, id, 1, '["template"]', created_at, created_at, 'delivered', 'template' FROM jobs;
INSERT INTO attempts (run_id, job_id, position, provider, status, started_at, finished_at)
    SELECT id, id, 0, 'template', 'delivered', created_at, created_at FROM jobs;
INSERT INTO outcomes SELECT substr(finished_at, 1, 10), asset, CASE status WHEN 'done' THEN
    CASE fallback_used WHEN 1 THEN 'fallback' ELSE 'primary' END ELSE status END, count(*)
    FROM jobs WHERE status IN ('done', 'manual', 'failed') GROUP BY 1, 2, 3;
.read $folder/guarded.sql
COMMIT;
PRAGMA wal_checkpoint(TRUNCATE);
SQL
"$backstop" --config "$folder/backstop.toml" serve 2>"$folder/log" &
address=
for _ in $(seq 200); do
    address=$(grep -o 'http://127.0.0.1:[0-9]*' "$folder/log" | head -1 || true)
    [ -n "$address" ] && break
    sleep 0.1
done
token=$(cat "$folder/web-token")
echo "$(sqlite3 "$folder/backstop.db" 'SELECT count(*) FROM jobs') jobs"
for page in / /jobs '/jobs?status=failed' '/jobs?asset=hero-image' '/jobs?asset=hero-image&status=manual' \
    '/jobs?slug=article-5' '/jobs?slug=article&status=manual' /jobs/500000 /manual /providers; do
    for _ in $(seq "$rounds"); do
        curl -s -f -o /dev/null -w '%{time_total}\n' -H "Authorization: Bearer $token" "$address$page"
    done | sort -n | awk -v page="$page" '{ v[NR] = $1 } END { printf "%7.1f ms  %s\n", v[int((NR + 1) / 2)] * 1000, page }'
done
