//! A typed reader over the merged tree that notes every mistake with its key and goes on.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use config::{Value, ValueKind};

use super::errors::{Mistakes, advice_for};

/// A value with its key's path.
#[derive(Clone)]
pub(super) struct Item<'m> {
    /// The path, `queue.lease`.
    pub(super) key: String,
    value: Value,
    mistakes: &'m Mistakes,
}

impl<'m> Item<'m> {
    pub(super) fn new(key: String, value: Value, mistakes: &'m Mistakes) -> Self {
        Self { key, value, mistakes }
    }

    /// Notes a mistake at this key.
    pub(super) fn wrong(&self, wrong: impl Into<String>, advice: impl Into<String>) {
        self.mistakes.add_from(&self.key, self.value.origin(), wrong, advice);
    }

    /// Where the value came from when it was not a file.
    pub(super) fn origin(&self) -> Option<&str> {
        self.value.origin()
    }

    /// Its text when it came from the environment or a flag, which carry nothing else: there it also stands for a
    /// number, a truth value or a list.
    fn outside_text(&self) -> Option<&str> {
        self.value.origin()?;
        self.plain_text().map(str::trim)
    }

    fn plain_text(&self) -> Option<&str> {
        if let ValueKind::String(text) = &self.value.kind { Some(text) } else { None }
    }

    fn integer(&self) -> Option<i64> {
        if let ValueKind::I64(number) = &self.value.kind { Some(*number) } else { None }
    }

    fn float(&self) -> Option<f64> {
        if let ValueKind::Float(number) = &self.value.kind { Some(*number) } else { None }
    }

    /// Whether it is a table.
    pub(super) fn is_table(&self) -> bool {
        matches!(self.value.kind, ValueKind::Table(_))
    }

    /// Whether it is a list.
    pub(super) fn is_list(&self) -> bool {
        matches!(self.value.kind, ValueKind::Array(_))
    }

    /// Whether it is the truth value `wanted`.
    pub(super) fn is_flag(&self, wanted: bool) -> bool {
        matches!(self.value.kind, ValueKind::Boolean(found) if found == wanted)
            || self.outside_text().is_some_and(|text| text == wanted.to_string())
    }

    /// Its text, not blank.
    pub(super) fn text(self) -> Option<String> {
        let Some(text) = self.plain_text() else {
            self.wrong(format!("must be a text, not {}", self.kind()), "put it in quotes");
            return None;
        };
        if text.trim().is_empty() {
            self.wrong("must not be empty", "give it a text, or leave the key out");
            return None;
        }
        Some(text.to_owned())
    }

    /// A whole number within bounds.
    pub(super) fn whole(self, bounds: RangeInclusive<u64>) -> Option<u64> {
        let found = self
            .integer()
            .and_then(|number| u64::try_from(number).ok())
            .or_else(|| self.outside_text()?.parse().ok())
            .filter(|number| bounds.contains(number));
        if found.is_none() {
            let wrong = format!("must be a whole number from {} to {}", bounds.start(), bounds.end());
            self.wrong(wrong, format!("it is {}", self.shown()));
        }
        found
    }

    /// As [`Item::whole`], for numbers that fit 32 bits.
    pub(super) fn whole32(self, bounds: RangeInclusive<u32>) -> Option<u32> {
        let wide = u64::from(*bounds.start())..=u64::from(*bounds.end());
        self.whole(wide).and_then(|number| u32::try_from(number).ok())
    }

    /// A number, not negative.
    pub(super) fn amount(self, most: u32) -> Option<f64> {
        let whole = self.integer().and_then(|number| u32::try_from(number).ok()).map(f64::from);
        let found = whole.or_else(|| self.float()).or_else(|| self.outside_text()?.parse().ok());
        let found = found.filter(|number| (0.0..=f64::from(most)).contains(number));
        if found.is_none() {
            self.wrong(format!("must be a number from 0 to {most}"), format!("it is {}", self.shown()));
        }
        found
    }

    /// The number as its digits, for what must be exact; `None` where it is none.
    pub(super) fn decimal(&self) -> Option<String> {
        let whole = self.integer().map(|number| number.to_string());
        // The shortest digits that read as the same number are those that were written.
        let digits = whole.or_else(|| self.float().map(|number| number.to_string()));
        digits.or_else(|| self.outside_text().map(str::to_owned))
    }

    /// `true` or `false`.
    pub(super) fn flag(self) -> Option<bool> {
        let found = [true, false].into_iter().find(|wanted| self.is_flag(*wanted));
        if found.is_none() {
            self.wrong("must be true or false", format!("it is {}", self.shown()));
        }
        found
    }

    /// A length of time within bounds, as people write it: `60s`, `1h 30m`.
    pub(super) fn duration(self, bounds: RangeInclusive<Duration>) -> Option<Duration> {
        let ValueKind::String(text) = &self.value.kind else {
            self.wrong(
                format!("must be a length of time, not {}", self.kind()),
                "write it with its unit: \"60s\", \"1h 30m\", \"90d\"",
            );
            return None;
        };
        let Ok(found) = humantime::parse_duration(text) else {
            self.wrong(
                format!("{} is no length of time", self.shown()),
                "write it with its unit: \"60s\", \"1h 30m\", \"90d\"",
            );
            return None;
        };
        if !bounds.contains(&found) {
            let (least, most) = (spell(*bounds.start()), spell(*bounds.end()));
            self.wrong(format!("must be from {least} to {most}"), format!("it is {}", self.shown()));
            return None;
        }
        Some(found)
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(self, choices: &[(&str, T)]) -> Option<T> {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        if let ValueKind::String(text) = &self.value.kind {
            if let Some((_, meaning)) = choices.iter().find(|(word, _)| word == text) {
                return Some(*meaning);
            }
            let otherwise = format!("choose one of {}", words.join(", "));
            self.wrong(format!("{} is not known here", self.shown()), advice_for(text, &words, &otherwise));
            return None;
        }
        self.wrong(
            format!("must be a text, not {}", self.kind()),
            format!("choose one of {}", words.join(", ")),
        );
        None
    }

    /// The items of a list. Text from the environment or a flag is split at its commas.
    pub(super) fn list(self) -> Option<Vec<Self>> {
        let values = if let ValueKind::Array(values) = &self.value.kind {
            values.clone()
        } else if let Some(text) = self.outside_text() {
            let from = self.value.origin().map(str::to_owned);
            text.split(',').map(|part| Value::new(from.as_ref(), part.trim())).collect()
        } else {
            self.wrong(format!("must be a list, not {}", self.kind()), "write it in brackets");
            return None;
        };
        let item = |(index, value)| Self::new(format!("{}[{index}]", self.key), value, self.mistakes);
        Some(values.into_iter().enumerate().map(item).collect())
    }

    /// The texts of a list; `None` when any of them is none.
    pub(super) fn texts(self) -> Option<Vec<String>> {
        let items = self.list()?;
        let count = items.len();
        let texts: Vec<String> = items.into_iter().filter_map(Item::text).collect();
        (texts.len() == count).then_some(texts)
    }

    /// A program and its arguments.
    pub(super) fn command(self) -> Option<Vec<String>> {
        let shell = self.clone();
        if self.plain_text().is_some() && self.value.origin().is_none() {
            self.wrong(
                "must be a list: the program and its arguments, which no shell will read",
                "write it as [\"/path/to/program\", \"argument\"]",
            );
            return None;
        }
        let words = self.texts()?;
        if words.is_empty() {
            shell.wrong("names no program", "write it as [\"/path/to/program\", \"argument\"]");
            return None;
        }
        Some(words)
    }

    /// Its table.
    pub(super) fn table(self) -> Option<Table<'m>> {
        if let ValueKind::Table(fields) = &self.value.kind {
            let fields = fields.clone().into_iter().collect();
            return Some(Table { key: self.key, fields, ..Table::empty("", self.mistakes) });
        }
        self.wrong(format!("must be a table, not {}", self.kind()), format!("write it as [{}]", self.key));
        None
    }

    /// It as JSON, for settings that others understand. Text from the environment that reads as a number or a
    /// truth value is taken for one.
    pub(super) fn json(self) -> Option<serde_json::Value> {
        let found = to_json(&self.value);
        if found.is_none() {
            self.wrong("holds a number that JSON cannot carry", "write a finite number");
        }
        found
    }

    /// What kind of thing it is, for a sentence.
    fn kind(&self) -> &'static str {
        match &self.value.kind {
            ValueKind::Nil => "nothing",
            ValueKind::Boolean(_) => "a truth value",
            ValueKind::I64(_) | ValueKind::I128(_) | ValueKind::U64(_) | ValueKind::U128(_) => {
                "a whole number"
            }
            ValueKind::Float(_) => "a number",
            ValueKind::String(_) => "a text",
            ValueKind::Table(_) => "a table",
            ValueKind::Array(_) => "a list",
        }
    }

    /// The value for a sentence, cut short. Not for values that could be secrets.
    pub(super) fn shown(&self) -> String {
        match &self.value.kind {
            ValueKind::Boolean(value) => value.to_string(),
            ValueKind::I64(value) => value.to_string(),
            ValueKind::Float(value) => value.to_string(),
            ValueKind::String(text) if text.chars().count() > 60 => {
                format!("{:?}...", text.chars().take(60).collect::<String>())
            }
            ValueKind::String(text) => format!("{text:?}"),
            ValueKind::Nil
            | ValueKind::I128(_)
            | ValueKind::U64(_)
            | ValueKind::U128(_)
            | ValueKind::Table(_)
            | ValueKind::Array(_) => self.kind().to_owned(),
        }
    }
}

/// A table whose keys are taken out one by one; what is left at the end is unknown.
pub(super) struct Table<'m> {
    /// The path of the table itself; empty for the whole.
    pub(super) key: String,
    fields: BTreeMap<String, Value>,
    asked: Vec<String>,
    /// Whether what stands in its place was no table, so that its keys are not missed as well.
    is_broken: bool,
    mistakes: &'m Mistakes,
}

impl<'m> Table<'m> {
    /// The whole configuration.
    pub(super) fn root(fields: BTreeMap<String, Value>, mistakes: &'m Mistakes) -> Self {
        Self { fields, ..Self::empty("", mistakes) }
    }

    /// An empty table, for a section that is not there.
    pub(super) fn empty(key: &str, mistakes: &'m Mistakes) -> Self {
        Self { key: key.to_owned(), fields: BTreeMap::new(), asked: Vec::new(), is_broken: false, mistakes }
    }

    /// Whether no key is left.
    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The value of a key, if it is there.
    pub(super) fn take(&mut self, name: &str) -> Option<Item<'m>> {
        self.asked.push(name.to_owned());
        let value = self.fields.remove(name)?;
        Some(Item::new(self.path(name), value, self.mistakes))
    }

    /// The value of a key that must be there.
    pub(super) fn need(&mut self, name: &str, advice: &str) -> Option<Item<'m>> {
        let item = self.take(name);
        if item.is_none() && !self.is_broken {
            self.mistakes.add(&self.path(name), "is missing", advice);
        }
        item
    }

    /// A nested table; an empty one when it is not there or is none.
    pub(super) fn section(&mut self, name: &str) -> Self {
        let empty = Self::empty(&self.path(name), self.mistakes);
        match self.take(name) {
            Some(item) => item.table().unwrap_or(Self { is_broken: true, ..empty }),
            None => empty,
        }
    }

    /// Everything left, by key.
    pub(super) fn rest(&mut self) -> Vec<(String, Item<'m>)> {
        let fields = std::mem::take(&mut self.fields);
        fields
            .into_iter()
            .map(|(name, value)| {
                let item = Item::new(self.path(&name), value, self.mistakes);
                (name, item)
            })
            .collect()
    }

    /// Ends the table: every key that nobody asked for is a mistake.
    pub(super) fn finish(mut self) {
        for (name, item) in self.rest() {
            self.unknown(&name, &item);
        }
    }

    /// Notes that a key is not known here.
    pub(super) fn unknown(&self, name: &str, item: &Item<'m>) {
        let mut known: Vec<&str> = self.asked.iter().map(String::as_str).collect();
        known.sort_unstable();
        let otherwise = format!("the keys known here are {}", known.join(", "));
        item.wrong("unknown key", advice_for(name, &known, &otherwise));
    }

    /// Adds names to those a person may have meant.
    pub(super) fn also_known(&mut self, names: &[String]) {
        self.asked.extend(names.iter().cloned());
    }

    /// Notes a mistake at a key of this table.
    pub(super) fn wrong(&self, name: &str, wrong: impl Into<String>, advice: impl Into<String>) {
        self.mistakes.add(&self.path(name), wrong, advice);
    }

    fn path(&self, name: &str) -> String {
        // A name with dots is quoted as TOML would, so that the path can be copied into the file.
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        let name = if plain && !name.is_empty() { name.to_owned() } else { format!("{name:?}") };
        if self.key.is_empty() { name } else { format!("{}.{name}", self.key) }
    }
}

/// A length of time as people write it: `90d`, `1m 30s`. Not in months, whose length nobody agrees on.
pub(super) fn spell(length: Duration) -> String {
    const UNITS: [(u128, &str); 5] =
        [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];
    let mut rest = length.as_millis();
    let mut words = Vec::new();
    for (size, unit) in UNITS {
        if rest >= size {
            words.push(format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    if words.is_empty() { "0s".to_owned() } else { words.join(" ") }
}

fn to_json(value: &Value) -> Option<serde_json::Value> {
    use serde_json::Value as Json;
    Some(match &value.kind {
        ValueKind::Nil => Json::Null,
        ValueKind::Boolean(found) => Json::Bool(*found),
        ValueKind::I64(found) => Json::from(*found),
        ValueKind::U64(found) => Json::from(*found),
        ValueKind::I128(found) => Json::from(i64::try_from(*found).ok()?),
        ValueKind::U128(found) => Json::from(i64::try_from(*found).ok()?),
        ValueKind::Float(found) => Json::Number(serde_json::Number::from_f64(*found)?),
        ValueKind::String(text) if value.origin().is_some() => match serde_json::from_str(text) {
            Ok(scalar @ (Json::Bool(_) | Json::Number(_))) => scalar,
            Ok(_) | Err(_) => Json::String(text.clone()),
        },
        ValueKind::String(text) => Json::String(text.clone()),
        ValueKind::Array(values) => Json::Array(values.iter().map(to_json).collect::<Option<_>>()?),
        ValueKind::Table(fields) => {
            let pairs = fields.iter().map(|(key, value)| Some((key.clone(), to_json(value)?)));
            Json::Object(pairs.collect::<Option<_>>()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_spelled_as_they_are_read() {
        let check = |typed: &str, expected: &str| {
            let length = humantime::parse_duration(typed).expect("a length");
            assert_eq!(spell(length), expected);
            assert_eq!(humantime::parse_duration(&spell(length)), Ok(length));
        };
        check("0s", "0s");
        check("250ms", "250ms");
        check("90s", "1m 30s");
        check("90d", "90d");
        check("25h 1ms", "1d 1h 1ms");
    }
}
