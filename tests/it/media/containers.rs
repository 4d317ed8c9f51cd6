//! Video and sound, on files that are put together here.

use std::time::Duration;

use backstop::domain::accept::{Acceptance, Aspect};
use backstop::domain::asset::Medium;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{check, png, says, scene};
use crate::film::{Film, boxed, words};
use crate::sound::mp3;

/// A fragment of track 1, of two samples with lengths of their own, or of three of the default's.
fn fragment(own: bool) -> Vec<u8> {
    let header = boxed(b"tfhd", &words(&[0, 1]));
    let run = if own { words(&[0x301, 2, 0, 500, 9, 700, 9]) } else { words(&[0, 3]) };
    boxed(b"traf", &[header, boxed(b"trun", &run)].concat())
}

fn element(id: &[u8], body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len()).expect("small");
    let short = [u8::try_from(size | 0x80).unwrap_or(0)];
    let long = (size | 0x1000_0000).to_be_bytes();
    [id, if size < 127 { &short[..] } else { &long[..] }, body].concat()
}

const SEGMENT: &[u8] = &[0x18, 0x53, 0x80, 0x67];

/// What is within the segment of a WebM.
fn webm_parts(seconds: Option<f64>) -> Vec<u8> {
    let length = seconds.map_or(vec![], |s| element(&[0x44, 0x89], &(s * 1000.0).to_be_bytes()));
    let info = element(
        &[0x15, 0x49, 0xA9, 0x66],
        &[element(&[0x2A, 0xD7, 0xB1], &[0x0F, 0x42, 0x40]), length].concat(),
    );
    let picture = [element(&[0xB0], &[0x05, 0x00]), element(&[0xBA], &[0x02, 0xD0])].concat();
    let track = element(&[0xAE], &[element(&[0x83], &[1]), element(&[0xE0], &picture)].concat());
    let tracks = element(&[0x16, 0x54, 0xAE, 0x6B], &track);
    let cluster = [element(&[0xE7], &[0x1B, 0x58]), element(&[0xA3], &[0x81; 300])].concat();
    [info, tracks, element(&[0x1F, 0x43, 0xB6, 0x75], &cluster)].concat()
}

fn ebml_head() -> Vec<u8> {
    element(&[0x1A, 0x45, 0xDF, 0xA3], &element(&[0x42, 0x82], b"webm"))
}

fn webm(seconds: Option<f64>) -> Vec<u8> {
    [ebml_head(), element(SEGMENT, &webm_parts(seconds))].concat()
}

fn wav(seconds: u32) -> Vec<u8> {
    let data = vec![0; usize::try_from(seconds * 8000).expect("small")];
    let length = u32::try_from(data.len()).expect("small");
    let format: [&[u8]; 4] = [&[1, 0, 1, 0], &8000_u32.to_le_bytes(), &8000_u32.to_le_bytes(), &[1, 0, 8, 0]];
    let head: [&[u8]; 4] = [b"RIFF", &(length + 36).to_le_bytes(), b"WAVEfmt ", &16_u32.to_le_bytes()];
    [&head.concat()[..], &format.concat(), b"data", &length.to_le_bytes(), &data].concat()
}

fn page(until: u64, body: &[u8]) -> Vec<u8> {
    let size = u8::try_from(body.len()).expect("small");
    [b"OggS\0\x02", &until.to_le_bytes()[..], &[0; 12], &[1, size], body].concat()
}

fn ogg() -> Vec<u8> {
    let head = [b"\x01vorbis\0\0\0\0\x01", &44_100_u32.to_le_bytes()[..], &[0; 14]].concat();
    [page(0, &head), page(u64::MAX, &[0; 20]), page(44_100 * 3, &[0; 20])].concat()
}

fn opus() -> Vec<u8> {
    [page(0, b"OpusHead\x01\x01\x38\x01\x80\xbb\0\0\0\0\0"), page(48_000 + 312, &[0; 20])].concat()
}

async fn measured(medium: Medium, file: &[u8]) -> (String, Value) {
    let checked = check(medium, file, &Acceptance::default()).await.expect("usable");
    let mut measured = Value::Object(checked.measured);
    assert_eq!(measured["bytes"], file.len());
    measured.as_object_mut().expect("an object").remove("bytes");
    (format!("{} {}", checked.content_type, checked.extension), measured)
}

#[tokio::test]
async fn containers_are_measured() {
    let hd = json!({"width": 1280, "height": 720, "seconds": 8.0});
    let film = |change: fn(&mut Film)| {
        let mut film = Film::default();
        change(&mut film);
        film.file()
    };
    let open = [
        ebml_head(),
        SEGMENT.to_vec(),
        vec![0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
        webm_parts(None),
    ]
    .concat();
    let cases = [
        (Medium::Video, film(|_| {}), "video/mp4 mp4", hd.clone()),
        (
            Medium::Video,
            film(|film| film.turned = true),
            "video/mp4 mp4",
            json!({"width": 720, "height": 1280, "seconds": 8.0}),
        ),
        (
            Medium::Video,
            film(|film| (film.units, film.fragments) = (0, vec![fragment(true), fragment(false)])),
            "video/mp4 mp4",
            json!({"width": 1280, "height": 720, "seconds": 1.32}),
        ),
        (Medium::Video, webm(Some(8.0)), "video/webm webm", hd),
        (Medium::Video, open, "video/webm webm", json!({"width": 1280, "height": 720, "seconds": 7.0})),
        (Medium::Audio, wav(2), "audio/wav wav", json!({"seconds": 2.0})),
        (Medium::Audio, mp3(100), "audio/mpeg mp3", json!({"seconds": 2.612})),
        (Medium::Audio, ogg(), "audio/ogg ogg", json!({"seconds": 3.0})),
        (Medium::Audio, b"fLaC\0\0\0\x22\0\0\xff\xfe".to_vec(), "audio/flac flac", json!({})),
    ];
    for (medium, file, kind, expected) in cases {
        assert_eq!(measured(medium, &file).await, (kind.to_owned(), expected), "{kind}");
    }
    let (_, sound) = measured(Medium::Audio, &opus()).await;
    assert_eq!(sound, json!({"seconds": 1.0}), "what is not played does not count");
}

#[tokio::test]
async fn what_is_cut_off_is_found_out() {
    let any = Acceptance::default();
    let of = |medium: Medium| if medium == Medium::Video { "video" } else { "sound file" };
    for (medium, file) in [
        (Medium::Video, Film::default().file()),
        (Medium::Video, webm(Some(8.0))),
        (Medium::Audio, wav(1)),
        (Medium::Audio, mp3(3)),
        (Medium::Audio, ogg()),
    ] {
        for end in [file.len() - 1, file.len() - 15, file.len() - 19] {
            let sentence = format!("the {} is cut off", of(medium));
            says(check(medium, &file[..end], &any).await, "unusable", &sentence);
        }
    }
    let whole = Film::default().file();
    let without_data = &whole[..whole.len() - 208];
    says(check(Medium::Video, without_data, &any).await, "unusable", "the video is cut off");
    let missing = Film { frame_bytes: 101, ..Film::default() };
    says(check(Medium::Video, &missing.file(), &any).await, "unusable", "the video is cut off");
    let head = &whole[..28];
    says(check(Medium::Video, head, &any).await, "unusable", "the video is cut off");
}

#[tokio::test]
async fn what_plays_nothing_is_no_asset() {
    let any = Acceptance::default();
    let sound_alone = Film { handler: b"soun", ..Film::default() };
    says(
        check(Medium::Video, &sound_alone.file(), &any).await,
        "unusable",
        "the video holds nothing to play",
    );
    let tag = b"ID3\x04\0\0\0\0\0\0";
    says(check(Medium::Audio, tag, &any).await, "unusable", "the sound file holds nothing to play");
    let picture = png(&scene(16, 16));
    says(check(Medium::Video, &picture, &any).await, "unusable", "a picture (image/png) instead of a video");
    let small = Acceptance { min_bytes: Some(1000), ..Acceptance::default() };
    let film = Film::default().file();
    let sentence = format!("the video has {} bytes, at least 1000 are wanted", film.len());
    says(check(Medium::Video, &film, &small).await, "unusable", &sentence);
    let page = b"<html>busy</html>";
    says(check(Medium::Audio, page, &small).await, "unusable", "an HTML page instead of a sound file");
}

#[tokio::test]
async fn rules_hold_for_what_moves_and_sounds() {
    let film = Film::default().file();
    let rules = |change: fn(&mut Acceptance)| {
        let mut rules = Acceptance::default();
        change(&mut rules);
        rules
    };
    let cases: [(Acceptance, &str); 4] = [
        (
            rules(|r| r.min_width = Some(1920)),
            "the video is 1280 x 720 pixels, at least 1920 x any are wanted",
        ),
        (
            rules(|r| r.min_height = Some(721)),
            "the video is 1280 x 720 pixels, at least any x 721 are wanted",
        ),
        (rules(|r| r.aspect = Aspect::parse("9:16")), "the video is 1280 x 720 pixels, which is not 9:16"),
        (
            rules(|r| r.min_duration = Some(Duration::from_secs(9))),
            "the video is 8.0 s long, at least 9 seconds are wanted",
        ),
    ];
    for (rules, sentence) in &cases {
        says(check(Medium::Video, &film, rules).await, "unusable", sentence);
    }
    let met = Acceptance {
        min_width: Some(1280),
        min_height: Some(720),
        aspect: Aspect::parse("16:9"),
        min_duration: Some(Duration::from_millis(8_050)),
        ..Acceptance::default()
    };
    check(Medium::Video, &film, &met).await.expect("within a frame or two of what is wanted");
    let flac = b"fLaC\0\0\0\x22\0\0\xff\xfe";
    let sentence =
        "the length of the sound file cannot be read (audio/flac), and at least 9 seconds are wanted";
    says(check(Medium::Audio, flac, &cases[3].0).await, "unusable", sentence);
    let avi = b"RIFF\x04\0\0\0AVI \xff\xfe";
    let sentence = "the size of the video cannot be read (video/x-msvideo), and the rules ask for one";
    says(check(Medium::Video, avi, &met).await, "unusable", sentence);
}

/// A table that announces more samples than any memory holds.
#[tokio::test]
async fn what_a_file_announces_takes_no_memory() {
    let mut file = Film::default().file();
    let at = file.windows(4).position(|kind| kind == b"stsz").expect("a table") + 8;
    file[at..at + 8].copy_from_slice(&[0, 0, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF]);
    says(check(Medium::Video, &file, &Acceptance::default()).await, "unusable", "the video is cut off");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is wrong with a file, it is told and nothing breaks.
    #[test]
    fn damaged_files_are_survived(which in 0_usize..6, at in any::<prop::sample::Index>(), bytes in prop::collection::vec(any::<u8>(), 1..9)) {
        let fragmented = Film { units: 0, fragments: vec![fragment(true)], ..Film::default() };
        let files = [
            (Medium::Video, Film::default().file()), (Medium::Video, fragmented.file()), (Medium::Video, webm(Some(8.0))),
            (Medium::Audio, wav(1)), (Medium::Audio, mp3(3)), (Medium::Audio, ogg()),
        ];
        let (medium, mut file) = files[which].clone();
        let start = at.index(file.len());
        for (place, byte) in file[start..].iter_mut().zip(bytes) {
            *place = byte;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        if let Err(failure) = runtime.block_on(check(medium, &file, &Acceptance::default())) {
            prop_assert!(!failure.message.contains("broke"), "{failure}");
        }
    }
}
