//! Files that are made to take a decoder's time or its stack.

use std::time::{Duration, Instant};

use backstop::domain::accept::Acceptance;
use backstop::domain::asset::Medium;

use super::{check, crc32, png, scene};

/// Whatever is made of it, it is made within a moment.
async fn is_judged_soon(name: &str, medium: Medium, file: &[u8]) {
    let begun = Instant::now();
    let judged = check(medium, file, &Acceptance::default()).await;
    assert!(begun.elapsed() < Duration::from_secs(20), "{name}: {:?}", begun.elapsed());
    if let Err(failure) = judged {
        assert_eq!(failure.class.as_str(), "unusable", "{name}: {failure}");
    }
}

#[tokio::test]
async fn a_picture_of_a_million_parts_is_judged_soon() {
    let mut file = png(&scene(16, 16));
    let end = file.split_off(file.len() - 12);
    let part = [b"\0\0\0\0teXt".as_slice(), &crc32(b"teXt").to_be_bytes()].concat();
    file.extend(part.repeat(1_000_000));
    file.extend(end);
    is_judged_soon("a million parts", Medium::Image, &file).await;
}

#[tokio::test]
async fn boxes_within_boxes_and_boxes_without_length_are_judged_soon() {
    let depth = 200_000_u32;
    for (kind, inner) in [("moov", "trak"), ("moov", "moov"), ("moof", "traf")] {
        let mut file = b"\0\0\0\x18ftypisom\0\0\0\0isommp42".to_vec();
        for level in 0..depth {
            let name = if level % 2 == 0 { kind } else { inner };
            file.extend(((depth - level) * 8).to_be_bytes());
            file.extend(name.as_bytes());
        }
        is_judged_soon("depth", Medium::Video, &file).await;
    }
    // A length of 0 means the rest, 1 a length of eight bytes, and less than its own head is none at all.
    for length in [0_u32, 1, 2, 7, u32::MAX] {
        let mut file = b"\0\0\0\x18ftypisom\0\0\0\0isommp42".to_vec();
        for _ in 0..100_000 {
            file.extend(length.to_be_bytes());
            file.extend(b"moov\0\0\0\0\0\0\0\0");
        }
        is_judged_soon("length", Medium::Video, &file).await;
    }
}
