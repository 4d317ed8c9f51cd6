//! Files that come as base64 within JSON, as vendors and relays send them.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;

use crate::domain::failure::Failure;

/// Relays disagree on padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The bytes of a file: also with line breaks, without padding, or as a `data:` address. `what` is what the
/// failure's sentence calls it: `picture`, `video`.
pub(super) fn decoded(text: &str, what: &str) -> Result<Bytes, Failure> {
    let encoded = match text.strip_prefix("data:") {
        Some(address) => address.split_once(',').map_or("", |(_, encoded)| encoded),
        None => text,
    };
    let plain = BASE64.decode(encoded).or_else(|_| {
        let joined: String = encoded.split_ascii_whitespace().collect();
        BASE64.decode(joined)
    });
    match plain {
        Ok(bytes) if bytes.is_empty() => Err(Failure::unusable(format!("the {what} is empty"))),
        Ok(bytes) => Ok(bytes.into()),
        Err(_) => Err(Failure::unusable(format!("the {what} is not valid base64"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_as_relays_send_it() {
        let check = |text: &str, expected: Option<&[u8]>| {
            assert_eq!(decoded(text, "picture").ok().as_deref(), expected, "{text}");
        };
        check("Zm94ZXM=", Some(b"foxes"));
        check("Zm94ZXM", Some(b"foxes"));
        check("Zm94\r\nZXM=\n", Some(b"foxes"));
        check("data:image/png;base64,Zm94ZXM=", Some(b"foxes"));
        check("", None);
        check("data:image/png", None);
        check("<html>", None);
    }
}
