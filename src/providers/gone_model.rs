//! Whether a vendor's sentence says that a model is gone, and not that one of its parameters is.

/// What is said of a model that is gone, after its name.
const GONE: &[&str] =
    &["not found", "does not exist", "no longer available", "deprecated", "decommissioned", "retired"];

/// What stands between a name and what is said of it.
const AUXILIARIES: &[&str] =
    &["is", "was", "are", "were", "has", "have", "had", "been", "being", "now", "currently", "already"];

/// What stands between the word for a model and its name.
const NAMING: &[&str] = &["name", "id", "named", "called", "with"];

const DETERMINERS: &[&str] =
    &["the", "this", "that", "your", "requested", "given", "specified", "selected", "publisher"];

/// What makes a model the circumstance of a sentence instead of its subject.
const PREPOSITIONS: &[&str] = &["for", "with", "by", "of", "on", "in", "to", "from", "using", "under"];

/// Whether these words, in lower case, say of a model that it is gone: of the one that is configured, `model`, or of
/// one that they call a model.
pub(super) fn is_said(words: &str, model: Option<&str>) -> bool {
    let model = model.map(str::to_lowercase);
    words.split(['\n', ';', '!']).flat_map(|line| line.split(". ")).any(|sentence| {
        names_none(sentence)
            || GONE.iter().any(|phrase| {
                let said = sentence.match_indices(phrase);
                said.filter_map(|(at, _)| sentence.get(..at))
                    .any(|before| ends_in_model(before, model.as_deref()))
            })
    })
}

/// OpenRouter's "x/y is not a valid model ID".
fn names_none(sentence: &str) -> bool {
    let rest = sentence.split_once("is not a valid model").map(|(_, rest)| rest);
    let next = rest.map(|rest| rest.split_whitespace().next().map_or("", bare));
    next.is_some_and(|next| matches!(next, "" | "id" | "name" | "identifier"))
}

/// Whether the subject that these words end in is a model.
fn ends_in_model(before: &str, model: Option<&str>) -> bool {
    let mut words = before.split_whitespace().rev().skip_while(|word| AUXILIARIES.contains(word)).peekable();
    let is_configured = |word: &str| {
        model.is_some_and(|model| {
            bare(word).strip_suffix(model).is_some_and(|front| front.is_empty() || front.ends_with('/'))
        })
    };
    let is_model = |word: &str| {
        matches!(bare(word), "model" | "models") || word.contains("models/") || is_configured(word)
    };
    let found = words.peek().is_some_and(|word| is_model(word));
    if !found {
        // The name stands last, and what it is the name of before it.
        if !words.next().is_some_and(is_a_name) {
            return false;
        }
        while words.next_if(|word| NAMING.contains(&bare(word))).is_some() {}
        if !words.peek().is_some_and(|word| is_model(word)) {
            return false;
        }
    }
    let front = words.skip(1).find(|word| !DETERMINERS.contains(word) && !is_model(word));
    !front.is_some_and(|word| PREPOSITIONS.contains(&word))
}

/// Whether a word is no plain one: `claude-2`, `'x'`, `gpt4`.
fn is_a_name(word: &str) -> bool {
    let inner = word.trim_end_matches([',', ':', '.']);
    inner.contains(|c: char| !c.is_alphabetic())
}

fn bare(word: &str) -> &str {
    word.trim_matches(|c: char| !c.is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_gone_only_where_the_sentence_is_about_it() {
        let check = |words: &str, expected: bool| {
            assert_eq!(is_said(&words.to_lowercase(), Some("claude-opus-4")), expected, "{words}");
        };
        for gone in [
            "The model `x` has been deprecated.",
            "The model 'gpt-4-32k' is deprecated",
            "Model not found",
            "model: claude-2 not found",
            "The model dall-e-3 has been retired.",
            "The model `x` does not exist or you do not have access to it.",
            "This model models/gemini-2.0-flash is no longer available to new users.",
            "models/imagen-3.0-generate-002 is not found for API version v1beta",
            "Publisher Model `projects/p/locations/l/publishers/google/models/x` was not found",
            "Model with ID 'x' not found",
            "The requested model has been retired; use another",
            "x/y is not a valid model ID",
            "x/y is not a valid model",
            "claude-opus-4 has been deprecated",
            "\"anthropic/claude-opus-4\" is no longer available",
            "Bad request. The model `llama-2` has been decommissioned.",
        ] {
            check(gone, true);
        }
        for present in [
            "`temperature` is deprecated for this model.",
            "`temperature` is deprecated for claude-opus-4.",
            "For this model, `temperature` is deprecated.",
            "For claude-opus-4, `top_k` is deprecated.",
            "The parameter top_k of model claude-2 is deprecated",
            "The model parameter `seed` has been retired",
            "The model is fine. `seed` is no longer available",
            "model: field `seed` not found",
            "Unsupported: image not found in a request to this model",
            "5 is not a valid model parameter",
            "max_tokens is too large for this model",
            "",
        ] {
            check(present, false);
        }
        assert!(!is_said("claude-opus-4 has been deprecated", None), "without a model, a name is any");
    }
}
