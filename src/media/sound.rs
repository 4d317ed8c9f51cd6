//! WAV, MP3 and Ogg, read for their length.

use super::recording::{Fault, Measure, length, little_endian};

/// A RIFF file: chunks, of which one says how many bytes a second has, and one holds them.
pub(super) fn wav(file: &[u8]) -> Result<Measure, Fault> {
    let mut at = 12;
    let (mut per_second, mut data) = (0, None);
    while at + 8 <= file.len() {
        let kind = file.get(at..at + 4).unwrap_or_default();
        let size = little_endian(file, at + 4, 4).unwrap_or(0);
        let start = at + 8;
        let left = (file.len() - start) as u64;
        match kind {
            b"fmt " => per_second = little_endian(file, start + 8, 4).unwrap_or(0),
            // A recorder that streams does not know the length, and writes the largest or none.
            b"data" if size == 0 || size >= u64::from(u32::MAX) - 64 => data = Some(left),
            b"data" if size > left => return Err(Fault::Cut),
            b"data" => data = Some(size),
            _ => {}
        }
        // Chunks begin at even places.
        let Ok(step) = usize::try_from(size.saturating_add(size & 1)) else { break };
        at = start.saturating_add(step);
    }
    let data = data.ok_or(Fault::Cut)?;
    let duration = length(data, per_second).ok_or(Fault::Hollow)?;
    Ok(Measure { duration: Some(duration), ..Measure::default() })
}

/// An MPEG stream: frames one after the other, behind a tag. Walked from end to end, because what stands in front
/// of a stream with a varying rate is not always true.
pub(super) fn mp3(file: &[u8]) -> Result<Measure, Fault> {
    let mut at = tag_length(file);
    if at > file.len() {
        return Err(Fault::Cut);
    }
    let (mut samples, mut rate, mut cut) = (0_u64, 0, false);
    while let Some(frame) = file.get(at..).and_then(Frame::read) {
        rate = frame.rate;
        at += frame.bytes;
        cut = at > file.len();
        samples += if cut { 0 } else { frame.samples };
    }
    if cut {
        return Err(Fault::Cut);
    }
    let duration = length(samples, rate).ok_or(Fault::Hollow)?;
    Ok(Measure { duration: Some(duration), ..Measure::default() })
}

/// The length of an ID3v2 tag, which counts in bytes of seven bits.
fn tag_length(file: &[u8]) -> usize {
    match file {
        [b'I', b'D', b'3', _, _, flags, a, b, c, d, ..] => {
            let footer = if flags & 0x10 == 0 { 0 } else { 10 };
            let size = [a, b, c, d].iter().fold(0, |sum, byte| (sum << 7) | usize::from(**byte & 0x7F));
            size + 10 + footer
        }
        _ => 0,
    }
}

struct Frame {
    bytes: usize,
    samples: u64,
    rate: u64,
}

impl Frame {
    /// The frame of layer III that begins here.
    fn read(bytes: &[u8]) -> Option<Self> {
        const KILOBITS: [[usize; 16]; 2] = [
            [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0],
            [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0],
        ];
        const RATES: [usize; 4] = [44_100, 48_000, 32_000, 0];
        let [0xFF, second, third, ..] = *bytes else { return None };
        // Bits: sync, version (3: MPEG 1, 2: MPEG 2, 0: MPEG 2.5), layer (1: III).
        let (version, layer) = ((second >> 3) & 3, (second >> 1) & 3);
        if second < 0xE0 || version == 1 || layer != 1 {
            return None;
        }
        let first = version == 3;
        let kilobits = *KILOBITS.get(usize::from(!first))?.get(usize::from(third >> 4))?;
        let full = *RATES.get(usize::from((third >> 2) & 3))?;
        let rate = match version {
            3 => full,
            2 => full / 2,
            _ => full / 4,
        };
        if kilobits == 0 || rate == 0 {
            return None;
        }
        let per_bit = if first { 144 } else { 72 };
        let length = per_bit * kilobits * 1000 / rate + usize::from((third >> 1) & 1);
        Some(Self { bytes: length, samples: if first { 1152 } else { 576 }, rate: rate as u64 })
    }
}

/// Pages, each with the count of samples until its end; what a second has stands in the first.
pub(super) fn ogg(file: &[u8]) -> Result<Measure, Fault> {
    let mut at = 0;
    let (mut rate, mut before, mut last) = (0, 0, 0_u64);
    while at < file.len() {
        let page = file.get(at..).unwrap_or_default();
        if !page.starts_with(b"OggS") {
            break;
        }
        let segments = usize::from(*page.get(26).ok_or(Fault::Cut)?);
        let table = page.get(27..27 + segments).ok_or(Fault::Cut)?;
        let size = 27 + segments + table.iter().map(|size| usize::from(*size)).sum::<usize>();
        let body = page.get(27 + segments..size).ok_or(Fault::Cut)?;
        if at == 0 {
            (rate, before) = ogg_clock(body);
        }
        // A page on which no packet ends has all bits set.
        let until = little_endian(page, 6, 8).unwrap_or(0);
        if until < u64::MAX / 2 {
            last = last.max(until);
        }
        at += size;
    }
    if last == 0 {
        return Err(Fault::Hollow);
    }
    // Of other codecs (FLAC, Speex) only that they are there is known.
    Ok(Measure { duration: length(last.saturating_sub(before), rate), ..Measure::default() })
}

/// Samples per second, and how many at the beginning are not played.
fn ogg_clock(head: &[u8]) -> (u64, u64) {
    if head.starts_with(b"\x01vorbis") {
        (little_endian(head, 12, 4).unwrap_or(0), 0)
    } else if head.starts_with(b"OpusHead") {
        (48_000, little_endian(head, 10, 2).unwrap_or(0))
    } else {
        (0, 0)
    }
}
