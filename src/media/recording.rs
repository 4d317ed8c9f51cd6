//! Is this video or sound usable: its container read for size and length, and found whole.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::{mistaken, mp4, picture, sniff, sound, webm};
use crate::domain::accept::Acceptance;
use crate::domain::ask::{Body, Checked};
use crate::domain::asset::Medium;
use crate::domain::failure::Failure;
use crate::domain::time::spoken;
use sniff::Kind;

/// What a container says of its content. Frames are not decoded.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Measure {
    /// Pixels across, as it is shown; 0 where there is no picture.
    pub(super) width: u32,
    pub(super) height: u32,
    /// `None` where the container does not say.
    pub(super) duration: Option<Duration>,
}

/// Why a container cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It ends before it says that it does.
    Cut,
    /// It is whole and holds nothing of its kind: no picture, no sound.
    Hollow,
}

/// Measures a video or a sound in a blocking thread, and holds it to the rules.
pub(super) async fn check(bytes: Bytes, medium: Medium, rules: &Acceptance) -> Result<Checked, Failure> {
    let kind = sniff::kind(&bytes);
    let (content_type, extension) = match (kind, medium) {
        (Kind::Video(content_type, extension), Medium::Video)
        | (Kind::Audio(content_type, extension), Medium::Audio) => (content_type, extension),
        (other, medium) => return Err(mistaken(other, &bytes, medium)),
    };
    let held = bytes.clone();
    let reading = tokio::task::spawn_blocking(move || read(content_type, &held));
    let measure = match reading.await {
        Ok(Some(read)) => read.map_err(|fault| unusable(fault, medium))?,
        Ok(None) => Measure::default(),
        Err(error) if error.is_panic() => {
            return Err(Failure::unusable(format!("the {} broke its reader", noun(medium))));
        }
        Err(_) => return Err(Failure::internal("the media check was stopped before it ended")),
    };
    let measured_size = measure.width > 0 && measure.height > 0;
    if medium == Medium::Video && measured_size {
        picture::expect_shape("video", measure.width, measure.height, rules)?;
    } else if medium == Medium::Video && asks_for_size(rules) {
        let why = format!("the size of the video cannot be read ({content_type}), and the rules ask for one");
        return Err(Failure::unusable(why));
    }
    expect_length(measure.duration, medium, content_type, rules)?;
    let mut measured = Map::new();
    if medium == Medium::Video && measured_size {
        measured.insert("width".to_owned(), Value::from(measure.width));
        measured.insert("height".to_owned(), Value::from(measure.height));
    }
    if let Some(duration) = measure.duration {
        measured
            .insert("seconds".to_owned(), Value::from((duration.as_secs_f64() * 1000.0).round() / 1000.0));
    }
    measured.insert("bytes".to_owned(), Value::from(bytes.len()));
    Ok(Checked { body: Body::File(bytes), content_type, extension, measured })
}

/// What the container says; `None` for one that is only recognised: AVI, FLAC, AAC and the like.
fn read(content_type: &str, bytes: &[u8]) -> Option<Result<Measure, Fault>> {
    Some(match content_type {
        "video/mp4" | "video/quicktime" | "video/x-m4v" => mp4::read(bytes, Medium::Video),
        "audio/mp4" => mp4::read(bytes, Medium::Audio),
        "video/webm" | "video/x-matroska" => webm::read(bytes),
        "audio/wav" => sound::wav(bytes),
        "audio/mpeg" => sound::mp3(bytes),
        "audio/ogg" | "audio/opus" => sound::ogg(bytes),
        _ => return None,
    })
}

fn noun(medium: Medium) -> &'static str {
    match medium {
        Medium::Video => "video",
        Medium::Image => "image",
        Medium::Text => "text",
        Medium::Audio => "sound file",
    }
}

fn unusable(fault: Fault, medium: Medium) -> Failure {
    let what = noun(medium);
    Failure::unusable(match fault {
        Fault::Cut => format!("the {what} is cut off"),
        Fault::Hollow => format!("the {what} holds nothing to play"),
    })
}

fn asks_for_size(rules: &Acceptance) -> bool {
    rules.min_width.is_some() || rules.min_height.is_some() || rules.aspect.is_some()
}

fn expect_length(
    found: Option<Duration>,
    medium: Medium,
    content_type: &str,
    rules: &Acceptance,
) -> Result<(), Failure> {
    // Encoders end on a whole frame: 7.96 seconds are sold as 8.
    const SLACK: Duration = Duration::from_millis(100);
    let Some(least) = rules.min_duration else { return Ok(()) };
    let what = noun(medium);
    match found {
        Some(found) if found + SLACK >= least => Ok(()),
        Some(found) => Err(Failure::unusable(format!(
            "the {what} is {:.1} s long, at least {} are wanted",
            found.as_secs_f64(),
            spoken(least)
        ))),
        None => Err(Failure::unusable(format!(
            "the length of the {what} cannot be read ({content_type}), and at least {} are wanted",
            spoken(least)
        ))),
    }
}

/// `count` units of which `per_second` make a second; `None` where that means nothing.
pub(super) fn length(count: u64, per_second: u64) -> Option<Duration> {
    if per_second == 0 || count == 0 {
        return None;
    }
    let nanos = u128::from(count) * 1_000_000_000 / u128::from(per_second);
    u64::try_from(nanos).ok().map(Duration::from_nanos)
}

/// `width` bytes from `at`, the most significant first.
pub(super) fn big_endian(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let slice = bytes.get(at..at.checked_add(width)?)?;
    Some(slice.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte)))
}

/// The same, the least significant first.
pub(super) fn little_endian(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let slice = bytes.get(at..at.checked_add(width)?)?;
    Some(slice.iter().rev().fold(0, |sum, byte| (sum << 8) | u64::from(*byte)))
}
