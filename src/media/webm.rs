//! WebM and Matroska: elements within elements, each with its length.

use super::recording::{Fault, Measure, big_endian, length};

const SEGMENT: u64 = 0x1853_8067;
const INFO: u64 = 0x1549_A966;
const TIME_SCALE: u64 = 0x2A_D7B1;
const DURATION: u64 = 0x4489;
const TRACKS: u64 = 0x1654_AE6B;
const TRACK: u64 = 0xAE;
const VIDEO: u64 = 0xE0;
const WIDTH: u64 = 0xB0;
const HEIGHT: u64 = 0xBA;
const CLUSTER: u64 = 0x1F43_B675;
const CLUSTER_TIME: u64 = 0xE7;

/// Nanoseconds of a unit where a file does not say.
const DEFAULT_SCALE: u64 = 1_000_000;

/// Reads a file. Elements are walked one after the other, into those that hold what we want, so that a live
/// recording, whose segment and clusters have no length, is read like any other.
pub(super) fn read(file: &[u8]) -> Result<Measure, Fault> {
    let mut at = 0;
    let mut measure = Measure::default();
    let mut scale = DEFAULT_SCALE;
    let (mut units, mut last_cluster) = (0.0, None);
    let mut clusters = 0_usize;
    while at < file.len() {
        let (id, body) = element(file, at).ok_or(Fault::Cut)?;
        let Element { start, size } = body;
        // Of unknown length are only those that are walked into.
        let holds_others = matches!(id, SEGMENT | INFO | TRACKS | TRACK | VIDEO | CLUSTER);
        let end = match size {
            Some(size) => start.checked_add(size).filter(|end| *end <= file.len()).ok_or(Fault::Cut)?,
            None if holds_others => start,
            None => return Err(Fault::Cut),
        };
        let value = || file.get(start..end).unwrap_or_default();
        match id {
            TIME_SCALE => scale = number(value()).max(1),
            DURATION => units = float(value()),
            WIDTH => measure.width = pixels(value()),
            HEIGHT => measure.height = pixels(value()),
            CLUSTER => clusters += 1,
            CLUSTER_TIME => last_cluster = Some(number(value())),
            _ => {}
        }
        at = if holds_others { start } else { end };
    }
    if clusters == 0 {
        return Err(if measure.width > 0 { Fault::Cut } else { Fault::Hollow });
    }
    if measure.width == 0 || measure.height == 0 {
        return Err(Fault::Hollow);
    }
    // A live recording says when its last cluster begins, which is at most some seconds before its end.
    let nanos = if units > 0.0 {
        units * precise(scale)
    } else {
        precise(last_cluster.unwrap_or(0)) * precise(scale)
    };
    let micros = std::time::Duration::try_from_secs_f64(nanos / 1e9).ok();
    measure.duration = micros.and_then(|d| length(u64::try_from(d.as_micros()).ok()?, 1_000_000));
    Ok(measure)
}

/// Where an element's content begins, and how long it is; `None` where the file does not say.
struct Element {
    start: usize,
    size: Option<usize>,
}

fn element(file: &[u8], at: usize) -> Option<(u64, Element)> {
    let id_width = usize::try_from(file.get(at)?.leading_zeros()).ok()? + 1;
    let id = big_endian(file, at, id_width.min(8))?;
    let size_at = at.checked_add(id_width)?;
    let size_width = usize::try_from(file.get(size_at)?.leading_zeros()).ok()? + 1;
    if id_width > 4 || size_width > 8 {
        return None;
    }
    let marked = big_endian(file, size_at, size_width)?;
    let all_ones = (1_u64 << (7 * size_width)) - 1;
    let size = marked & all_ones;
    let size = if size == all_ones { None } else { Some(usize::try_from(size).ok()?) };
    Some((id, Element { start: size_at.checked_add(size_width)?, size }))
}

fn number(value: &[u8]) -> u64 {
    big_endian(value, 0, value.len().min(8)).unwrap_or(0)
}

fn pixels(value: &[u8]) -> u32 {
    u32::try_from(number(value)).unwrap_or(0)
}

fn float(value: &[u8]) -> f64 {
    if let Ok(four) = value.try_into() {
        return f64::from(f32::from_be_bytes(four));
    }
    value.try_into().map_or(0.0, f64::from_be_bytes)
}

/// A count as a float; no film is so long that it matters what is lost.
fn precise(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
