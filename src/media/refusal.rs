//! Refusals in prose: a model that answers "I'm sorry, but I can't" has delivered nothing.

use std::sync::LazyLock;

use regex::Regex;

/// A refusal is short; a long text that opens like one goes on to do the work.
const LONGEST: usize = 700;

/// Two kinds of opening: an apology or a self-description, then "I can't", then a verb of service; or "I
/// can't" at once, with an object that only a refusal has. Texts in the first person open alike, so each
/// word here is one that they do not use.
static OPENING: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let sorry = [
        r"(?:i['’]m|i am) (?:very |really |so |terribly )?(?:sorry|afraid)",
        r"(?:my )?apologies|sorry|unfortunately|i (?:do )?apologi[sz]e",
    ]
    .join("|");
    let machine = r"as an? (?:ai|(?:large )?language model)(?: (?:language )?(?:model|assistant))?";
    let unable = [
        r"i (?:can['’]?t|can ?not|won['’]?t|will not|am (?:unable|not able|not allowed) to)",
        r"i (?:must|have to|need to) decline to|i['’]m (?:unable|not able|not allowed) to",
    ]
    .join("|");
    let help = r"(?:assist|help)(?: you)?(?: with\b| here\b| in\b|[.!]|$)";
    let serve = [
        r"(?:create|generate|provide|produce|write|draw|depict)\b",
        r"(?:comply|fulfil+|engage|process|do th(?:at|is))\b",
    ]
    .join("|");
    let make = r"(?:create|generate|produce|provide|draw|depict|write|make)";
    let thing = [
        r"th(?:is|at)\b|such\b|the requested\b|(?:an? |any )?(?:images?|pictures?|videos?|content)\b",
        r"explicit\b|sexual\b|violent\b|hateful\b",
    ]
    .join("|");
    let request = r"comply with\b|(?:fulfil+|process|complete) (?:this|that|your)\b";
    let lead = format!(r"(?:(?:{sorry})[,.:;!]?\s+(?:but |that )?(?:{machine},?\s+)?|{machine},?\s+)");
    let led = format!("{lead}(?:{unable}) (?:{help}|{serve}|{make} (?:{thing}))");
    let bare = format!("(?:{unable}) (?:{help}|{make} (?:{thing})|{request})");
    Regex::new(&format!("(?i)^(?:{led}|{bare})")).ok()
});

/// Whether a text that was asked for is a refusal to write it. `text` is trimmed.
pub(super) fn instead_of_text(text: &str) -> bool {
    text.len() <= LONGEST
        && may_open_one(text)
        && OPENING.as_ref().is_some_and(|opening| opening.is_match(text))
}

/// Whether words that came where a file was wanted are a refusal. No file is hidden in words, so talk of the
/// vendor's policy is enough.
pub(super) fn instead_of_a_file(words: &str) -> bool {
    let words = words.trim();
    if instead_of_text(words) {
        return true;
    }
    let lowered = words.chars().take(LONGEST).collect::<String>().to_lowercase();
    ["content policy", "content policies", "safety system", "safety guidelines", "usage policies"]
        .iter()
        .any(|mark| lowered.contains(mark))
}

/// The first letters of all openings: most texts are let go here, before any pattern is tried.
fn may_open_one(text: &str) -> bool {
    text.starts_with(['i', 'I', 's', 'S', 'm', 'M', 'a', 'A', 'u', 'U'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_from_texts_that_sound_alike() {
        assert!(OPENING.is_some(), "the pattern compiles");
        for refusal in [
            "I'm sorry, but I can't assist with that request.",
            "I’m sorry, but I can’t help with that.",
            "I am sorry, I cannot create content of this kind.",
            "Sorry, I can't generate that image.",
            "I cannot assist with that.",
            "I can't help with creating this.",
            "I can't create images of real people.",
            "I'm unable to generate that content.",
            "As an AI language model, I cannot provide this.",
            "I apologize, but as an AI assistant, I can't write this.",
            "Unfortunately, I am unable to fulfill your request.",
            "I must decline to assist with that.",
            "I can't comply with this request.",
            "Sorry, I can't help.",
        ] {
            assert!(instead_of_text(refusal), "{refusal}");
        }
        for text in [
            "I can't help but smile: our new guide to Zurich is out.",
            "Sorry, winter: our spring collection is here.",
            "I'm sorry, but I can't stop reading this. Neither will you.",
            "I cannot wait to show you what we made!",
            "Unfortunately, we cannot offer refunds, but we can offer cake.",
            "Sorry, I can't help it: I love this view.",
            "I can't write a novel in a day. But I can read one.",
            "Can't make it to the show? Watch it live.",
            "As an airline, we cannot change the weather.",
            "Unfortunately, the museum is closed on Mondays. Here is what to see instead.",
            "New on the site: My article",
        ] {
            assert!(!instead_of_text(text), "{text}");
        }
        let essay = format!("I'm sorry, but I can't help with that. {}", "And then it went on. ".repeat(50));
        assert!(!instead_of_text(&essay), "what goes on at length is a text");
    }

    #[test]
    fn where_a_file_was_wanted_talk_of_policy_is_enough() {
        assert!(instead_of_a_file("This request was blocked by our content policy."));
        assert!(instead_of_a_file("  I'm sorry, but I can't create that image."));
        assert!(!instead_of_a_file("Here is your image: https://example.org/1.png"));
    }
}
