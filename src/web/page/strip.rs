//! A provider's last calls, one mark each: told by shape, then by colour.

use chrono::TimeDelta;
use maud::{Markup, html};

use super::when::many;
use crate::domain::time::{Timestamp, from_text, spoken};
use crate::store::Call;

/// So many calls are drawn.
pub(super) const DRAWN: usize = 30;

/// So many are read, for how long they take.
pub(super) const READ: u32 = 200;

const STEP: i64 = 12;
const HEIGHT: i64 = 20;

/// The calls, oldest on the left, given newest first.
pub(super) fn strip(calls: &[Call], now: Timestamp, id: &str) -> Markup {
    let drawn: Vec<&Call> = calls.iter().take(DRAWN).rev().collect();
    let count = |status: &str| drawn.iter().filter(|call| call.attempt.status == status).count();
    let (all, delivered, failed) = (drawn.len(), count("delivered"), count("failed"));
    let width = STEP * i64::try_from(DRAWN).unwrap_or(STEP);
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let mut said =
        format!("Of the last {}: {delivered} delivered, {failed} failed", many(number(all), "call", "calls"));
    let other = all - delivered - failed;
    if other > 0 {
        said.push_str(&format!(", {other} under way or with an unknown end"));
    }
    html! {
        svg.strip viewBox={ "0 0 " (width) " " (HEIGHT) } role="img" aria-labelledby={ "strip-" (id) } {
            title id={ "strip-" (id) } { (said) "." }
            @for at in 0..number(DRAWN - all) {
                circle.slot cx=(at * STEP + 6) cy="10" r="1.5" {}
            }
            @for (at, call) in (number(DRAWN - all)..).zip(drawn) {
                (mark(call, at * STEP, now))
            }
        }
    }
}

fn mark(call: &Call, x: i64, now: Timestamp) -> Markup {
    let attempt = &call.attempt;
    let ago = from_text(&attempt.started_at).map(|at| {
        format!("{} ago: ", spoken((now - at).max(TimeDelta::zero()).to_std().unwrap_or_default()))
    });
    let class = attempt.class.as_deref().map(|class| format!(", {class}")).unwrap_or_default();
    let told = format!("{}{}{class} (job {})", ago.unwrap_or_default(), attempt.status, call.job);
    html! {
        g.call {
            title { (told) }
            @match attempt.status.as_str() {
                "delivered" => rect.good x=(x + 1) y="2" width="9" height="16" rx="3" {},
                "failed" => path.bad d={ "M" (x + 1) " 5l9 10m0 -10l-9 10" } {},
                "unknown" => path.odd d={ "M" (x + 5) " 4l5 12h-10z" } {},
                _open => circle.open cx=(x + 5) cy="10" r="4" {},
            }
        }
    }
}

/// How long deliveries took: the middle one and the slowest of twenty.
pub(super) fn latency(calls: &[Call]) -> Option<(String, String)> {
    let took = |call: &Call| {
        let attempt = &call.attempt;
        let end = attempt.finished_at.as_deref().filter(|_| attempt.status == "delivered")?;
        Some((from_text(end)? - from_text(&attempt.started_at)?).num_milliseconds().max(0))
    };
    let mut all: Vec<i64> = calls.iter().filter_map(took).collect();
    all.sort_unstable();
    let at = |percent: usize| {
        let rank = (all.len() * percent).div_ceil(100).max(1) - 1;
        all.get(rank).map(|millis| seconds(*millis))
    };
    at(50).zip(at(95))
}

fn seconds(millis: i64) -> String {
    match millis {
        ..1_000 => format!("{millis} ms"),
        1_000..60_000 => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
        more => format!("{} min {} s", more / 60_000, more % 60_000 / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::job::JobId;
    use crate::store::AttemptRow;

    fn call(status: &str, millis: i64) -> Call {
        let end = from_text("2026-03-03T12:00:00.000Z").expect("valid") + TimeDelta::milliseconds(millis);
        let attempt = AttemptRow {
            id: 1,
            position: 0,
            repeat: 0,
            provider: "house".to_owned(),
            model: None,
            status: status.to_owned(),
            class: None,
            error: None,
            http_status: None,
            request_id: None,
            operation: None,
            started_at: "2026-03-03T12:00:00.000Z".to_owned(),
            finished_at: Some(crate::domain::time::to_text(end)),
            cost_micros: 0,
        };
        Call { job: JobId(7), attempt }
    }

    #[test]
    fn the_middle_and_the_slow_end_are_of_deliveries_alone() {
        assert_eq!(latency(&[call("failed", 9_000)]), None);
        let calls: Vec<Call> = (1..=20).map(|second| call("delivered", second * 1_000)).collect();
        assert_eq!(latency(&calls), Some(("10.0 s".to_owned(), "19.0 s".to_owned())));
        assert_eq!(latency(&[call("delivered", 46)]), Some(("46 ms".to_owned(), "46 ms".to_owned())));
        assert_eq!(seconds(61_500), "1 min 1 s");
    }

    #[test]
    fn a_strip_says_what_it_shows() {
        let now = from_text("2026-03-03T12:01:00.000Z").expect("valid");
        let calls = [call("delivered", 1), call("failed", 1), call("started", 1)];
        let drawn = strip(&calls, now, "house").into_string();
        assert!(drawn.contains("Of the last 3 calls: 1 delivered, 1 failed, 1 under way"), "{drawn}");
        assert!(drawn.contains("1 minute ago: failed (job 7)"), "{drawn}");
    }
}
