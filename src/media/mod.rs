//! Is this output usable: images decoded, text measured, the containers of video and sound read.
//!
//! A provider's word is believed nowhere: what an output is, is read from its bytes.

mod mp4;
mod picture;
mod recording;
mod refusal;
mod sniff;
mod sound;
mod text;
mod webm;

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;

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
    /// Text is checked in place. Images are decoded in a blocking thread, a few at once. Of video (MP4, QuickTime,
    /// WebM, Matroska) and sound (WAV, MP3, Ogg, M4A) the container is read in a blocking thread for size, length
    /// and whether it is whole; their frames are not decoded. Other containers are recognised, and fail where the
    /// rules ask for what cannot be read.
    ///
    /// # Errors
    /// `unusable` with what is wrong, or `refused` where the output is a model's refusal in prose.
    pub async fn check(&self, body: Body) -> Result<Checked, Failure> {
        match self.medium {
            // The judgement of words is guarded as decoders are: it is the words' fault, and their job's alone.
            Medium::Text => catch_unwind(AssertUnwindSafe(|| self.text.check(body)))
                .unwrap_or_else(|_| Err(Failure::unusable("the text broke its checks"))),
            Medium::Image => {
                let bytes = file(body);
                self.expect_size(&bytes)?;
                picture::check(bytes, &self.rules).await
            }
            Medium::Video | Medium::Audio => {
                let bytes = file(body);
                self.expect_size(&bytes)?;
                recording::check(bytes, self.medium, &self.rules).await
            }
        }
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

/// The content type of a picture, a film or a sound, by the first bytes of its file; `None` for everything else, pages and
/// drawings that may carry scripts among it.
#[must_use]
pub fn content_type(head: &[u8]) -> Option<&'static str> {
    match sniff::kind(head) {
        Kind::Image(content_type, _) | Kind::Video(content_type, _) | Kind::Audio(content_type, _) => {
            Some(content_type)
        }
        Kind::Empty | Kind::Html | Kind::Svg | Kind::Json | Kind::Words | Kind::Other(_) | Kind::Unknown => {
            None
        }
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
