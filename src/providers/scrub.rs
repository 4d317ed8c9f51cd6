//! Keeps keys, prompts and bodies out of the messages people read, and keys out of what is published.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// The longest message: a sentence or two of a vendor, never a body.
const MOST_CHARS: usize = 300;

/// How many characters in a row give a key away, and a prompt. Vendors mask most of a key they quote; a phrase
/// of a prompt shorter than this may well be the vendor's own.
const KEY_RUN: usize = 8;
const PROMPT_RUN: usize = 24;

/// A key shorter than this may be a word of the trade (`ollama`), which a text about it holds by right.
const SHORTEST_IN_OUTPUT: usize = 16;

/// One line of at most [`MOST_CHARS`] characters, that quotes neither the key nor the prompt.
pub(super) fn scrub(message: &str, key: Option<&str>, prompt: &str) -> String {
    let line: String = message.split(|c: char| c.is_whitespace() || c.is_control() || moves_text(c)).fold(
        String::with_capacity(message.len().min(MOST_CHARS)),
        |mut line, word| {
            if !word.is_empty() {
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(word);
            }
            line
        },
    );
    let prompt: String = prompt.split_whitespace().collect::<Vec<_>>().join(" ");
    let quoted = if key.is_some_and(|key| quotes_key(&line, key)) {
        "the key"
    } else if quotes(&line, &prompt, PROMPT_RUN) {
        "the prompt"
    } else {
        return clipped(line);
    };
    // What stands before the vendor's words is ours: `answered 401 (invalid_api_key)`.
    let ours = line.split_once(": ").map_or("failed", |(ours, _)| ours);
    let ours = if key.is_some_and(|key| quotes_key(ours, key)) || quotes(ours, &prompt, PROMPT_RUN) {
        "failed"
    } else {
        ours
    };
    clipped(format!("{ours}; the vendor's words quote {quoted} and are left out"))
}

/// A vendor's name for something, kept beside an attempt: a request's id, a model, a category. `None` where it quotes
/// the key; some relays echo what they were sent.
pub(super) fn word(text: &str, key: Option<&str>) -> Option<String> {
    const MOST_CHARS: usize = 128;
    let plain = |c: &char| !c.is_control() && !moves_text(*c);
    let word: String = text.trim().chars().filter(plain).take(MOST_CHARS).collect();
    (!word.is_empty() && !key.is_some_and(|key| quotes_key(&word, key))).then_some(word)
}

/// A vendor's text for `jobs.metadata`, such as the prompt as it was revised. A whole reply of it would fill the
/// database.
pub(super) fn kept(text: &str) -> String {
    const MOST_CHARS: usize = 8_000;
    text.chars().take(MOST_CHARS).collect()
}

/// Whether something that would be published holds the whole key, as it is or in one of the spellings that servers
/// echo what they were sent in: some relays answer with their own debugging.
pub(super) fn publishes(text: &str, key: Option<&str>) -> bool {
    let Some(key) = key.map(str::trim).filter(|key| key.len() >= SHORTEST_IN_OUTPUT) else { return false };
    let (text, unquoted) = (squeezed(text), squeezed(&percent_decoded(text)));
    spellings(key).iter().any(|spelling| text.contains(spelling) || unquoted.contains(spelling))
}

/// Whether a line gives a part of the key away, in whatever spelling, with whatever between its letters.
fn quotes_key(line: &str, key: &str) -> bool {
    let line: String = line.chars().take(MOST_CHARS * 4).collect();
    quotes(&line, key, KEY_RUN)
        || [squeezed(&line), squeezed(&percent_decoded(&line))]
            .iter()
            .any(|line| spellings(key).iter().any(|spelling| quotes(line, spelling, KEY_RUN)))
}

/// A key as letters and digits: itself, as base64 at each of the three places it may stand at in what is encoded (as
/// `user:key` is), and as hexadecimal.
fn spellings(key: &str) -> Vec<String> {
    let key = key.trim();
    let encoded = |before: usize| {
        let mut bytes = vec![b':'; before];
        bytes.extend_from_slice(key.as_bytes());
        // The first and the last characters hold bits of the neighbours too.
        let text = STANDARD_NO_PAD.encode(&bytes);
        let own = text.len().saturating_sub(usize::from(!bytes.len().is_multiple_of(3)));
        text.get((before * 8).div_ceil(6)..own).unwrap_or_default().to_owned()
    };
    let hex: String = key.bytes().map(|byte| format!("{byte:02x}")).collect();
    let all = [key.to_owned(), encoded(0), encoded(1), encoded(2), hex];
    all.iter().map(|spelling| squeezed(spelling)).filter(|spelling| !spelling.is_empty()).collect()
}

/// The letters and digits alone, in lower case.
fn squeezed(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let digits = (*first == b'%').then(|| tail.get(..2)).flatten();
        let byte = digits.and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether a character shows nothing and turns around or hides what stands beside it.
fn moves_text(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn clipped(line: String) -> String {
    match line.char_indices().nth(MOST_CHARS) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

/// Whether any `run` characters in a row of `secret`, or all of a shorter one, stand in the line.
fn quotes(line: &str, secret: &str, run: usize) -> bool {
    const SHORTEST: usize = 4;
    let chars: Vec<char> = secret.trim().chars().collect();
    if chars.len() < SHORTEST.max(run / 2) {
        return false;
    }
    let line: Vec<char> = line.chars().take(MOST_CHARS * 4).collect();
    let run = run.min(chars.len());
    let runs: std::collections::HashSet<&[char]> = chars.windows(run).collect();
    line.windows(run).any(|window| runs.contains(window))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "sk-live-0123456789abcdef";
    const PROMPT: &str = "An editorial hero image\nfor an article about foxes in the city";

    fn check(message: &str, expected: &str) {
        assert_eq!(scrub(message, Some(KEY), PROMPT), expected);
    }

    #[test]
    fn a_message_is_one_line() {
        check("answered 400: too\n\tmany\u{202e}\u{1b}[31mcolours", "answered 400: too many [31mcolours");
        assert_eq!(scrub(&"ä".repeat(400), None, "").chars().count(), MOST_CHARS + 1);
    }

    #[test]
    fn a_vendors_word_is_short_plain_and_not_the_key() {
        assert_eq!(word(" req\u{1b}_1\u{202e} ", Some(KEY)).as_deref(), Some("req_1"));
        assert_eq!(word(&format!("Bearer {KEY}"), Some(KEY)), None);
        assert_eq!(word("\n", None), None);
        assert_eq!(word(&"x".repeat(500), None).map(|word| word.len()), Some(128));
    }

    #[test]
    fn a_kept_text_has_a_bound() {
        assert_eq!(kept(&"ä".repeat(9_000)).chars().count(), 8_000);
        assert_eq!(kept("a red fox"), "a red fox");
    }

    #[test]
    fn a_quoted_key_takes_the_vendors_words_with_it() {
        let gone = "answered 401 (invalid_api_key); the vendor's words quote the key and are left out";
        check("answered 401 (invalid_api_key): Incorrect API key provided: sk-live-0123456789abcdef.", gone);
        check("answered 401 (invalid_api_key): no such key 6789abcdef", gone);
        check("sk-live-0123456789abcdef", "failed; the vendor's words quote the key and are left out");
        check(
            "answered 401 (sk-live-0123456789abcdef): no",
            "failed; the vendor's words quote the key and are left out",
        );
        check("answered 401: no such key sk-****cdef", "answered 401: no such key sk-****cdef");
    }

    #[test]
    fn a_key_is_found_in_every_spelling_that_servers_echo() {
        let gone = "answered 401; the vendor's words quote the key and are left out";
        let basic = STANDARD_NO_PAD.encode(format!("user:{KEY}"));
        let hex: String = KEY.bytes().map(|byte| format!("{byte:02X}")).collect();
        for spelling in [
            basic.as_str(),
            &STANDARD_NO_PAD.encode(KEY),
            &STANDARD_NO_PAD.encode(format!("{{\"key\":\"{KEY}\"}}")),
            &hex,
            "sk%2Dlive%2D0123456789abcdef",
            "%73%6b%2d%6c%69%76%65%2d%30%31%32%33%34%35%36%37%38%39",
            "s k - l i v e - 0 1 2 3 4 5 6 7",
            "s\u{200b}k\u{200b}-\u{200b}l\u{200b}i\u{200b}v\u{200b}e\u{200b}-\u{200b}0\u{200b}1\u{200b}2",
            "SK-LIVE-0123456789ABCDEF",
        ] {
            check(&format!("answered 401: {spelling}"), gone);
            assert_eq!(word(spelling, Some(KEY)), None, "{spelling}");
        }
        for spelling in [KEY, &format!("You sent {KEY}."), &basic, &hex, "sk%2Dlive%2D0123456789abcdef"] {
            assert!(publishes(spelling, Some(KEY)), "{spelling}");
        }
        for harmless in ["a text about live keys", "sk-live-0123", "", &STANDARD_NO_PAD.encode("a picture")] {
            assert!(!publishes(harmless, Some(KEY)), "{harmless}");
        }
        assert!(!publishes("ollama runs on this machine", Some("ollama")), "a word of the trade");
        assert!(!publishes(KEY, None));
        for odd in ["%", "%4", "%zz", "100%", "ä%ff"] {
            assert!(!publishes(odd, Some(KEY)), "{odd}");
        }
    }

    #[test]
    fn a_quoted_prompt_does_too() {
        check(
            "answered 400: cannot draw \"hero image for an article about foxes\"",
            "answered 400; the vendor's words quote the prompt and are left out",
        );
        check("answered 400: no hero image today", "answered 400: no hero image today");
        assert_eq!(scrub("a cat is no category", None, "cat"), "a cat is no category");
    }
}
