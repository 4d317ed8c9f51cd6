//! The last seven days by outcome, drawn here.

use chrono::{Days, NaiveDate};
use maud::{Markup, html};

use super::when::{grouped, many};
use crate::domain::time::Timestamp;
use crate::store::OutcomeCount;

/// How many days are shown.
const DAYS: u64 = 7;

/// The outcomes from the bottom of a bar to its top: as rows name them, and as people do.
const OUTCOMES: [(&str, &str); 4] =
    [("primary", "Primary"), ("fallback", "Fallback"), ("manual", "Needed a person"), ("failed", "Failed")];

/// The drawing's size, and where the bars stand in it.
const WIDTH: i64 = 480;
const HEIGHT: i64 = 180;
const TOP: i64 = 22;
const FLOOR: i64 = 154;
const STEP: i64 = 66;
const LEFT: i64 = 22;
const BAR: i64 = 40;

/// The first instant that is shown.
pub(super) fn since(now: Timestamp) -> Timestamp {
    now.checked_sub_days(Days::new(DAYS - 1)).unwrap_or(now)
}

struct Day {
    date: NaiveDate,
    counts: [i64; 4],
}

impl Day {
    fn total(&self) -> i64 {
        self.counts.iter().sum()
    }
}

/// A bar for each day, and the same as a table.
pub(super) fn plot(counts: &[OutcomeCount], now: Timestamp) -> Markup {
    let days = days(counts, now);
    let sum = |at: usize| -> i64 { days.iter().filter_map(|day| day.counts.get(at)).sum() };
    let totals: Vec<i64> = (0..OUTCOMES.len()).map(sum).collect();
    let all: i64 = totals.iter().sum();
    html! {
        figure.plot aria-labelledby="plot-title" {
            figcaption {
                h2 id="plot-title" { "The last 7 days" }
                p { (summary(all, &totals)) }
            }
            (drawing(&days, &summary(all, &totals)))
            ul.legend aria-hidden="true" {
                @for ((name, title), total) in OUTCOMES.iter().zip(&totals) {
                    li {
                        svg viewBox="0 0 14 14" width="14" height="14" focusable="false" {
                            rect width="14" height="14" rx="3" fill={ "url(#fill-" (name) ")" } {}
                        }
                        (title) " " span.count { (grouped(*total)) }
                    }
                }
            }
            details {
                summary { "As a table" }
                (table(&days))
            }
        }
    }
}

fn days(counts: &[OutcomeCount], now: Timestamp) -> Vec<Day> {
    let first = since(now).date_naive();
    let all = (0..DAYS).filter_map(|ahead| first.checked_add_days(Days::new(ahead)));
    let day = |date: NaiveDate| {
        let name = date.format("%Y-%m-%d").to_string();
        let of = |outcome: &str| -> i64 {
            counts.iter().filter(|one| one.day == name && one.outcome == outcome).map(|one| one.count).sum()
        };
        Day { date, counts: OUTCOMES.map(|(outcome, _)| of(outcome)) }
    };
    all.map(day).collect()
}

fn summary(all: i64, totals: &[i64]) -> String {
    if all == 0 {
        return "No job ended in these days.".to_owned();
    }
    let parts = OUTCOMES.iter().zip(totals).filter(|(_, total)| **total > 0);
    let said: Vec<String> = parts
        .map(|((name, _), total)| {
            let total = grouped(*total);
            match *name {
                "primary" => format!("{total} by the primary provider"),
                "fallback" => format!("{total} by a fallback"),
                "manual" => format!("{total} needed a person"),
                _failed => format!("{total} failed"),
            }
        })
        .collect();
    format!("{} ended: {}.", many(all, "job", "jobs"), said.join(", "))
}

fn drawing(days: &[Day], summary: &str) -> Markup {
    let most = days.iter().map(Day::total).max().unwrap_or(0).max(1);
    html! {
        svg.bars viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-labelledby="bars-title bars-desc" {
            title id="bars-title" { "Jobs that ended on each of the last 7 days, by outcome" }
            desc id="bars-desc" { (summary) }
            (patterns())
            line.floor x1="0" x2=(WIDTH) y1=(FLOOR) y2=(FLOOR) {}
            @for (at, day) in (0_i64..).zip(days) {
                (bar(day, LEFT + at * STEP, most))
            }
        }
    }
}

/// Each outcome has a pattern besides its colour.
fn patterns() -> Markup {
    html! {
        defs {
            pattern id="fill-primary" width="8" height="8" patternUnits="userSpaceOnUse" {
                rect.ink-primary width="8" height="8" {}
            }
            pattern id="fill-fallback" width="8" height="8" patternUnits="userSpaceOnUse" {
                rect.ink-fallback width="8" height="8" {}
                path.on-ink d="M-2 2L2 -2M0 8L8 0M6 10L10 6" {}
            }
            pattern id="fill-manual" width="8" height="8" patternUnits="userSpaceOnUse" {
                rect.ink-manual width="8" height="8" {}
                circle.dot-on-ink cx="4" cy="4" r="1.6" {}
            }
            pattern id="fill-failed" width="8" height="8" patternUnits="userSpaceOnUse" {
                rect.ink-failed width="8" height="8" {}
                path.on-ink d="M0 0L8 8M8 0L0 8" {}
            }
        }
    }
}

fn bar(day: &Day, x: i64, most: i64) -> Markup {
    let room = FLOOR - TOP;
    let mut y = FLOOR;
    let mut parts = Vec::new();
    for ((name, _), count) in OUTCOMES.iter().zip(day.counts) {
        if count == 0 {
            continue;
        }
        // Something that happened is seen, however little of it there was.
        let height = (count.saturating_mul(room) / most).max(4);
        y -= height;
        parts.push((*name, y, height));
    }
    let middle = x + BAR / 2;
    html! {
        @for (name, y, height) in parts {
            rect x=(x) y=(y) width=(BAR) height=(height) rx="2" fill={ "url(#fill-" (name) ")" } {}
        }
        @if day.total() > 0 {
            text.amount x=(middle) y=(y - 6) text-anchor="middle" { (grouped(day.total())) }
        }
        text.day x=(middle) y=(FLOOR + 18) text-anchor="middle" { (day.date.format("%a %-d")) }
    }
}

fn table(days: &[Day]) -> Markup {
    html! {
        div.wide tabindex="0" role="region" aria-label="The last 7 days as a table" {
            table {
                thead {
                    tr {
                        th scope="col" { "Day" }
                        @for (_, title) in OUTCOMES { th.number scope="col" { (title) } }
                    }
                }
                tbody {
                    @for day in days {
                        tr {
                            th scope="row" { (day.date.format("%a %-d %B")) }
                            @for count in day.counts { td.number { (grouped(count)) } }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::from_text;

    fn count(day: &str, outcome: &str, count: i64) -> OutcomeCount {
        OutcomeCount { day: day.to_owned(), asset: "a".to_owned(), outcome: outcome.to_owned(), count }
    }

    #[test]
    fn every_day_has_its_place_and_what_is_rare_is_seen() {
        let now = from_text("2026-03-03T12:00:00.000Z").expect("valid");
        assert_eq!(since(now), from_text("2026-02-25T12:00:00.000Z").expect("valid"));
        let counts = [count("2026-02-25", "primary", 1_000_000), count("2026-03-03", "failed", 1)];
        let drawn = plot(&counts, now).into_string();
        assert!(
            drawn.contains("1,000,001 jobs ended: 1,000,000 by the primary provider, 1 failed."),
            "{drawn}"
        );
        assert!(drawn.contains("height=\"4\""), "{drawn}");
        assert!(drawn.contains("Wed 25") && drawn.contains("Tue 3"), "{drawn}");
        assert!(!drawn.contains("style="), "{drawn}");
        assert!(plot(&[], now).into_string().contains("No job ended in these days."));
    }
}
