//! Is this image usable: decoded whole, measured, and more than one flat colour.

use std::io::Cursor;

use bytes::Bytes;
use image::error::ImageError;
use image::{DynamicImage, GenericImageView, ImageDecoder, ImageFormat, ImageReader, Limits};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use super::mistaken;
use super::sniff::{self, Kind};
use crate::domain::accept::Acceptance;
use crate::domain::ask::{Body, Checked};
use crate::domain::asset::Medium;
use crate::domain::failure::Failure;

/// The longest side that is decoded, in pixels.
const MAX_SIDE: u32 = 8192;

/// The most memory one decoding may take, in bytes: 8192 x 8192 pixels of four bytes.
const MAX_ALLOC: u64 = 256 * 1024 * 1024;

/// The most images decoded at once, so that a burst of deliveries does not take memory without bound.
static DECODING: Semaphore = Semaphore::const_new(3);

/// The most points per side at which a picture's colours are compared.
const SAMPLES: u32 = 192;

/// How far apart two colours are, in 256ths per channel, before a picture counts as more than flat: the noise
/// of a compressed flat colour stays below it.
const FLAT_SPREAD: u8 = 10;

pub(super) async fn check(bytes: Bytes, rules: &Acceptance) -> Result<Checked, Failure> {
    let kind = sniff::kind(&bytes);
    let Kind::Image(found, _) = kind else { return Err(mistaken(kind, &bytes, Medium::Image)) };
    let Some(format) = Format::of(found) else {
        let why =
            format!("a picture in a format that is not accepted ({found}); PNG, JPEG, WebP and GIF are");
        return Err(Failure::unusable(why));
    };
    let held = bytes.clone();
    let (width, height) = guarded(move || decode(&held, format)).await?;
    expect_shape("image", width, height, rules)?;
    let mut measured = Map::new();
    measured.insert("width".to_owned(), Value::from(width));
    measured.insert("height".to_owned(), Value::from(height));
    measured.insert("bytes".to_owned(), Value::from(bytes.len()));
    let (content_type, extension) = format.names();
    Ok(Checked { body: Body::File(bytes), content_type, extension, measured })
}

/// The formats that are decoded.
#[derive(Debug, Clone, Copy)]
enum Format {
    Png,
    Jpeg,
    WebP,
    Gif,
}

impl Format {
    fn of(content_type: &str) -> Option<Self> {
        Some(match content_type {
            "image/png" => Self::Png,
            "image/jpeg" => Self::Jpeg,
            "image/webp" => Self::WebP,
            "image/gif" => Self::Gif,
            _ => return None,
        })
    }

    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Png => ("image/png", "png"),
            Self::Jpeg => ("image/jpeg", "jpg"),
            Self::WebP => ("image/webp", "webp"),
            Self::Gif => ("image/gif", "gif"),
        }
    }

    fn decoder(self) -> ImageFormat {
        match self {
            Self::Png => ImageFormat::Png,
            Self::Jpeg => ImageFormat::Jpeg,
            Self::WebP => ImageFormat::WebP,
            Self::Gif => ImageFormat::Gif,
        }
    }
}

/// Runs a decoder in a blocking thread. Decoders panic on hostile files; that is the file's fault.
async fn guarded<T: Send + 'static>(
    decoder: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let turn = DECODING.acquire().await.map_err(|_| Failure::internal("the image checks are closed"))?;
    let work = tokio::task::spawn_blocking(move || {
        let done = decoder();
        drop(turn);
        done
    });
    match work.await {
        Ok(done) => done,
        Err(error) if error.is_panic() => Err(Failure::unusable("the image broke its decoder")),
        Err(_) => Err(Failure::internal("the image check was stopped before it ended")),
    }
}

/// The size of the picture, once all of it is decoded and found to show something.
fn decode(bytes: &[u8], format: Format) -> Result<(u32, u32), Failure> {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_ALLOC);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format.decoder());
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(|error| undecodable(&error))?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(Failure::unusable("the image has no pixels"));
    }
    // The reader's own limit does not hold for the picture itself, which may have eight bytes per pixel.
    if decoder.total_bytes() > MAX_ALLOC {
        return Err(too_large());
    }
    if !is_whole(bytes, format) {
        return Err(Failure::unusable("the image is cut off"));
    }
    let picture = DynamicImage::from_decoder(decoder).map_err(|error| undecodable(&error))?;
    expect_content(&picture)?;
    Ok((width, height))
}

fn undecodable(error: &ImageError) -> Failure {
    Failure::unusable(match error {
        ImageError::Limits(_) => return too_large(),
        ImageError::IoError(cause) if cause.kind() == std::io::ErrorKind::UnexpectedEof => {
            "the image is cut off".to_owned()
        }
        ImageError::Decoding(_)
        | ImageError::Encoding(_)
        | ImageError::Parameter(_)
        | ImageError::Unsupported(_)
        | ImageError::IoError(_) => {
            let why = error.to_string();
            format!("the image cannot be decoded: {}", why.lines().next().unwrap_or_default())
        }
    })
}

fn too_large() -> Failure {
    Failure::unusable(format!("the image is larger than {MAX_SIDE} x {MAX_SIDE} pixels or 256 MiB decoded"))
}

/// Holds a picture, or a moving one, to the wanted size and ratio.
pub(super) fn expect_shape(what: &str, width: u32, height: u32, rules: &Acceptance) -> Result<(), Failure> {
    if rules.min_width.is_some_and(|least| width < least)
        || rules.min_height.is_some_and(|least| height < least)
    {
        let side = |least: Option<u32>| least.map_or("any".to_owned(), |n| n.to_string());
        return Err(Failure::unusable(format!(
            "the {what} is {width} x {height} pixels, at least {} x {} are wanted",
            side(rules.min_width),
            side(rules.min_height)
        )));
    }
    match rules.aspect {
        Some(aspect) if !aspect.fits(width, height) => {
            Err(Failure::unusable(format!("the {what} is {width} x {height} pixels, which is not {aspect}")))
        }
        Some(_) | None => Ok(()),
    }
}

/// Refuses a picture of one colour, nearly one colour, or nothing but transparency.
fn expect_content(picture: &DynamicImage) -> Result<(), Failure> {
    let (width, height) = picture.dimensions();
    let (columns, rows) = (width.min(SAMPLES), height.min(SAMPLES));
    let mut least = [u8::MAX; 4];
    let mut most = [0u8; 4];
    for row in 0..rows {
        for column in 0..columns {
            // Spread over the whole picture, edges included.
            let x = spread(column, columns, width);
            let y = spread(row, rows, height);
            let [r, g, b, a] = picture.get_pixel(x, y).0;
            // What is transparent has no colour, whatever its pixels say.
            let seen = |c: u8| u8::try_from(u32::from(c) * u32::from(a) / 255).unwrap_or(u8::MAX);
            for (channel, value) in [seen(r), seen(g), seen(b), a].into_iter().enumerate() {
                if let (Some(low), Some(high)) = (least.get_mut(channel), most.get_mut(channel)) {
                    *low = value.min(*low);
                    *high = value.max(*high);
                }
            }
        }
    }
    if most[3] == 0 {
        return Err(Failure::unusable("the image is wholly transparent"));
    }
    let flat = most.iter().zip(&least).all(|(high, low)| high - low <= FLAT_SPREAD);
    if flat { Err(Failure::unusable("the image is one flat colour")) } else { Ok(()) }
}

fn spread(index: u32, count: u32, length: u32) -> u32 {
    let last = u64::from(length.saturating_sub(1));
    let at = u64::from(index) * last / u64::from(count.saturating_sub(1).max(1));
    u32::try_from(at).unwrap_or(0)
}

/// Whether a file has its end. Decoders fill what is missing with grey, so the end is looked for.
fn is_whole(bytes: &[u8], format: Format) -> bool {
    match format {
        Format::Png => bytes.windows(4).rev().any(|chunk| chunk == b"IEND"),
        Format::Jpeg => jpeg_is_whole(bytes),
        Format::WebP => {
            let declared = bytes.get(4..8).and_then(|size| size.try_into().ok()).map(u32::from_le_bytes);
            declared.is_some_and(|size| u64::from(size) + 8 <= bytes.len() as u64 + 1)
        }
        Format::Gif => bytes.iter().rev().find(|byte| **byte != 0) == Some(&0x3B),
    }
}

/// Walks the segments to the start of the picture's data, past previews embedded in the headers, and looks
/// for the end-of-image marker from there: within the data it cannot occur by chance.
fn jpeg_is_whole(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some([0xFF, marker]) = bytes.get(at..at + 2) {
        match marker {
            0xDA => {
                return bytes.get(at..).is_some_and(|rest| rest.windows(2).any(|pair| pair == [0xFF, 0xD9]));
            }
            0xFF => at += 1,
            0x01 | 0xD0..=0xD8 => at += 2,
            _ => {
                let Some([high, low]) = bytes.get(at + 2..at + 4) else { return false };
                at += 2 + usize::from(u16::from_be_bytes([*high, *low]));
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_in_a_decoder_is_the_files_fault_and_frees_its_turn() {
        for _ in 0..10 {
            let failure = guarded::<()>(|| panic!("a hostile file")).await.expect_err("a panic");
            assert_eq!(failure, Failure::unusable("the image broke its decoder"));
        }
        assert_eq!(guarded(|| Ok(7)).await, Ok(7));
    }

    #[test]
    fn samples_reach_both_edges() {
        assert_eq!((spread(0, 192, 1000), spread(191, 192, 1000)), (0, 999));
        assert_eq!((spread(0, 1, 1), spread(0, 0, 0)), (0, 0));
    }
}
