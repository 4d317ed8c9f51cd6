//! Cron expressions and time zones, checked with the parser that will run them.

use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use crate::domain::time::Timestamp;

use super::reader::Item;

/// The longest expression anybody needs.
const MAX_LEN: usize = 200;

/// An expression with seconds, as the scheduler wants it: five fields get `0` seconds.
#[must_use]
pub fn six_fields(expression: &str) -> String {
    let fields: Vec<&str> = expression.split_whitespace().collect();
    match fields.len() {
        5 => format!("0 {}", fields.join(" ")),
        _other => fields.join(" "),
    }
}

/// Reads an expression of five or six fields, or a nickname such as `@daily`. Day of month and day of week must
/// both match, as the scheduler has it.
///
/// # Errors
/// With a sentence when it is none.
pub fn parse(expression: &str) -> Result<Cron, String> {
    if expression.len() > MAX_LEN || !expression.chars().all(|c| matches!(c, ' '..='~' | '\t')) {
        return Err("it is too long or holds characters that no expression has".to_owned());
    }
    let fields = expression.split_whitespace().count();
    if !matches!(fields, 5 | 6) && !expression.trim_start().starts_with('@') {
        return Err(format!("it has {fields} fields"));
    }
    CronParser::builder()
        .seconds(Seconds::Required)
        .year(Year::Disallowed)
        .dom_and_dow(true)
        .build()
        .parse(&six_fields(expression))
        .map_err(|error| error.to_string().trim_end_matches('.').to_owned())
}

/// The expression of an item; it must match some time after `now`.
pub(super) fn read(item: Item<'_>, now: Timestamp) -> Option<String> {
    let text = item.clone().text()?;
    check(&item, &text, now).then_some(text)
}

/// Notes what is wrong with an expression that stands at `item`.
pub(super) fn check(item: &Item<'_>, expression: &str, now: Timestamp) -> bool {
    const ADVICE: &str = "write five or six fields, \"0 9 * * MON\" or \"*/10 * * * * *\"";
    match parse(expression).map(|cron| cron.find_next_occurrence(&now, false)) {
        Ok(Ok(_)) => true,
        Ok(Err(_)) => {
            item.wrong(format!("\"{expression}\" never comes"), "name a date that exists");
            false
        }
        Err(why) => {
            item.wrong(format!("{} is no cron expression: {why}", item.shown()), ADVICE);
            false
        }
    }
}

/// The time zone of an item, in IANA's spelling.
pub(super) fn zone(item: Item<'_>) -> Option<String> {
    let text = item.clone().text()?;
    match text.parse::<Tz>() {
        Ok(zone) => Some(zone.name().to_owned()),
        Err(_) => {
            item.wrong(
                format!("{} is no time zone", item.shown()),
                "write one as IANA names it: \"Europe/Zurich\", \"UTC\"",
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_fields_get_their_seconds() {
        let check = |typed: &str, expected: &str| assert_eq!(six_fields(typed), expected);
        check("0 9 * * MON", "0 0 9 * * MON");
        check(" */10  * * * * * ", "*/10 * * * * *");
        check("@daily", "@daily");
    }

    #[test]
    fn expressions_are_read_as_the_scheduler_reads_them() {
        for good in ["0 9 * * MON", "*/10 * * * * *", "@daily", "* 22-23,0-5 * * *", "0 0 12 1 * ?"] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in
            ["", "* * * *", "0 0 9 * * MON 2027", "61 * * * *", "each day", "\u{0}", "* * * * *\n* * *"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(parse(&"* ".repeat(101)).is_err());
    }
}
