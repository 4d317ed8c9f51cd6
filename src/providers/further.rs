//! `extra`, the further fields of a request: which an operator may not set there, because what a call may cost is
//! told before it is made.

use serde_json::{Map, Value};

/// A field that `extra` may not hold: its place in the request, and the options to set instead. One without any
/// multiplies what a call costs.
pub(super) type Guarded = (&'static str, &'static str);

/// Whether `extra` leaves alone what has options of its own; the error is a sentence for the operator that names every
/// field that does not.
pub(super) fn check(extra: &Map<String, Value>, guarded: &[Guarded]) -> Result<(), String> {
    let wrong: Vec<String> = guarded
        .iter()
        .filter(|(place, _)| holds(extra, place))
        .map(|(place, instead)| match *instead {
            "" => format!("extra.{place} multiplies what a call costs, and one output is used; leave it out"),
            options => {
                format!("extra.{place} would change what a call costs unseen; set {options} of the provider")
            }
        })
        .collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}

/// Puts the further fields into a request. Of objects that both have, the fields of both count; else the further one
/// does.
pub(super) fn merge(fields: &mut Map<String, Value>, extra: Map<String, Value>) {
    for (name, value) in extra {
        let ours = fields.iter_mut().find(|(ours, _)| plain(ours) == plain(&name)).map(|(_, ours)| ours);
        match (ours, value) {
            (Some(Value::Object(ours)), Value::Object(value)) => merge(ours, value),
            (Some(ours), value) => *ours = value,
            (None, value) => drop(fields.insert(name, value)),
        }
    }
}

fn holds(extra: &Map<String, Value>, place: &str) -> bool {
    let (first, rest) = place.split_once('.').map_or((place, None), |(first, rest)| (first, Some(rest)));
    extra.iter().filter(|(name, _)| plain(name) == plain(first)).any(|(_, value)| match (rest, value) {
        (None, _) => true,
        (Some(rest), Value::Object(inner)) => holds(inner, rest),
        (Some(_), _) => false,
    })
}

/// Google's servers take `sampleCount` and `sample_count` for the same.
fn plain(name: &str) -> String {
    name.replace('_', "").to_lowercase()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::providers::protocol::named;
    use crate::providers::recorded::provider;

    #[test]
    fn extra_holds_nothing_that_changes_the_cost_of_a_call() {
        let check = |protocol: &str, extra: Value, expected: Option<&str>| {
            let mut provider = provider(protocol, "m", "https://v.example");
            provider.options.insert("extra".to_owned(), extra.clone());
            let found = named(protocol).expect(protocol).check(&provider);
            match (found, expected) {
                (Ok(()), None) => {}
                (Err(why), Some(part)) => assert!(why.contains(part), "{protocol} {extra}: {why}"),
                (found, expected) => panic!("{protocol} {extra}: {found:?} instead of {expected:?}"),
            }
        };
        let one = Some("multiplies what a call costs");
        check("imagen", json!({"sampleCount": 4}), one);
        check("imagen", json!({"sample_count": 4}), one);
        check("imagen", json!({"sampleImageSize": "2K"}), Some("set image_size of the provider"));
        check("imagen", json!({"aspectRatio": "1:1"}), Some("set aspect_ratio of"));
        check("imagen", json!({"personGeneration": "dont_allow"}), None);
        check("veo", json!({"sampleCount": 1}), one);
        check("veo", json!({"durationSeconds": 8}), Some("set seconds of"));
        check("veo", json!({"resolution": "4k"}), Some("set resolution of"));
        check("veo", json!({"negativePrompt": "text"}), None);
        let options = Some("set seconds, resolution and aspect_ratio of");
        check("gemini-video", json!({"response_format": {"duration": "15s"}}), options);
        check("gemini-video", json!({"model": "gemini-omni-1.1-flash"}), Some("set model of"));
        check("gemini-video", json!({"store": false}), None);
        let image = |config: Value| json!({"generationConfig": config});
        check("gemini-image", image(json!({"imageConfig": {"imageSize": "4K"}})), Some("set image_size of"));
        check("gemini-image", json!({"generation_config": {"image_config": {"image_size": "4K"}}}), {
            Some("set image_size of")
        });
        check("gemini-image", image(json!({"candidateCount": 4})), one);
        check("gemini-image", image(json!({"temperature": 1})), None);
        check("openai-images", json!({"n": 10}), one);
        check("openai-images", json!({"size": "4096x4096"}), Some("set size of"));
        check("openai-images", json!({"quality": "high"}), Some("set quality of"));
        check("openai-images", json!({"moderation": "low"}), None);
        check("openai-chat", json!({"n": 2}), one);
        check("openai-chat", json!({"max_tokens": 9000}), Some("set max_tokens of"));
        check("openai-chat", json!({"max_completion_tokens": 9000, "seed": 7}), None);
        check("openai-chat", json!({"max_completion_tokens": "9000"}), Some("must be a whole number"));
        check("anthropic", json!({"max_tokens": 9000, "model": "x"}), Some("extra.model would"));
        check("anthropic", json!({"max_tokens": 9000, "model": "x"}), Some("extra.max_tokens would"));
        check("anthropic", json!({"output_config": {"effort": "low"}}), None);
    }

    #[test]
    fn further_fields_stand_beside_those_of_the_same_object() {
        let mut fields = json!({"a": {"x": 1, "bC": {"y": 2}}, "l": [1]}).as_object().expect("one").clone();
        let extra = json!({"a": {"z": 3, "b_c": {"y": 4}}, "l": [2], "m": 5});
        merge(&mut fields, extra.as_object().expect("one").clone());
        assert_eq!(Value::Object(fields), json!({"a": {"x": 1, "bC": {"y": 4}, "z": 3}, "l": [2], "m": 5}));
    }
}
