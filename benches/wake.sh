#!/usr/bin/env bash
# How soon an idle daemon starts a job that another process inserts, and what the daemon costs while it idles.
#
#   benches/wake.sh [JOBS] [IDLE_SECONDS]        default: 100 jobs, 30 seconds
#
# Each job is inserted by a sqlite3 shell of its own. Its latency runs from `jobs.created_at`, written by that
# INSERT, to the start of its attempt. Needs a release build (cargo build --release) and the sqlite3 shell; BACKSTOP names
# another binary.
set -euo pipefail
jobs=${1:-100}
idle=${2:-30}
target=${CARGO_TARGET_DIR:-$(dirname "$0")/../target}
backstop=${BACKSTOP:-$target/release/backstop}
home=$(mktemp -d)
cat >"$home/backstop.toml" <<TOML
[queue]
database = "sqlite:backstop.db"
[log]
filter = "warn"
[assets.social-text]
chain = ["template", "manual"]
TOML
"$backstop" --config "$home/backstop.toml" migrate >/dev/null
"$backstop" --config "$home/backstop.toml" serve &
daemon=$!
trap 'kill "$daemon" 2>/dev/null; wait "$daemon" 2>/dev/null || true; rm -rf "$home"' EXIT
sleep 2

ticks() { awk '{ print $14 + $15 }' "/proc/$daemon/stat"; }
before=$(ticks)
sleep "$idle"
after=$(ticks)
awk -v t=$((after - before)) -v hz="$(getconf CLK_TCK)" -v s="$idle" \
    'BEGIN { printf "idle: %.2f %% of one core\n", 100 * t / hz / s }'
awk '/VmRSS/ { printf "resident: %.1f MB\n", $2 * 1024 / 1000000 }' "/proc/$daemon/status"

for i in $(seq "$jobs"); do
    sqlite3 -cmd '.timeout 5000' "$home/backstop.db" "INSERT INTO jobs (asset, slug) VALUES ('social-text', 'article-$i')"
    sleep 0.0$((RANDOM % 9 + 1))
done
for _ in $(seq 100); do
    left=$(sqlite3 "$home/backstop.db" "SELECT count(*) FROM jobs WHERE status <> 'done'")
    [ "$left" = 0 ] && break
    sleep 0.1
done
sqlite3 "$home/backstop.db" "
    WITH waits AS (
        SELECT (julianday(a.started_at) - julianday(j.created_at)) * 86400000 AS ms
        FROM jobs j JOIN attempts a ON a.job_id = j.id),
    ranked AS (SELECT ms, row_number() OVER (ORDER BY ms) AS place, count(*) OVER () AS n FROM waits)
    SELECT 'from INSERT to start: p50 ' || round(min(ms) FILTER (WHERE place >= n * 0.5), 1)
        || ' ms, p99 ' || round(min(ms) FILTER (WHERE place >= n * 0.99), 1) || ' ms, worst ' || round(max(ms), 1)
        || ' ms (' || n || ' jobs)'
    FROM ranked"
