//! The media checks, on real files.

mod bombs;
mod containers;

use std::io::Cursor;
use std::time::{Duration, Instant};

use backstop::domain::accept::{Acceptance, Aspect};
use backstop::domain::ask::{Body, Checked};
use backstop::domain::asset::Medium;
use backstop::domain::failure::Failure;
use backstop::media::Checker;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use proptest::prelude::*;

fn scene(width: u32, height: u32) -> DynamicImage {
    let shade = |n: u32, of: u32| u8::try_from(n * 255 / of).expect("a shade");
    RgbImage::from_fn(width, height, |x, y| Rgb([shade(x, width), shade(y, height), 120])).into()
}

fn flat(colour: [u8; 3]) -> DynamicImage {
    RgbImage::from_pixel(320, 180, Rgb(colour)).into()
}

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut file = Vec::new();
    picture.write_to(&mut Cursor::new(&mut file), format).expect("encodes");
    file
}

fn png(picture: &DynamicImage) -> Vec<u8> {
    encoded(picture, ImageFormat::Png)
}

async fn check(medium: Medium, file: &[u8], accept: &Acceptance) -> Result<Checked, Failure> {
    Checker::new(medium, accept).expect("valid rules").check(Body::File(file.to_vec().into())).await
}

#[track_caller]
fn says(result: Result<Checked, Failure>, class: &str, sentence: &str) {
    let failure = result.expect_err(sentence);
    assert_eq!((failure.class.as_str(), failure.message.as_str()), (class, sentence));
}

#[tokio::test]
async fn every_accepted_format_is_measured_and_named_by_its_bytes() {
    let formats = [
        (ImageFormat::Png, "image/png", "png"),
        (ImageFormat::Jpeg, "image/jpeg", "jpg"),
        (ImageFormat::WebP, "image/webp", "webp"),
        (ImageFormat::Gif, "image/gif", "gif"),
    ];
    for (format, content_type, extension) in formats {
        let file = encoded(&scene(320, 180), format);
        let checked = check(Medium::Image, &file, &Acceptance::default()).await.expect(content_type);
        assert_eq!((checked.content_type, checked.extension), (content_type, extension));
        assert_eq!(checked.measured["width"], 320);
        assert_eq!(checked.measured["height"], 180);
        assert_eq!(checked.measured["bytes"], file.len());
        assert_eq!(checked.body, Body::File(file.into()));
    }
}

#[tokio::test]
async fn a_file_that_ends_early_is_unusable_in_every_format() {
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Gif] {
        let file = encoded(&scene(320, 180), format);
        for kept in [file.len() / 4, file.len() / 2, file.len() * 9 / 10, file.len() - 8] {
            let result = check(Medium::Image, &file[..kept], &Acceptance::default()).await;
            let failure = result.expect_err("cut off");
            assert_eq!(failure.class.as_str(), "unusable", "{format:?} {kept}");
        }
        let half = check(Medium::Image, &file[..file.len() / 2], &Acceptance::default()).await;
        says(half, "unusable", "the image is cut off");
    }
}

#[tokio::test]
async fn a_jpeg_with_a_whole_preview_and_half_a_picture_is_cut_off() {
    let preview = encoded(&scene(32, 18), ImageFormat::Jpeg);
    let whole = encoded(&scene(320, 180), ImageFormat::Jpeg);
    let length = u16::try_from(preview.len() + 2).expect("short").to_be_bytes();
    let segment = [&[0xFF, 0xE1][..], &length, &preview].concat();
    let with_preview = [&whole[..2], &segment, &whole[2..]].concat();
    assert!(check(Medium::Image, &with_preview, &Acceptance::default()).await.is_ok());
    let half = &with_preview[..segment.len() + whole.len() / 2];
    says(check(Medium::Image, half, &Acceptance::default()).await, "unusable", "the image is cut off");
}

#[tokio::test]
async fn what_is_no_image_gets_a_sentence_of_its_own() {
    let cases: [(&[u8], &str); 8] = [
        (b"", "an empty answer instead of an image"),
        (b"<!doctype html><h1>502 Bad Gateway</h1>", "an HTML page instead of an image"),
        (b"{}", "a JSON document instead of an image"),
        (b"{\"error\": \"overloaded\"}", "a JSON document instead of an image"),
        (b"Here is your picture!", "plain text instead of an image"),
        (b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>", "an SVG drawing instead of an image"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a file of another kind (application/pdf) instead of an image"),
        (b"\x00\x01\x02\x03\x04", "a file of no known kind instead of an image"),
    ];
    let demanding = Acceptance { min_bytes: Some(10_000), ..Acceptance::default() };
    for (file, sentence) in cases {
        says(check(Medium::Image, file, &Acceptance::default()).await, "unusable", sentence);
        if std::str::from_utf8(file).is_ok_and(|words| !words.contains('\0')) {
            says(check(Medium::Image, file, &demanding).await, "unusable", sentence);
        }
    }
    let prose = "I'm sorry, but I can't create images of real people.".to_owned();
    let refusal = Checker::new(Medium::Image, &demanding).expect("valid").check(Body::Text(prose)).await;
    says(refusal, "refused", "the model refused in words instead of making an image");
    let bitmap = b"BM\x1e\x00\x00\x00\x00\x00\x00\x00\x1a\x00\x00\x00";
    let sentence = "a picture in a format that is not accepted (image/bmp); PNG, JPEG, WebP and GIF are";
    says(check(Medium::Image, bitmap, &Acceptance::default()).await, "unusable", sentence);
}

#[tokio::test]
async fn the_acceptance_rules_are_held() {
    let file = png(&scene(320, 180));
    let cases = [
        (
            Acceptance { min_width: Some(321), ..Acceptance::default() },
            "the image is 320 x 180 pixels, at least 321 x any are wanted",
        ),
        (
            Acceptance { min_width: Some(320), min_height: Some(181), ..Acceptance::default() },
            "the image is 320 x 180 pixels, at least 320 x 181 are wanted",
        ),
        (
            Acceptance { aspect: Aspect::parse("1:1"), ..Acceptance::default() },
            "the image is 320 x 180 pixels, which is not 1:1",
        ),
    ];
    for (accept, sentence) in cases {
        says(check(Medium::Image, &file, &accept).await, "unusable", sentence);
    }
    let small = Acceptance { min_bytes: Some(file.len() as u64 + 1), ..Acceptance::default() };
    let failure = check(Medium::Image, &file, &small).await.expect_err("too small");
    assert!(failure.message.starts_with("the image has "), "{failure}");
    let met = Acceptance {
        min_width: Some(320),
        min_height: Some(180),
        aspect: Aspect::parse("16:9"),
        min_bytes: Some(file.len() as u64),
        ..Acceptance::default()
    };
    assert!(check(Medium::Image, &file, &met).await.is_ok());
}

#[tokio::test]
async fn a_picture_shows_something() {
    let sentence = "the image is one flat colour";
    for colour in [[0, 0, 0], [255, 255, 255], [12, 130, 77]] {
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif] {
            let file = encoded(&flat(colour), format);
            says(check(Medium::Image, &file, &Acceptance::default()).await, "unusable", sentence);
        }
    }
    let noisy: DynamicImage = RgbImage::from_fn(320, 180, |x, y| {
        let noise = u8::try_from((x * 31 + y * 17) % 7).expect("small");
        Rgb([120 + noise, 90 + noise, 60])
    })
    .into();
    says(check(Medium::Image, &png(&noisy), &Acceptance::default()).await, "unusable", sentence);
    let clear: DynamicImage =
        RgbaImage::from_fn(320, 180, |x, _| Rgba([u8::try_from(x % 256).expect("a shade"), 0, 0, 0])).into();
    let sentence = "the image is wholly transparent";
    says(check(Medium::Image, &png(&clear), &Acceptance::default()).await, "unusable", sentence);
    let mut mark = RgbImage::from_pixel(320, 180, Rgb([255, 255, 255]));
    for (x, y) in (100..140).flat_map(|x| (80..84).map(move |y| (x, y))) {
        mark.put_pixel(x, y, Rgb([20, 20, 20]));
    }
    assert!(check(Medium::Image, &png(&mark.into()), &Acceptance::default()).await.is_ok());
}

/// A valid PNG header that declares a picture of 60000 x 60000, with no data to speak of.
#[tokio::test]
async fn a_picture_that_would_not_fit_in_memory_is_refused_at_once() {
    let begun = Instant::now();
    // The second one has sides that fit, and eight bytes per pixel.
    for (side, depth, colours) in [(60_000_u32, 8, 2), (8_192, 16, 6)] {
        let mut file = png(&scene(16, 16));
        file[16..20].copy_from_slice(&side.to_be_bytes());
        file[20..24].copy_from_slice(&side.to_be_bytes());
        file[24..26].copy_from_slice(&[depth, colours]);
        let sum = crc32(&file[12..29]);
        file[29..33].copy_from_slice(&sum.to_be_bytes());
        let sentence = "the image is larger than 8192 x 8192 pixels or 256 MiB decoded";
        says(check(Medium::Image, &file, &Acceptance::default()).await, "unusable", sentence);
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_picture_with_a_flipped_byte_never_passes_as_another() {
    let whole = png(&scene(64, 64));
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xFF;
    let failure = check(Medium::Image, &damaged, &Acceptance::default()).await.expect_err("damaged");
    assert_eq!(failure.class.as_str(), "unusable", "{failure}");
}

#[tokio::test]
async fn rules_that_are_no_patterns_are_refused_with_a_sentence() {
    let accept = Acceptance { forbid: vec!["[a".to_owned()], ..Acceptance::default() };
    let error = Checker::new(Medium::Text, &accept).expect_err("no pattern");
    assert_eq!(error, "\"[a\" in forbid is no regular expression: unclosed character class");
}

fn on_a_runtime<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn arbitrary_bytes_are_judged_without_a_panic(
        tail in proptest::collection::vec(any::<u8>(), 0..400),
        head in prop::sample::select(vec![
            &b""[..], b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"RIFF\x10\x00\x00\x00WEBPVP8 ", b"GIF89a", b"{", b"<",
        ]),
    ) {
        let file = [head, &tail].concat();
        for medium in Medium::ALL {
            let result = on_a_runtime(check(medium, &file, &Acceptance::default()));
            if let Err(failure) = result {
                prop_assert!(["unusable", "refused"].contains(&failure.class.as_str()), "{failure}");
            }
        }
    }

    #[test]
    fn a_damaged_picture_is_judged_without_a_panic(at in 8usize..2000, byte in any::<u8>(), jpeg in any::<bool>()) {
        let format = if jpeg { ImageFormat::Jpeg } else { ImageFormat::Png };
        let mut file = encoded(&scene(48, 27), format);
        let at = at % file.len();
        file[at] = byte;
        if let Err(failure) = on_a_runtime(check(Medium::Image, &file, &Acceptance::default())) {
            prop_assert!(["unusable", "refused"].contains(&failure.class.as_str()), "{failure}");
        }
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ 0xEDB8_8320 } else { sum >> 1 };
        }
    }
    !sum
}
