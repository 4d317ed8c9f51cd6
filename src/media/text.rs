//! Is this text usable: its length, its form, and what must not stand in it.

use regex::RegexSet;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::{mistaken, refusal, sniff};
use crate::domain::accept::Acceptance;
use crate::domain::ask::{Body, Checked};
use crate::domain::asset::Medium;
use crate::domain::failure::{Failure, FailureClass};

/// The rules for text, with the forbidden patterns compiled.
#[derive(Debug)]
pub(super) struct TextRules {
    min_chars: usize,
    max_chars: usize,
    forbid: RegexSet,
    json: bool,
}

impl TextRules {
    pub(super) fn new(accept: &Acceptance) -> Result<Self, String> {
        for pattern in &accept.forbid {
            if let Err(error) = regex::Regex::new(pattern) {
                let why = error.to_string();
                let last = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
                return Err(format!("\"{pattern}\" in forbid is no regular expression: {last}"));
            }
        }
        let forbid = RegexSet::new(&accept.forbid)
            .map_err(|error| format!("the patterns of forbid are too large together: {error}"))?;
        Ok(Self {
            min_chars: accept.min_chars.unwrap_or(1),
            max_chars: accept.max_chars.unwrap_or(usize::MAX),
            forbid,
            json: accept.json,
        })
    }

    pub(super) fn check(&self, body: Body) -> Result<Checked, Failure> {
        let raw = match body {
            Body::Text(text) => text,
            Body::File(bytes) => decoded(bytes.into())?,
        };
        let text = trimmed(&raw);
        let text = if self.json { unfenced(text) } else { text };
        if text.is_empty() {
            return Err(Failure::unusable("the text is empty"));
        }
        if sniff::is_html(text.as_bytes()) {
            return Err(Failure::unusable("an HTML page instead of text"));
        }
        if text.contains('\0') {
            return Err(Failure::unusable("the text holds NUL characters"));
        }
        if text.ends_with(char::REPLACEMENT_CHARACTER) {
            return Err(Failure::unusable("the text is cut off in the middle of a character"));
        }
        if refusal::instead_of_text(text) {
            let why = "the model refused in words instead of writing the text";
            return Err(Failure::new(FailureClass::Refused { category: None }, why));
        }
        self.expect_form(text)?;
        let chars = self.expect_length(text)?;
        if let Some(index) = self.forbid.matches(text).iter().next() {
            let pattern = self.forbid.patterns().get(index).map_or("", String::as_str);
            return Err(Failure::unusable(format!("the text matches the forbidden pattern \"{pattern}\"")));
        }
        let mut measured = Map::new();
        measured.insert("chars".to_owned(), Value::from(chars));
        let (content_type, extension) =
            if self.json { ("application/json", "json") } else { ("text/plain", "txt") };
        // The usual text needs no trimming, and then no copy.
        let text = if text.len() == raw.len() { raw } else { text.to_owned() };
        Ok(Checked { body: Body::Text(text), content_type, extension, measured })
    }

    fn expect_form(&self, text: &str) -> Result<(), Failure> {
        if self.json {
            return match serde_json::from_str::<IgnoredAny>(text) {
                Ok(_) => Ok(()),
                Err(error) if error.is_eof() => Err(Failure::unusable("the JSON document is cut off")),
                Err(error) => Err(Failure::unusable(format!(
                    "the text is no JSON document (line {}, column {})",
                    error.line(),
                    error.column()
                ))),
            };
        }
        // Relays answer 200 with `{}` or `{"error": ...}`; nobody publishes either.
        if text.starts_with('{')
            && let Ok(fields) = serde_json::from_str::<Map<String, Value>>(text)
            && (fields.is_empty() || fields.contains_key("error"))
        {
            let what = if fields.is_empty() { "an empty JSON object" } else { "an error in JSON" };
            return Err(Failure::unusable(format!("{what} instead of text")));
        }
        Ok(())
    }

    fn expect_length(&self, text: &str) -> Result<usize, Failure> {
        let chars = text.chars().count();
        if chars < self.min_chars {
            let least = self.min_chars;
            return Err(Failure::unusable(format!(
                "the text has {chars} characters, at least {least} are wanted"
            )));
        }
        if chars > self.max_chars {
            let most = self.max_chars;
            return Err(Failure::unusable(format!(
                "the text has {chars} characters, at most {most} are wanted"
            )));
        }
        Ok(chars)
    }
}

fn decoded(bytes: Vec<u8>) -> Result<String, Failure> {
    String::from_utf8(bytes).map_err(|error| {
        let bytes = error.as_bytes();
        let kind = sniff::kind(bytes);
        if kind != sniff::Kind::Unknown {
            return mistaken(kind, bytes, Medium::Text);
        }
        // An error without a length is one at the very end: a character that began and did not go on.
        match error.utf8_error().error_len() {
            None => Failure::unusable("the text is cut off in the middle of a character"),
            Some(_) => Failure::unusable("the text is not UTF-8"),
        }
    })
}

fn trimmed(text: &str) -> &str {
    text.trim_start_matches('\u{feff}').trim()
}

/// The document inside a Markdown code fence: models wrap JSON in one whatever they are told.
fn unfenced(text: &str) -> &str {
    let Some(inside) = text.strip_prefix("```").and_then(|rest| rest.strip_suffix("```")) else {
        return text;
    };
    match inside.split_once('\n') {
        Some((label, document)) if label.chars().all(|c| c.is_ascii_alphanumeric() || c == '\r') => {
            document.trim()
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(change: impl FnOnce(&mut Acceptance)) -> TextRules {
        let mut accept = Acceptance::default();
        change(&mut accept);
        TextRules::new(&accept).expect("valid rules")
    }

    #[track_caller]
    fn refused(rules: &TextRules, body: Body, class: &str, sentence: &str) {
        let failure = rules.check(body).expect_err(sentence);
        assert_eq!((failure.class.as_str(), failure.message.as_str()), (class, sentence));
    }

    fn text(words: &str) -> Body {
        Body::Text(words.to_owned())
    }

    fn file(bytes: &[u8]) -> Body {
        Body::File(bytes.to_vec().into())
    }

    #[test]
    fn a_text_is_trimmed_and_counted_in_characters() {
        let any = rules(|_| {});
        for body in [text("  Grüezi \n"), text("\u{feff}Grüezi"), file("Grüezi\n".as_bytes())] {
            let checked = any.check(body).expect("usable");
            assert_eq!(checked.body, text("Grüezi"));
            assert_eq!((checked.content_type, checked.extension), ("text/plain", "txt"));
            assert_eq!(Value::from(checked.measured), serde_json::json!({"chars": 6}));
        }
    }

    #[test]
    fn what_is_no_text_is_unusable() {
        let any = rules(|_| {});
        refused(&any, text(" \n\t "), "unusable", "the text is empty");
        refused(&any, file(b""), "unusable", "the text is empty");
        refused(&any, text("<!DOCTYPE HTML><p>502"), "unusable", "an HTML page instead of text");
        refused(&any, text("a\0b"), "unusable", "the text holds NUL characters");
        refused(&any, text("cut o\u{fffd}"), "unusable", "the text is cut off in the middle of a character");
        refused(&any, file(b"Gr\xc3"), "unusable", "the text is cut off in the middle of a character");
        refused(&any, file(b"Gr\xfcezi"), "unusable", "the text is not UTF-8");
        refused(&any, file(b"\x89PNG\r\n\x1a\n\0\0"), "unusable", "a picture (image/png) instead of text");
        refused(&any, text("{}"), "unusable", "an empty JSON object instead of text");
        refused(&any, text("{\"error\": {\"code\": 500}}"), "unusable", "an error in JSON instead of text");
        let sentence = "the model refused in words instead of writing the text";
        refused(&any, text("I'm sorry, but I can't assist with that."), "refused", sentence);
        assert!(any.check(text("{name}, look at this")).is_ok(), "a brace alone is no JSON");
    }

    #[test]
    fn the_length_is_held_to_its_window() {
        let window = rules(|a| (a.min_chars, a.max_chars) = (Some(3), Some(5)));
        refused(&window, text(" ab "), "unusable", "the text has 2 characters, at least 3 are wanted");
        refused(&window, text("abcdef"), "unusable", "the text has 6 characters, at most 5 are wanted");
        for words in ["abc", "abcde", "äöüßé"] {
            assert!(window.check(text(words)).is_ok(), "{words}");
        }
    }

    #[test]
    fn forbidden_patterns_are_found_and_named() {
        let strict = rules(|a| a.forbid = vec!["(?i)lorem".to_owned(), r"\[.*\]".to_owned()]);
        let sentence = "the text matches the forbidden pattern \"\\[.*\\]\"";
        refused(&strict, text("Dear [name]"), "unusable", sentence);
        assert!(strict.check(text("Dear reader")).is_ok());
        let bad = Acceptance { forbid: vec!["(".to_owned()], ..Acceptance::default() };
        assert_eq!(
            TextRules::new(&bad).expect_err("no pattern"),
            "\"(\" in forbid is no regular expression: unclosed group"
        );
    }

    #[test]
    fn json_must_be_whole() {
        let json = rules(|a| a.json = true);
        refused(&json, text("{\"a\": [1, 2"), "unusable", "the JSON document is cut off");
        refused(&json, text("{\"a\" 1}"), "unusable", "the text is no JSON document (line 1, column 6)");
        refused(&json, text("Here it is."), "unusable", "the text is no JSON document (line 1, column 1)");
        for words in ["{\"a\": 1}", "```json\n{\"a\": 1}\n```", "[]"] {
            let checked = json.check(text(words)).expect(words);
            assert_eq!((checked.content_type, checked.extension), ("application/json", "json"));
        }
        let fenced = json.check(text("```json\n{\"a\": 1}\n```")).expect("usable");
        assert_eq!(fenced.body, text("{\"a\": 1}"));
    }
}
