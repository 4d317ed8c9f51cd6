//! The configuration's own rules for what a reply means, asked before what holds for every vendor.

use serde::Deserialize;
use serde_json::Value;

use crate::domain::failure::FailureClass;
use crate::domain::time::Timestamp;
use crate::providers::protocol::HttpReply;

use super::json_path::{JsonPath, plain};

/// A reply that fulfils every condition is a failure of this class.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    /// The HTTP status.
    status: Option<u16>,
    /// A place in the reply; alone, it is enough that something true stands there.
    path: Option<JsonPath>,
    /// What stands there, or anything a list there holds.
    equals: Option<Value>,
    /// Words that stand there, or anywhere in the body; case does not count.
    contains: Option<String>,
    /// The class.
    class: String,
    /// For refusals: what the vendor objects to.
    category: Option<String>,
    /// Whether the vendor bills the call all the same.
    #[serde(default)]
    billed: bool,
}

/// What a rule makes of a reply.
pub(super) struct Verdict {
    pub(super) class: FailureClass,
    /// What the rule is about, for the sentence.
    pub(super) subject: String,
    pub(super) billed: bool,
}

/// The classes that a reply can show. The others are about calls without a reply, and our own disk.
const CLASSES: [&str; 8] =
    ["transient", "rate_limited", "quota", "auth", "retired", "invalid", "refused", "unusable"];

impl Rule {
    pub(super) fn checked(self) -> Result<Self, String> {
        if !CLASSES.contains(&self.class.as_str()) {
            return Err(format!("class \"{}\" is none; the classes are {}", self.class, CLASSES.join(", ")));
        }
        if self.status.is_none() && self.path.is_none() && self.contains.is_none() {
            return Err("has no condition; set status, path or contains".to_owned());
        }
        if self.equals.is_some() && self.path.is_none() {
            return Err("equals needs a path".to_owned());
        }
        if self.equals.as_ref().is_some_and(|value| plain(value).is_none()) {
            return Err("equals must be a text, a number or a truth value".to_owned());
        }
        if self.contains.as_deref().is_some_and(|words| words.trim().is_empty()) {
            return Err("contains is empty".to_owned());
        }
        Ok(self)
    }

    /// The class, where the reply fulfils every condition. A rule about the body's words alone does not judge a
    /// success, whose words may be anybody's.
    fn judge(&self, reply: &HttpReply, body: &Value, until: Option<Timestamp>) -> Option<FailureClass> {
        if self.status.is_some_and(|status| status != reply.status) {
            return None;
        }
        if reply.is_success() && self.status.is_none() && self.path.is_none() {
            return None;
        }
        let says = |text: &str| {
            let equal = self.equals.as_ref().and_then(plain).is_none_or(|wanted| wanted == text);
            let words = self.contains.as_ref().map(|words| words.to_lowercase());
            equal && words.is_none_or(|words| text.to_lowercase().contains(&words))
        };
        let fits = match &self.path {
            Some(path) => path.at(body).is_some_and(|found| self.fits_there(found, &says)),
            None => says(&String::from_utf8_lossy(&reply.body)),
        };
        fits.then(|| self.class(until)).flatten()
    }

    fn fits_there(&self, found: &Value, says: &dyn Fn(&str) -> bool) -> bool {
        match found {
            Value::Array(list) => list.iter().any(|item| self.fits_there(item, says)),
            Value::Object(fields) => {
                self.equals.is_none()
                    && !fields.is_empty()
                    && (self.contains.is_none() || says(&found.to_string()))
            }
            Value::Bool(false) if self.equals.is_none() => false,
            Value::Null => false,
            Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                plain(found).is_some_and(|text| says(&text))
            }
        }
    }

    fn subject(&self) -> String {
        self.path.as_ref().map_or_else(|| "the status".to_owned(), ToString::to_string)
    }

    fn class(&self, until: Option<Timestamp>) -> Option<FailureClass> {
        Some(match FailureClass::parse(&self.class)? {
            FailureClass::RateLimited { .. } => FailureClass::RateLimited { until },
            FailureClass::Refused { .. } => FailureClass::Refused { category: self.category.clone() },
            class @ (FailureClass::Transient
            | FailureClass::Quota { .. }
            | FailureClass::Auth
            | FailureClass::Retired
            | FailureClass::Invalid
            | FailureClass::Unusable
            | FailureClass::TimedOut
            | FailureClass::UnknownOutcome
            | FailureClass::Internal) => class,
        })
    }
}

/// The verdict of the first rule that fits.
pub(super) fn judge(
    rules: &[Rule],
    reply: &HttpReply,
    body: &Value,
    until: Option<Timestamp>,
) -> Option<Verdict> {
    rules.iter().find_map(|rule| {
        let class = rule.judge(reply, body, until)?;
        Some(Verdict { class, subject: rule.subject(), billed: rule.billed })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rule(rule: Value) -> Result<Rule, String> {
        serde_json::from_value::<Rule>(rule).map_err(|e| e.to_string()).and_then(Rule::checked)
    }

    fn class(conditions: &Value, status: u16, body: &Value) -> Option<&'static str> {
        let rule = rule(conditions.clone()).expect("a rule");
        let reply = HttpReply { status, body: body.to_string().into(), ..HttpReply::default() };
        rule.judge(&reply, body, None).map(|class| class.as_str())
    }

    #[test]
    fn a_rule_fits_when_all_its_conditions_hold() {
        let check = |conditions: Value, status, body: Value, expected| {
            assert_eq!(class(&conditions, status, &body), expected, "{conditions} {status} {body}");
        };
        let moderated = json!({"path": "detail.type", "contains": "POLICY", "class": "refused"});
        check(
            moderated.clone(),
            422,
            json!({"detail": {"type": "content_policy_violation"}}),
            Some("refused"),
        );
        check(
            moderated.clone(),
            200,
            json!({"detail": {"type": "content_policy_violation"}}),
            Some("refused"),
        );
        check(moderated, 422, json!({"detail": {"type": "missing"}}), None);
        let in_list = json!({"path": "detail", "contains": "policy", "class": "refused"});
        check(
            in_list,
            422,
            json!({"detail": [{"type": "missing"}, {"type": "content_policy"}]}),
            Some("refused"),
        );
        let both = json!({"status": 401, "path": "code", "equals": 7, "class": "quota"});
        check(both.clone(), 401, json!({"code": 7}), Some("quota"));
        check(both.clone(), 401, json!({"code": "7"}), Some("quota"));
        check(both.clone(), 403, json!({"code": 7}), None);
        check(both, 401, json!({"code": 70}), None);
        let flag = json!({"path": "nsfw", "class": "refused"});
        check(flag.clone(), 200, json!({"nsfw": true}), Some("refused"));
        check(flag.clone(), 200, json!({"nsfw": [false, true]}), Some("refused"));
        for nothing in [
            json!({"nsfw": false}),
            json!({"nsfw": null}),
            json!({"nsfw": []}),
            json!({"nsfw": [false]}),
            json!({}),
        ] {
            check(flag.clone(), 200, nothing, None);
        }
        check(json!({"status": 418, "class": "transient"}), 418, json!(null), Some("transient"));
        let words = json!({"contains": "out of paint", "class": "quota"});
        check(words.clone(), 500, json!({"any": {"where": "Out of paint."}}), Some("quota"));
        check(words, 200, json!({"text": "a story of a painter out of paint"}), None);
    }

    #[test]
    fn a_rule_that_means_nothing_is_no_rule() {
        for bad in [
            json!({"class": "refused"}),
            json!({"status": 400, "class": "sad"}),
            json!({"status": 400, "class": "internal"}),
            json!({"equals": 1, "class": "quota"}),
            json!({"path": "a", "equals": {"b": 1}, "class": "quota"}),
            json!({"contains": " ", "class": "quota"}),
            json!({"status": 400}),
            json!({"status": 400, "class": "quota", "colour": "red"}),
            json!({"path": "a..b", "class": "quota"}),
        ] {
            assert!(rule(bad.clone()).is_err(), "{bad}");
        }
    }
}
