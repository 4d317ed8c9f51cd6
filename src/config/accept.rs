//! Acceptance rules as they are written, each only where the medium has it.

use std::time::Duration;

use regex::Regex;

use crate::domain::accept::{Acceptance, Aspect};
use crate::domain::asset::Medium;

use super::reader::{Item, Table};

/// The rules and the mediums they make sense for.
const RULES: [(&str, &[Medium]); 9] = [
    ("min_width", &[Medium::Image, Medium::Video]),
    ("min_height", &[Medium::Image, Medium::Video]),
    ("aspect", &[Medium::Image, Medium::Video]),
    ("min_bytes", &[Medium::Image, Medium::Video, Medium::Audio]),
    ("min_duration", &[Medium::Video, Medium::Audio]),
    ("min_chars", &[Medium::Text]),
    ("max_chars", &[Medium::Text]),
    ("forbid", &[Medium::Text]),
    ("json", &[Medium::Text]),
];

/// The largest picture anybody asks for, in pixels a side.
const MAX_SIDE: u32 = 16_384;
const MAX_BYTES: u64 = 1 << 32;
const MAX_CHARS: u32 = 1_000_000;

pub(super) fn read(mut table: Table<'_>, medium: Option<Medium>) -> Acceptance {
    let mut rule = |name: &str| {
        let mediums = RULES.iter().find(|(known, _)| *known == name).map(|(_, mediums)| *mediums);
        let item = table.take(name)?;
        if let (Some(medium), Some(mediums)) = (medium, mediums)
            && !mediums.contains(&medium)
        {
            let fitting: Vec<&str> = mediums.iter().map(|medium| medium.as_str()).collect();
            item.wrong(
                format!("is no rule for {medium}"),
                format!("leave it out; it is for {}", fitting.join(", ")),
            );
            return None;
        }
        Some(item)
    };
    let chars = |item: Item<'_>| item.whole32(0..=MAX_CHARS).and_then(|count| usize::try_from(count).ok());
    let accept = Acceptance {
        min_width: rule("min_width").and_then(|item| item.whole32(1..=MAX_SIDE)),
        min_height: rule("min_height").and_then(|item| item.whole32(1..=MAX_SIDE)),
        aspect: rule("aspect").and_then(aspect),
        min_bytes: rule("min_bytes").and_then(|item| item.whole(0..=MAX_BYTES)),
        min_duration: rule("min_duration")
            .and_then(|item| item.duration(Duration::ZERO..=Duration::from_secs(86_400))),
        min_chars: rule("min_chars").and_then(chars),
        max_chars: rule("max_chars").and_then(chars),
        forbid: rule("forbid").and_then(forbid).unwrap_or_default(),
        json: rule("json").and_then(Item::flag).unwrap_or(false),
    };
    if let (Some(least), Some(most)) = (accept.min_chars, accept.max_chars)
        && least > most
    {
        table.wrong("max_chars", format!("is less than min_chars, {least}"), "no text could satisfy both");
    }
    table.finish();
    accept
}

fn aspect(item: Item<'_>) -> Option<Aspect> {
    let text = item.clone().text()?;
    let aspect = Aspect::parse(&text);
    if aspect.is_none() {
        item.wrong(format!("{} is no ratio", item.shown()), "write width and height, \"16:9\"");
    }
    aspect
}

fn forbid(item: Item<'_>) -> Option<Vec<String>> {
    // A comma is part of many expressions, so a text from outside is one expression.
    let items = if item.is_list() { item.list()? } else { vec![item] };
    let pattern = |item: Item<'_>| {
        let text = item.clone().text()?;
        match Regex::new(&text) {
            Ok(_) => Some(text),
            Err(error) => {
                // The crate draws the place over several lines; its last one says what is wrong.
                let said = error.to_string();
                let why = said.lines().last().unwrap_or("").trim().trim_start_matches("error: ").to_owned();
                item.wrong(
                    format!("{} is no regular expression: {why}", item.shown()),
                    "write it as the regex crate reads it",
                );
                None
            }
        }
    };
    Some(items.into_iter().filter_map(pattern).collect())
}
