//! Operations of vendors that take their time: what an id may look like, and what their words for a state mean.

use serde::de::DeserializeOwned;

use crate::domain::failure::{Failure, FailureClass};
use crate::domain::provider::Provider;

use super::protocol::{Call, HttpReply};

/// The longest id; the longest known one, of Vertex, has some 200 characters.
const MOST_CHARS: usize = 512;

/// Whether an id is what may stand in the path of a poll: segments of letters, digits and `-._~=:@+`, and no
/// segment that would climb (`..`). So an id can name nothing but an operation at the configured address.
pub(super) fn is_plain(id: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~=:@+".contains(c);
    let segment = |segment: &str| {
        !segment.is_empty() && segment.chars().any(|c| c != '.') && segment.chars().all(plain)
    };
    id.len() <= MOST_CHARS && id.split('/').all(segment)
}

/// The failure of a generation that was accepted under an id that cannot be asked about: it may be under way
/// and billed.
pub(super) fn odd_id(provider: &Provider) -> Failure {
    let class = FailureClass::without_answer(provider.repeat);
    Failure::new(class, "accepted the request under an id that is none, so that nobody can ask how it stands")
}

/// The failure of a poll whose operation the vendor does not know, or no longer: nobody knows what became of it
/// and whether it is billed. Right after the submit it may only not know it yet, so the daemon asks a few times.
pub(super) fn lost(provider: &Provider, how: &str) -> Failure {
    Failure::new(FailureClass::without_answer(provider.repeat), format!("the operation is lost: {how}"))
}

/// A reply that said it succeeded, as the protocol knows it. A poll that answers with something else says nothing
/// about its operation, so it is asked again; a request that does may have begun one all the same.
pub(super) fn read<T: DeserializeOwned>(call: &Call<'_>, reply: &HttpReply) -> Result<T, Failure> {
    reply.json().map_err(|failure| unclear(call, failure.message))
}

/// The failure of a reply that says neither how the operation stands nor what went wrong.
pub(super) fn unclear(call: &Call<'_>, why: impl Into<String>) -> Failure {
    match call.operation {
        Some(_) => Failure::new(FailureClass::Transient, why),
        None => Failure::new(FailureClass::without_answer(call.repeat), why),
    }
}

/// Where an operation stands, by the vendor's own word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Still at it. A word nobody knows counts as this: it is no success, and the link's time bounds the wait.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended without an output, for whatever reason stands beside the word.
    Failed,
    /// Somebody stopped it.
    Cancelled,
    /// Its output or the operation itself is gone.
    Expired,
    /// A content policy stopped it: BFL's `Request Moderated`.
    Refused,
}

/// Reads a state in any vendor's spelling: case, spaces, dashes and underscores do not count.
pub(super) fn stage(word: &str) -> Stage {
    let plain: String =
        word.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    // Google's enums carry their type: JOB_STATE_SUCCEEDED.
    let plain = plain.strip_prefix("jobstate").unwrap_or(&plain);
    match plain {
        "succeeded" | "success" | "successful" | "completed" | "complete" | "done" | "ready" | "finished"
        | "ok" => Stage::Succeeded,
        "failed"
        | "failure"
        | "fail"
        | "error"
        | "errored"
        | "aborted"
        | "incomplete"
        | "rejected"
        | "requiresaction"
        | "requirescontinuation"
        | "budgetexceeded" => Stage::Failed,
        "cancelled" | "canceled" | "stopped" | "terminated" => Stage::Cancelled,
        "expired" | "timeout" | "timedout" | "deleted" | "tasknotfound" | "notfound" => Stage::Expired,
        "requestmoderated" | "contentmoderated" | "moderated" | "contentfiltered" | "nsfw" => Stage::Refused,
        _ => Stage::Running,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_no_address_and_no_way_elsewhere() {
        for id in [
            "models/veo-3.1-fast-generate-preview/operations/s8fo9020n2iw",
            "projects/p-1/locations/us-central1/publishers/google/models/veo-3.1/operations/0f-1",
            "v1_Chd2ZXJ5LWxvbmc=",
            "a:b@c+d~e",
        ] {
            assert!(is_plain(id), "{id}");
        }
        for id in [
            "",
            "/",
            "/models/x",
            "models//x",
            "models/x/",
            "..",
            "models/../files",
            "models/./x",
            "https://evil.example/x",
            "//evil.example",
            "a?key=1",
            "a#b",
            "a%2e%2e",
            "a\\b",
            "a b",
            "a\nb",
            "ä",
        ] {
            assert!(!is_plain(id), "{id:?}");
        }
        assert!(is_plain(&"a".repeat(MOST_CHARS)) && !is_plain(&"a".repeat(MOST_CHARS + 1)));
    }

    #[test]
    fn every_vendors_spelling_of_an_end_is_one() {
        let check = |words: &[&str], expected: Stage| {
            for word in words {
                assert_eq!(stage(word), expected, "{word}");
            }
        };
        check(
            &["succeeded", "SUCCEEDED", "completed", "COMPLETED", "Ready", "JOB_STATE_SUCCEEDED"],
            Stage::Succeeded,
        );
        check(&["failed", "FAILED", "Error", "aborted", "incomplete", "requires_action"], Stage::Failed);
        check(&["budget_exceeded"], Stage::Failed);
        check(&["cancelled", "canceled", "CANCELLED"], Stage::Cancelled);
        check(&["expired", "Task not found"], Stage::Expired);
        check(&["Request Moderated", "Content Moderated"], Stage::Refused);
        check(
            &["queued", "in_progress", "IN_QUEUE", "starting", "processing", "Pending", "THROTTLED"],
            Stage::Running,
        );
        check(&["", "upscaling", "不明"], Stage::Running);
    }
}
