//! A vendor's own account of what went wrong, in every shape they give it.

use std::time::Duration;

use serde_json::Value;

use super::hints::go_duration;
use super::protocol::HttpReply;

/// Our own marker for a Google quota of nothing: this model is not for this account at all.
pub(super) const NO_ALLOWANCE: &str = "quota_value_0";

/// What could be read of an error. Nothing is required: front ends answer with HTML or nothing at all.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct VendorError {
    /// The HTTP status, or the one an error inside a 200 names.
    pub(super) status: u16,
    /// Every word for programs (`code`, `type`, `status`, `reason`, `quotaId`), in lower case.
    pub(super) markers: Vec<String>,
    /// The sentence for people.
    pub(super) words: Option<String>,
    /// What a content policy objects to.
    pub(super) category: Option<String>,
    /// A wait named in the body.
    pub(super) wait: Option<Duration>,
}

impl VendorError {
    /// Of a reply whose status says that it is one.
    pub(super) fn of(reply: &HttpReply) -> Self {
        let mut error = Self { status: reply.status, ..Self::default() };
        if let Ok(value) = serde_json::from_slice::<Value>(&reply.body) {
            error.read_envelope(&value);
        }
        error
    }

    /// Of an `error` found inside a reply that said 200: OpenRouter puts them there, at the top or in a choice,
    /// with the status as their code.
    pub(super) fn within(error: &Value) -> Self {
        let mut found = Self { status: 200, ..Self::default() };
        found.read(error);
        let named = error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
        if let Some(status) = named.filter(|code| (400..600).contains(code)) {
            found.status = status;
        }
        found
    }

    /// The word for programs that says most, for the message.
    pub(super) fn marker(&self) -> Option<&str> {
        self.markers.first().map(String::as_str)
    }

    /// Whether any marker is one of these.
    pub(super) fn has(&self, markers: &[&str]) -> bool {
        self.markers.iter().any(|marker| markers.contains(&marker.as_str()))
    }

    /// `{"error": {...}}`, `{"error": "..."}`, the flat form, and Google's array of one.
    fn read_envelope(&mut self, value: &Value) {
        let value = value.get(0).unwrap_or(value);
        match value.get("error") {
            Some(error) if !error.is_null() => {
                self.read(error);
                if self.words.is_none() {
                    self.words = text(value.get("message"));
                }
            }
            Some(_) | None => self.read(value),
        }
    }

    fn read(&mut self, error: &Value) {
        if error.is_string() {
            self.words = text(Some(error));
            return;
        }
        self.words = ["message", "detail", "errors"].iter().find_map(|key| text(error.get(*key)));
        // ElevenLabs keeps everything one level down, in `detail`.
        let detail = error.get("detail").filter(|detail| detail.is_object()).unwrap_or(&Value::Null);
        for holder in [error, detail] {
            for key in ["code", "type", "status", "name"] {
                self.mark(holder.get(key));
            }
        }
        self.words = self.words.take().or_else(|| text(detail.get("message")));
        // Replicate's seconds.
        let seconds = error.get("retry_after").and_then(Value::as_f64);
        self.wait = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        self.read_details(error.get("details"));
        self.read_metadata(error);
    }

    /// Anthropic's `details.error_code`; Google's list of `google.rpc` facts.
    fn read_details(&mut self, details: Option<&Value>) {
        let Some(details) = details else { return };
        self.mark(details.get("error_code"));
        for fact in details.as_array().into_iter().flatten() {
            self.mark(fact.get("reason"));
            for violation in fact.get("violations").and_then(Value::as_array).into_iter().flatten() {
                self.mark(violation.get("quotaId"));
                let value = violation.get("quotaValue");
                if value.is_some_and(|value| value == "0" || value == 0) {
                    self.markers.push(NO_ALLOWANCE.to_owned());
                }
            }
            if let Some(delay) = fact.get("retryDelay").and_then(Value::as_str) {
                self.wait = go_duration(delay);
            }
        }
    }

    /// What a moderation objected to: OpenAI's `moderation_details`, OpenRouter's `metadata`.
    fn read_metadata(&mut self, error: &Value) {
        let categories = error.pointer("/moderation_details/categories");
        let reasons = error.pointer("/metadata/reasons");
        let first = categories.or(reasons).and_then(|list| list.get(0)).and_then(Value::as_str);
        self.category = first.map(|word| word.chars().take(64).collect());
        if reasons.is_some() {
            self.markers.push("moderation".to_owned());
        }
    }

    fn mark(&mut self, value: Option<&Value>) {
        const MOST_CHARS: usize = 100;
        if let Some(word) = value.and_then(Value::as_str).filter(|word| !word.is_empty()) {
            self.markers.push(word.chars().take(MOST_CHARS).collect::<String>().to_lowercase());
        }
    }
}

/// A sentence, or the first of a list of them.
fn text(value: Option<&Value>) -> Option<String> {
    let value = value?;
    let found = value.get(0).unwrap_or(value);
    let found = found.get("msg").unwrap_or(found);
    found.as_str().filter(|words| !words.trim().is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn errors_are_read_in_every_shape() {
        let check = |body: &Value, markers: &[&str], words: Option<&str>| {
            let reply = HttpReply { status: 400, body: body.to_string().into(), ..HttpReply::default() };
            let error = VendorError::of(&reply);
            assert_eq!(error.markers, markers, "{body}");
            assert_eq!(error.words.as_deref(), words, "{body}");
        };
        check(
            &json!({"error": {"code": "c", "type": "T", "message": "m", "param": null}}),
            &["c", "t"],
            Some("m"),
        );
        check(
            &json!({"error": {"code": 400, "type": "BadRequestError", "message": "m"}}),
            &["badrequesterror"],
            Some("m"),
        );
        check(&json!({"object": "error", "message": "m", "type": "X", "code": 400}), &["x"], Some("m"));
        check(&json!({"error": "m"}), &[], Some("m"));
        check(&json!({"error": null, "message": "m"}), &[], Some("m"));
        check(&json!([{"error": {"code": 429, "status": "S", "message": "m"}}]), &["s"], Some("m"));
        check(&json!({"detail": "Not Found"}), &[], Some("Not Found"));
        check(
            &json!({"detail": {"status": "quota_exceeded", "message": "m"}}),
            &["quota_exceeded"],
            Some("m"),
        );
        check(&json!({"detail": [{"loc": [], "msg": "m"}]}), &[], Some("m"));
        check(&json!({"errors": ["m"]}), &[], Some("m"));
        check(&json!(null), &[], None);
        check(&json!([]), &[], None);
        check(&json!({"error": {"message": {"deep": 1}}}), &[], None);
        check(
            &json!({"type": "error", "error": {"type": "t", "message": "m", "details": {"error_code": "d"}}}),
            &["t", "d"],
            Some("m"),
        );
    }

    #[test]
    fn googles_details_and_moderations_are_read() {
        let google = json!({"error": {"status": "RESOURCE_EXHAUSTED", "details": [
            {"violations": [{"quotaId": "RequestsPerMinute"}]}, {"retryDelay": "34.4s"}]}});
        let reply = HttpReply { status: 429, body: google.to_string().into(), ..HttpReply::default() };
        let error = VendorError::of(&reply);
        assert_eq!(error.markers, ["resource_exhausted", "requestsperminute"]);
        assert_eq!(error.wait, Some(Duration::from_millis(34_400)));

        let within = json!({"code": 403, "message": "flagged", "metadata": {"reasons": ["violence"]}});
        let error = VendorError::within(&within);
        assert_eq!((error.status, error.category.as_deref()), (403, Some("violence")));
        assert_eq!(VendorError::within(&json!({"code": "server_error"})).status, 200);
        assert_eq!(VendorError::within(&json!({"code": 7})).status, 200);
    }

    #[test]
    fn what_is_no_json_has_a_status_at_least() {
        let reply = HttpReply { status: 502, body: "<html>Bad gateway".into(), ..HttpReply::default() };
        assert_eq!(VendorError::of(&reply), VendorError { status: 502, ..VendorError::default() });
    }
}
