//! Webhooks: the Standard Webhooks scheme, and the plain text that chat programs take.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::SecretString;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::domain::time::Timestamp;
use crate::providers::post::Poster;

use super::telling::Failed;

/// `410 Gone`: the receiver wants nothing more (Standard Webhooks 1.0, "Receiver responses").
const GONE: u16 = 410;

/// Posts a body with its name, its time and its signature (<https://www.standardwebhooks.com>).
pub(super) async fn standard(
    poster: &Poster,
    url: &SecretString,
    key: &[u8],
    name: &str,
    body: &Value,
    now: Timestamp,
) -> Result<(), Failed> {
    let (body, at) = (body.to_string(), now.timestamp());
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("webhook-id", name.to_owned()),
        ("webhook-timestamp", at.to_string()),
        ("webhook-signature", signature(key, name, at, &body)),
    ];
    answered(poster.post(url, &headers, body.into_bytes()).await)
}

/// Posts a sentence.
pub(super) async fn text(poster: &Poster, url: &SecretString, sentence: &str) -> Result<(), Failed> {
    let headers = [("content-type", "application/json".to_owned())];
    answered(poster.post(url, &headers, json!({ "text": sentence }).to_string().into_bytes()).await)
}

fn answered(status: Result<u16, String>) -> Result<(), Failed> {
    match status {
        Ok(200..300) => Ok(()),
        Ok(GONE) => Err(Failed { why: "it answered 410 and wants nothing more".to_owned(), is_final: true }),
        Ok(status) => Err(Failed { why: format!("it answered {status}"), is_final: false }),
        Err(why) => Err(Failed { why, is_final: false }),
    }
}

/// `v1,` and the HMAC-SHA256 of `id.timestamp.body` in base64.
fn signature(key: &[u8], name: &str, at: i64, body: &str) -> String {
    // A key of any length will do for an HMAC.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(format!("{name}.{at}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's reference libraries.
    #[test]
    fn a_signature_is_what_the_specification_shows() {
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64");
        let signed = signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}");
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn only_a_receiver_that_is_gone_is_given_up_at_once() {
        let check = |status: Result<u16, String>, expected: Option<bool>| {
            assert_eq!(answered(status).err().map(|failed| failed.is_final), expected);
        };
        check(Ok(200), None);
        check(Ok(204), None);
        check(Ok(302), Some(false));
        check(Ok(500), Some(false));
        check(Ok(410), Some(true));
        check(Err("it cannot be reached".to_owned()), Some(false));
    }
}
