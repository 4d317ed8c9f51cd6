//! MP4 and QuickTime: boxes within boxes, plain and fragmented.
//!
//! Read by ourselves, because what we need is few numbers, and because the parsers at hand list every sample: a
//! file of a hundred bytes that announces four thousand million of them takes all memory there is.

use super::recording::{Fault, Measure, big_endian, length};
use crate::domain::asset::Medium;

/// A box: its kind and what is in it.
type Part<'a> = (&'a [u8], &'a [u8]);

/// Reads a file. It must be whole: every box ends within it, and there is as much data as the samples take.
pub(super) fn read(file: &[u8], medium: Medium) -> Result<Measure, Fault> {
    let mut movie = None;
    let mut fragments = Vec::new();
    let mut data = 0_u64;
    for part in Boxes(file) {
        let (kind, body) = part?;
        match kind {
            b"moov" => movie = Some(body),
            b"moof" => fragments.push(body),
            b"mdat" => data = data.saturating_add(body.len() as u64),
            _ => {}
        }
    }
    // Without its table of contents a film is what is left of a transfer that broke off.
    let movie = movie.ok_or(Fault::Cut)?;
    let tracks: Vec<Track> =
        within(movie, b"trak")?.into_iter().map(Track::read).collect::<Result<_, _>>()?;
    let bytes = tracks.iter().fold(0_u64, |sum, track| sum.saturating_add(track.bytes));
    if bytes > data || (data == 0 && !tracks.is_empty()) {
        return Err(Fault::Cut);
    }
    let wanted: &[u8; 4] = if medium == Medium::Video { b"vide" } else { b"soun" };
    let track = tracks.into_iter().find(|track| &track.handler == wanted).ok_or(Fault::Hollow)?;
    let mut units = track.units;
    if units == 0 {
        let default = default_duration(movie, track.id)?;
        for fragment in fragments {
            units = units.saturating_add(fragment_units(fragment, track.id, default)?);
        }
    }
    Ok(Measure { width: track.width, height: track.height, duration: length(units, track.timescale) })
}

/// The boxes of a stretch of bytes, in order.
struct Boxes<'a>(&'a [u8]);

impl<'a> Iterator for Boxes<'a> {
    type Item = Result<Part<'a>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let part = self.take();
        if part.is_none() {
            self.0 = &[];
        }
        Some(part.ok_or(Fault::Cut))
    }
}

impl<'a> Boxes<'a> {
    fn take(&mut self) -> Option<Part<'a>> {
        let bytes = self.0;
        let kind = bytes.get(4..8)?;
        let (head, size) = match big_endian(bytes, 0, 4)? {
            // To the end of the file.
            0 => (8, bytes.len()),
            1 => (16, usize::try_from(big_endian(bytes, 8, 8)?).ok()?),
            size => (8, usize::try_from(size).ok()?),
        };
        let body = bytes.get(head..size)?;
        self.0 = bytes.get(size..)?;
        Some((kind, body))
    }
}

/// The bodies of all boxes of a kind.
fn within<'a>(body: &'a [u8], wanted: &[u8; 4]) -> Result<Vec<&'a [u8]>, Fault> {
    let mut found = Vec::new();
    for part in Boxes(body) {
        let (kind, body) = part?;
        if kind == wanted {
            found.push(body);
        }
    }
    Ok(found)
}

/// The body of the box at the end of a path of kinds; nothing where there is none.
fn deep<'a>(mut body: &'a [u8], path: &[&[u8; 4]]) -> Result<&'a [u8], Fault> {
    for kind in path {
        body = within(body, kind)?.first().copied().unwrap_or_default();
    }
    Ok(body)
}

#[derive(Debug, Default)]
struct Track {
    id: u64,
    handler: [u8; 4],
    width: u32,
    height: u32,
    timescale: u64,
    /// Its length in units of the time scale; 0 where it stands in fragments.
    units: u64,
    /// What its samples take.
    bytes: u64,
}

impl Track {
    fn read(body: &[u8]) -> Result<Self, Fault> {
        let header = deep(body, &[b"tkhd"])?;
        let media = deep(body, &[b"mdia"])?;
        let clock = deep(media, &[b"mdhd"])?;
        let table = deep(media, &[b"minf", b"stbl"])?;
        let handler = deep(media, &[b"hdlr"])?.get(8..12).and_then(|kind| kind.try_into().ok());
        let number = |body: &[u8], at: usize, width: usize| big_endian(body, at, width).unwrap_or(0);
        // Version 1 has its times in eight bytes.
        let wide = |body: &[u8]| body.first() == Some(&1);
        let (id_at, shape_at) = if wide(header) { (20, 88) } else { (12, 76) };
        let (scale_at, units_at, units_width) = if wide(clock) { (20, 24, 8) } else { (12, 16, 4) };
        let (width, height) = shape(header, shape_at, deep(table, &[b"stsd"])?);
        let mut units = number(clock, units_at, units_width);
        if units_width == 4 && units == u64::from(u32::MAX) || units == u64::MAX {
            units = 0; // "Not known", says the standard.
        }
        Ok(Self {
            id: number(header, id_at, 4),
            handler: handler.unwrap_or_default(),
            width,
            height,
            timescale: number(clock, scale_at, 4),
            units,
            bytes: sample_bytes(deep(table, &[b"stsz"])?),
        })
    }
}

/// The size a film is shown at: the track's, turned as its matrix says, else that of its first description.
fn shape(header: &[u8], shape_at: usize, descriptions: &[u8]) -> (u32, u32) {
    let number = |body: &[u8], at: usize, width: usize| {
        big_endian(body, at, width).and_then(|number| u32::try_from(number).ok()).unwrap_or(0)
    };
    // Fixed point: the upper half are whole pixels.
    let shown = (number(header, shape_at, 2), number(header, shape_at + 4, 2));
    // Two counts, then a box: its head, and 24 bytes before the size.
    let coded = (number(descriptions, 40, 2), number(descriptions, 42, 2));
    let (width, height) = if shown.0 == 0 || shown.1 == 0 { coded } else { shown };
    let matrix = shape_at - 36;
    let turned = number(header, matrix, 4) == 0 && number(header, matrix + 4, 4) != 0;
    if turned { (height, width) } else { (width, height) }
}

/// What all samples take together, by their table of sizes.
fn sample_bytes(sizes: &[u8]) -> u64 {
    let (Some(each), Some(count)) = (big_endian(sizes, 4, 4), big_endian(sizes, 8, 4)) else { return 0 };
    if each > 0 {
        return each.saturating_mul(count);
    }
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let list = sizes.get(12..).unwrap_or_default().chunks_exact(4).take(count);
    list.fold(0, |sum: u64, size| sum.saturating_add(big_endian(size, 0, 4).unwrap_or(0)))
}

/// How long a sample of a fragmented track is where its fragments do not say.
fn default_duration(movie: &[u8], track: u64) -> Result<u64, Fault> {
    let extends = within(deep(movie, &[b"mvex"])?, b"trex")?;
    let of_track = extends.into_iter().find(|body| big_endian(body, 4, 4) == Some(track));
    Ok(of_track.and_then(|body| big_endian(body, 12, 4)).unwrap_or(0))
}

/// How long a track is within one fragment.
fn fragment_units(fragment: &[u8], track: u64, default: u64) -> Result<u64, Fault> {
    let mut units = 0_u64;
    for piece in within(fragment, b"traf")? {
        let header = deep(piece, &[b"tfhd"])?;
        if big_endian(header, 4, 4) != Some(track) {
            continue;
        }
        let flags = big_endian(header, 1, 3).unwrap_or(0);
        let before = if flags & 1 == 0 { 0 } else { 8 } + if flags & 2 == 0 { 0 } else { 4 };
        let own = if flags & 8 == 0 { None } else { big_endian(header, 8 + before, 4) };
        for run in within(piece, b"trun")? {
            units = units.saturating_add(run_units(run, own.unwrap_or(default)));
        }
    }
    Ok(units)
}

fn run_units(run: &[u8], default: u64) -> u64 {
    let flags = big_endian(run, 1, 3).unwrap_or(0);
    let count = big_endian(run, 4, 4).unwrap_or(0);
    if flags & 0x100 == 0 {
        return default.saturating_mul(count);
    }
    let has = |flag: u64| usize::from(flags & flag != 0);
    let start = 8 + 4 * (has(1) + has(4));
    let each = 4 * (1 + has(0x200) + has(0x400) + has(0x800));
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let list = run.get(start..).unwrap_or_default().chunks_exact(each).take(count);
    list.fold(0, |sum: u64, sample| sum.saturating_add(big_endian(sample, 0, 4).unwrap_or(0)))
}
