//! Is this output usable: images decoded, text measured, other media recognised.
//!
//! A provider's word is believed nowhere: what an output is, is read from its bytes.

mod picture;
mod refusal;
mod sniff;
mod text;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::domain::accept::Acceptance;
use crate::domain::ask::{Body, Checked};
use crate::domain::asset::Medium;
use crate::domain::failure::{Failure, FailureClass};
use sniff::Kind;

/// An asset's acceptance rules, compiled once and used for every output.
#[derive(Debug)]
pub struct Checker {
    medium: Medium,
    rules: Acceptance,
    text: text::TextRules,
}

impl Checker {
    /// Compiles the rules of an asset of this medium.
    ///
    /// # Errors
    /// A sentence naming the pattern of `forbid` that is no regular expression.
    pub fn new(medium: Medium, accept: &Acceptance) -> Result<Self, String> {
        Ok(Self { medium, rules: accept.clone(), text: text::TextRules::new(accept)? })
    }

    /// Whether this output is an asset.
    ///
    /// Text is checked in place. Images are decoded in a blocking thread, a few at once. Video and audio are
    /// recognised by their first bytes and held to `min_bytes`; their size and duration are not measured.
    ///
    /// # Errors
    /// `unusable` with what is wrong, or `refused` where the output is a model's refusal in prose.
    pub async fn check(&self, body: Body) -> Result<Checked, Failure> {
        match self.medium {
            Medium::Text => self.text.check(body),
            Medium::Image => {
                let bytes = file(body);
                self.expect_size(&bytes)?;
                picture::check(bytes, &self.rules).await
            }
            Medium::Video | Medium::Audio => self.recognise(file(body)),
        }
    }

    fn recognise(&self, bytes: Bytes) -> Result<Checked, Failure> {
        self.expect_size(&bytes)?;
        let (content_type, extension) = match (sniff::kind(&bytes), self.medium) {
            (Kind::Video(content_type, extension), Medium::Video)
            | (Kind::Audio(content_type, extension), Medium::Audio) => (content_type, extension),
            (other, medium) => return Err(mistaken(other, &bytes, medium)),
        };
        let mut measured = Map::new();
        measured.insert("bytes".to_owned(), Value::from(bytes.len()));
        Ok(Checked { body: Body::File(bytes), content_type, extension, measured })
    }

    fn expect_size(&self, bytes: &Bytes) -> Result<(), Failure> {
        let least = self.rules.min_bytes.unwrap_or(0);
        let size = bytes.len() as u64;
        // Words instead of a file, and nothing at all, have better sentences than one about their size.
        if size >= least || sniff::kind(bytes).is_words() {
            return Ok(());
        }
        Err(Failure::unusable(format!("the {} has {size} bytes, at least {least} are wanted", self.medium)))
    }
}

fn file(body: Body) -> Bytes {
    match body {
        Body::File(bytes) => bytes,
        Body::Text(text) => Bytes::from(text),
    }
}

/// The failure for something that is not of the wanted medium; words instead of a file may be a refusal.
fn mistaken(kind: Kind, bytes: &[u8], wanted: Medium) -> Failure {
    let wanted = match wanted {
        Medium::Image => "an image",
        Medium::Text => "text",
        Medium::Video => "a video",
        Medium::Audio => "a sound file",
    };
    if kind == Kind::Words && std::str::from_utf8(bytes).is_ok_and(refusal::instead_of_a_file) {
        let why = format!("the model refused in words instead of making {wanted}");
        return Failure::new(FailureClass::Refused { category: None }, why);
    }
    Failure::unusable(format!("{kind} instead of {wanted}"))
}
