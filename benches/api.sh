#!/usr/bin/env bash
# How soon the API answers while the queue works, and how soon a job starts that is asked for by it.
#
#   benches/api.sh [JOBS] [REQUESTS] [AT_ONCE]        default: 10000 jobs, 1000 requests, 64 at once
#
# An idle daemon is asked for assets one by one: from the request to the answer, and from `jobs.created_at` to the start of the
# attempt. Then JOBS jobs are inserted, and while they run, the status of a job is read REQUESTS times, AT_ONCE at a time. Needs a
# release build (cargo build --release), curl and the sqlite3 shell; BACKSTOP names another binary.
set -euo pipefail
jobs=${1:-10000}
requests=${2:-1000}
at_once=${3:-64}
target=${CARGO_TARGET_DIR:-$(dirname "$0")/../target}
backstop=${BACKSTOP:-$target/release/backstop}
home=$(mktemp -d)
cat >"$home/backstop.toml" <<TOML
[queue]
database = "sqlite:backstop.db"
[log]
format = "json"
[web]
listen = "127.0.0.1:0"
[assets.social-text]
chain = ["template", "manual"]
[providers.template]
template = "New on the site, and worth a look: {{ slug }}"
TOML
"$backstop" --config "$home/backstop.toml" migrate >/dev/null
"$backstop" --config "$home/backstop.toml" serve 2>"$home/log" &
daemon=$!
trap 'kill "$daemon" 2>/dev/null; wait "$daemon" 2>/dev/null || true; rm -rf "$home"' EXIT
for _ in $(seq 100); do
    grep -q '"page"' "$home/log" && break
    sleep 0.1
done
at=$(sed -n 's|.*"page":"\(http://[^"]*\)/".*|\1|p' "$home/log" | head -1)
printf 'header = "Authorization: Bearer %s"\nnoproxy = "*"\nsilent\nshow-error\n' "$(cat "$home/web-token")" >"$home/curl"

quantiles() { # of seconds, one a line, as milliseconds
    sort -n | awk -v what="$1" '{ t[NR] = $1 * 1000 } END {
        printf "%s: p50 %.1f ms, p99 %.1f ms, worst %.1f ms (%d)\n", what, t[int(NR * 0.5 + 0.5)], t[int(NR * 0.99 + 0.5)], t[NR], NR }'
}

for i in $(seq 100); do
    curl -K "$home/curl" -o /dev/null -w '%{time_total}\n' "$at/api/generate/social-text" -d "{\"slug\": \"asked-$i\"}"
    sleep 0.0$((RANDOM % 9 + 1))
done | quantiles "a text, from request to answer"
sqlite3 "$home/backstop.db" "SELECT (julianday(a.started_at) - julianday(j.created_at)) * 86400
    FROM jobs j JOIN attempts a ON a.job_id = j.id" | quantiles "from its row to the start of its attempt"

sqlite3 -cmd '.timeout 5000' "$home/backstop.db" "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $jobs)
    INSERT INTO jobs (asset, slug) SELECT 'social-text', 'article-' || i FROM n"
# One curl asks for everything, so that its own start is not measured; connections are kept.
for i in $(seq "$requests"); do
    printf 'url = "%s/api/jobs/%d"\noutput = "/dev/null"\n' "$at" $((i % 100 + 1))
done >"$home/urls"
left() { sqlite3 -cmd '.timeout 5000' "$home/backstop.db" "SELECT count(*) FROM jobs WHERE status IN ('pending', 'running')"; }
for _ in $(seq 200); do
    before=$(left)
    [ "$before" -lt "$((jobs - jobs / 50))" ] && break
    sleep 0.05
done
curl -K "$home/curl" -K "$home/urls" --parallel --parallel-immediate --parallel-max "$at_once" --no-progress-meter \
    -w '%{http_code} %{time_total}\n' >"$home/times"
after=$(left)
awk '$1 != 200 { print "refused: " $0; exit 1 }' "$home/times"
awk '{ print $2 }' "$home/times" | quantiles "a job's status, $at_once at once while jobs run"
echo "jobs left: $before before, $after after"
if [ "$after" = 0 ]; then echo "the queue was done before the requests were: more jobs, please"; fi
