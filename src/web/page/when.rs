//! Times and words as the page shows them.

use maud::{Markup, html};

use crate::domain::time::{Timestamp, between, from_text, spoken, to_text};

/// An instant, relative, with the exact one for who wants it.
pub(super) fn when(at: Timestamp, now: Timestamp) -> Markup {
    let words = if at <= now {
        format!("{} ago", spoken(between(at, now)))
    } else {
        format!("in {}", spoken(between(now, at)))
    };
    html! { time datetime=(to_text(at)) title=(exact(at)) { (words) } }
}

/// The same of a row's text. What is no instant is shown as it stands.
pub(super) fn when_row(at: &str, now: Timestamp) -> Markup {
    from_text(at).map_or_else(|| words(at), |at| when(at, now))
}

/// A sentence with its instants as people read them, the exact ones on hover: `until 21:52 UTC`.
pub(super) fn told(text: &str, now: Timestamp) -> Markup {
    let mut parts: Vec<(&str, Option<Timestamp>)> = Vec::new();
    let mut rest = text;
    while let Some((before, stamp, after)) = next_instant(rest) {
        parts.push((before, Some(stamp)));
        rest = after;
    }
    parts.push((rest, None));
    html! {
        bdi {
            @for (before, stamp) in parts {
                (plain(before))
                @if let Some(at) = stamp {
                    @let day = if at.date_naive() == now.date_naive() { "%H:%M UTC" } else { "%-d %B, %H:%M UTC" };
                    time datetime=(to_text(at)) title=(exact(at)) { (at.format(day)) }
                }
            }
        }
    }
}

fn next_instant(text: &str) -> Option<(&str, Timestamp, &str)> {
    const WIDTH: usize = "2026-11-22T13:49:00.000Z".len();
    text.char_indices().filter(|(_, c)| c.is_ascii_digit()).find_map(|(start, _)| {
        let stamp = from_text(text.get(start..start + WIDTH)?)?;
        Some((text.get(..start)?, stamp, text.get(start + WIDTH..)?))
    })
}

fn exact(at: Timestamp) -> String {
    at.format("%-d %B %Y, %H:%M:%S UTC").to_string()
}

/// What a stranger wrote: held together whatever direction it is written in, and without what would turn the text
/// around it.
pub(super) fn words(text: &str) -> Markup {
    html! { bdi { (plain(text)) } }
}

/// Without characters that are obeyed instead of read.
pub(super) fn plain(text: &str) -> String {
    let obeyed = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t'))
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if obeyed(c) { '\u{fffd}' } else { c }).collect()
}

/// `1 job`, `3 jobs`.
pub(super) fn many(count: i64, one: &str, more: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{} {more}", grouped(count)) }
}

/// `12,345`.
pub(super) fn grouped(count: i64) -> String {
    let digits = count.unsigned_abs().to_string();
    let mut said = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if count < 0 {
        said.push('-');
    }
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            said.push(',');
        }
        said.push(digit);
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_relative_with_the_exact_one_on_hover() {
        let at = |text: &str| from_text(text).expect("valid");
        let now = at("2026-11-24T12:00:00.000Z");
        let check = |time: &str, expected: &str| assert_eq!(when(at(time), now).into_string(), expected);
        check(
            "2026-11-21T11:00:00.000Z",
            "<time datetime=\"2026-11-21T11:00:00.000Z\" title=\"21 November 2026, 11:00:00 UTC\">3 days ago</time>",
        );
        check(
            "2026-11-24T12:01:00.000Z",
            "<time datetime=\"2026-11-24T12:01:00.000Z\" title=\"24 November 2026, 12:01:00 UTC\">in 1 minute</time>",
        );
        assert_eq!(when_row("<soon>", now).into_string(), "<bdi>&lt;soon&gt;</bdi>");
    }

    #[test]
    fn instants_in_a_sentence_are_read_by_people() {
        let now = from_text("2026-11-24T12:00:00.000Z").expect("valid");
        let check =
            |text: &str, expected: &str| assert_eq!(told(text, now).into_string(), expected, "{text}");
        check("no <key>", "<bdi>no &lt;key&gt;</bdi>");
        check(
            "open until 2026-11-24T21:52:08.627Z!",
            "<bdi>open until <time datetime=\"2026-11-24T21:52:08.627Z\" title=\"24 November 2026, 21:52:08 UTC\">21:52 UTC</time>!</bdi>",
        );
        let tomorrow = told("2026-11-25T08:00:00.000Z", now).into_string();
        assert!(tomorrow.contains(">25 November, 08:00 UTC</time>"), "{tomorrow}");
        check("2026 2026-11-24T21:52:08é", "<bdi>2026 2026-11-24T21:52:08é</bdi>");
    }

    #[test]
    fn what_turns_text_around_is_not_obeyed() {
        assert_eq!(words("a\u{202e}<b>\u{7}").into_string(), "<bdi>a\u{fffd}&lt;b&gt;\u{fffd}</bdi>");
    }

    #[test]
    fn numbers_are_grouped() {
        let check = |count: i64, expected: &str| assert_eq!(grouped(count), expected);
        check(0, "0");
        check(999, "999");
        check(1_000, "1,000");
        check(-1_234_567, "-1,234,567");
        assert_eq!(many(1, "job", "jobs"), "1 job");
        assert_eq!(many(0, "job", "jobs"), "0 jobs");
    }
}
