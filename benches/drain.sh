#!/usr/bin/env bash
# How fast `backstop drain` works off due jobs that cost nothing to make, each with its full records.
#
#   benches/drain.sh [JOBS] [PENDING] [ROUNDS]     default: 20000 due jobs, beside 1000000 pending rows, 3 rounds
#
# The jobs are `social-text` through the `template` maker, on SQLite with synchronous=FULL. Each round measures an
# otherwise empty queue and a crowded one, one after the other; printed are the medians of the rate that `drain` reaches
# from its first claim to its last finish, and the ratio of the two. Needs a release build
# (cargo build --release) and the sqlite3 shell; BACKSTOP names another binary.
set -euo pipefail
jobs=${1:-20000}
pending=${2:-1000000}
rounds=${3:-3}
target=${CARGO_TARGET_DIR:-$(dirname "$0")/../target}
backstop=${BACKSTOP:-$target/release/backstop}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# measure NAME OTHERS: prints jobs per second
measure() {
    local home=$folder/$1 others=$2
    mkdir "$home"
    cat >"$home/backstop.toml" <<TOML
[queue]
database = "sqlite:backstop.db"
[log]
filter = "warn"
[assets.social-text]
chain = ["template", "manual"]
TOML
    "$backstop" --config "$home/backstop.toml" migrate >/dev/null
    sqlite3 "$home/backstop.db" >/dev/null <<SQL
PRAGMA synchronous = OFF;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $others)
INSERT INTO jobs (asset, slug, run_at) SELECT 'social-text', 'later-' || i, '2199-01-01' FROM n WHERE $others > 0;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $jobs)
INSERT INTO jobs (asset, slug, input) SELECT 'social-text', 'article-' || i, json_object('title', 'Article ' || i) FROM n;
PRAGMA wal_checkpoint(TRUNCATE);
SQL
    # What the set-up left to be written must not compete with the commits that are measured.
    sync
    "$backstop" --config "$home/backstop.toml" drain >/dev/null
    sqlite3 "$home/backstop.db" "
        SELECT CASE WHEN count(*) = $jobs THEN CAST($jobs / ((julianday(max(finished_at)) - julianday(min(started_at))) * 86400) AS INTEGER)
                    ELSE 'only ' || count(*) || ' of $jobs done' END
        FROM jobs WHERE status = 'done'
          AND id IN (SELECT job_id FROM runs WHERE outcome = 'delivered')
          AND id IN (SELECT job_id FROM attempts WHERE status = 'delivered')"
}

median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

for round in $(seq "$rounds"); do
    measure "alone-$round" 0 >>"$folder/alone"
    measure "crowded-$round" "$pending" >>"$folder/crowded"
    rm -rf "$folder"/*-"$round"
done
if grep -h only "$folder/alone" "$folder/crowded"; then exit 1; fi
alone=$(median <"$folder/alone")
crowded=$(median <"$folder/crowded")
echo "$jobs due, nothing else pending: $alone jobs/s ($(tr '\n' ' ' <"$folder/alone"))"
echo "$jobs due, $pending pending: $crowded jobs/s ($(tr '\n' ' ' <"$folder/crowded"))"
awk -v a="$alone" -v b="$crowded" 'BEGIN { printf "ratio: %.2f\n", b / a }'
