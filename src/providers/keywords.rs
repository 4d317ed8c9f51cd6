//! A few keywords for the providers that search: a whole prompt finds nothing in a picture library.

use serde_json::Value;

use crate::domain::ask::Ask;

/// Most keywords of one search. Libraries look for pictures that match all of them.
const MOST_WORDS: usize = 5;

/// Most characters of one search; the libraries do not say where they stop.
const MOST_CHARS: usize = 100;

/// Words of a language's grammar, that say nothing of a picture. English, because titles in other languages
/// lose more to a wrong list than they gain by a right one.
const STOP_WORDS: &[&str] = &[
    "a", "about", "above", "after", "again", "all", "also", "am", "an", "and", "any", "are", "as", "at",
    "be", "because", "been", "before", "being", "below", "between", "both", "but", "by", "can", "could",
    "did", "do", "does", "during", "each", "every", "few", "for", "from", "had", "has", "have", "he", "her",
    "here", "his", "how", "i", "if", "in", "into", "is", "it", "its", "just", "let", "may", "more", "most",
    "must", "my", "new", "no", "nor", "not", "of", "off", "on", "one", "only", "or", "other", "our", "out",
    "over", "own", "same", "she", "should", "so", "some", "such", "than", "that", "the", "their", "them",
    "then", "there", "these", "they", "this", "those", "through", "to", "too", "under", "until", "up", "us",
    "very", "was", "we", "were", "what", "when", "where", "which", "while", "who", "whom", "why", "will",
    "with", "within", "without", "would", "you", "your",
];

/// Words of the trade, that say what is to be made and not what it shows. Dropped from prompts only: a title
/// may well be about a hero.
const TRADE_WORDS: &[&str] = &[
    "article",
    "articles",
    "aspect",
    "background",
    "banner",
    "blog",
    "clip",
    "create",
    "cinematic",
    "depict",
    "depicting",
    "detailed",
    "draw",
    "editorial",
    "featuring",
    "generate",
    "header",
    "hero",
    "hd",
    "high",
    "illustrate",
    "illustration",
    "image",
    "landscape",
    "letters",
    "lettering",
    "logo",
    "make",
    "photo",
    "photograph",
    "photographic",
    "photorealistic",
    "picture",
    "piece",
    "please",
    "portrait",
    "post",
    "quality",
    "ratio",
    "realistic",
    "resolution",
    "scene",
    "seconds",
    "show",
    "showing",
    "shows",
    "style",
    "text",
    "title",
    "titled",
    "video",
    "watermark",
    "words",
    "write",
];

/// What a search reads of a job's input, besides its prompt.
pub const SEARCHED_INPUT: [&str; 2] = ["keywords", "title"];

/// What to search for: `input.keywords` as they are, else the salient words of `input.title`, else those of the
/// prompt, else those of the slug. Never empty, as a slug is not.
pub(super) fn query(ask: &Ask) -> String {
    let title = ask.input.get("title").and_then(Value::as_str).unwrap_or_default();
    let candidates = [
        given(ask.input.get("keywords")),
        salient(title, &[]),
        salient(&ask.prompt, TRADE_WORDS),
        salient(&ask.slug, &[]),
    ];
    let words = candidates.into_iter().find(|words| !words.is_empty()).unwrap_or_default();
    let mut query = String::new();
    for word in words {
        if !query.is_empty() && query.chars().count() + 1 + word.chars().count() > MOST_CHARS {
            break;
        }
        if !query.is_empty() {
            query.push(' ');
        }
        query.extend(word.chars().take(MOST_CHARS));
    }
    query
}

/// The pipeline's own keywords: a list, or a text with commas between them or without.
fn given(keywords: Option<&Value>) -> Vec<String> {
    let parts: Vec<&str> = match keywords {
        Some(Value::String(text)) => text.split([',', ';', '\n']).collect(),
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => Vec::new(),
    };
    let clean = |part: &str| {
        let words = part.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join(" ")
    };
    parts.into_iter().map(clean).filter(|part| !part.is_empty()).take(MOST_WORDS).collect()
}

/// The first words that say something, in lower case and each once. A text of nothing but small words (the
/// band called The Who) keeps them.
fn salient(text: &str, beside_the_point: &[&str]) -> Vec<String> {
    let lower = text.to_lowercase();
    let words = || lower.split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '’');
    let once = |words: &mut dyn Iterator<Item = &str>| {
        let mut found: Vec<String> = Vec::new();
        for word in words {
            let word = word.trim_matches(['\'', '’']);
            let word = word.strip_suffix("'s").or_else(|| word.strip_suffix("’s")).unwrap_or(word);
            if !word.is_empty() && found.len() < MOST_WORDS && !found.iter().any(|other| other == word) {
                found.push(word.to_owned());
            }
        }
        found
    };
    let says_something = |word: &&str| {
        let short = word.is_ascii() && word.len() < 2;
        let number = word.chars().all(|c| c.is_ascii_digit());
        !short && !number && !STOP_WORDS.contains(word) && !beside_the_point.contains(word)
    };
    let found = once(&mut words().filter(says_something));
    if found.is_empty() { once(&mut words()) } else { found }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::recorded::ask;
    use serde_json::json;

    #[track_caller]
    fn check(input: &Value, prompt: &str, expected: &str) {
        let mut ask = ask();
        ask.input = input.as_object().expect("an object").clone();
        ask.prompt = prompt.to_owned();
        ask.slug = "night-foxes".to_owned();
        assert_eq!(query(&ask), expected, "{input} {prompt}");
    }

    #[test]
    fn the_pipelines_own_keywords_come_first() {
        let title = "The Secret Life of Foxes";
        check(&json!({"keywords": "Red Fox,  snow ", "title": title}), "p", "Red Fox snow");
        check(&json!({"keywords": ["fox", "", 7, "the city"], "title": title}), "p", "fox the city");
        check(&json!({"keywords": ["a1", "b2", "c3", "d4", "e5", "f6"]}), "p", "a1 b2 c3 d4 e5");
        for nothing in [json!(""), json!(" , "), json!([]), json!(null), json!({"fox": 1}), json!([1, 2])] {
            check(&json!({"keywords": nothing, "title": title}), "p", "secret life foxes");
        }
    }

    #[test]
    fn else_the_title_then_the_prompt_then_the_slug_are_read() {
        check(
            &json!({"title": "Why the City's Foxes Don't Sleep: 7 Facts"}),
            "p",
            "city foxes don't sleep facts",
        );
        check(&json!({"title": "The Who"}), "p", "the who");
        check(&json!({"title": "Fox, fox & FOX"}), "p", "fox");
        check(&json!({"title": "Füchse über Zürich"}), "p", "füchse über zürich");
        check(&json!({"title": "夜の狐"}), "p", "夜の狐");
        let prompt = "Editorial hero image, 16:9, for an article titled Foxes in the snow. No text, no logo.";
        check(&json!({"title": " "}), prompt, "foxes snow");
        check(&json!({}), "…", "night foxes");
        check(&json!({}), "image", "image");
    }

    #[test]
    fn a_search_is_short_whatever_was_sent() {
        let mut ask = ask();
        ask.input = json!({"keywords": ["x".repeat(90), "y".repeat(90)]}).as_object().expect("one").clone();
        assert_eq!(query(&ask), "x".repeat(90));
        ask.input = json!({"keywords": "ä".repeat(5_000)}).as_object().expect("one").clone();
        assert_eq!(query(&ask), "ä".repeat(MOST_CHARS));
        ask.input = json!({"keywords": "fox\u{0}\u{1b}[31m"}).as_object().expect("one").clone();
        assert_eq!(query(&ask), "fox [31m");
    }
}
