//! `title-card`: a picture drawn from the title, good enough to publish.

use std::io::Cursor;
use std::time::Duration;

use bytes::Bytes;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};
use serde_json::{Map, Value};

use super::design::{self, Dice, Palette};
use super::lettering::{self, Face, Room, Ruler, Setting};
use crate::domain::accept::{Acceptance, Aspect};
use crate::domain::ask::{Ask, Body, Output};
use crate::domain::asset::Medium;
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::provider::Provider;

/// A card's size when the asset asks for none, in pixels.
const USUAL: (u32, u32) = (1600, 900);

/// The longest side of a card, in pixels.
const MAX_SIDE: u32 = 4096;

/// The widest and the tallest card, as width to height: beyond, words find no room.
const WIDEST: f64 = 8.0;
const TALLEST: f64 = 0.25;

/// The longest text that is looked at, in characters; cards show far less.
const MAX_TEXT: usize = 600;

/// The maker. It draws `input.title`, or the slug in words, with `input.subtitle` below and `input.site`
/// above where there are any. Colours and motif depend on the slug alone, so that a slug always gets the
/// same card. The size follows the asset's acceptance rules.
#[derive(Debug)]
pub struct TitleCard(());

impl TitleCard {
    /// The maker has no options.
    ///
    /// # Errors
    /// When its provider is to make something else than images.
    pub fn new(provider: &Provider) -> Result<Self, String> {
        if provider.medium == Medium::Image {
            Ok(Self(()))
        } else {
            Err(format!("providers.{}: a title card is an image, not {}", provider.name, provider.medium))
        }
    }

    /// Draws the card in a blocking thread; it takes about a tenth of a second.
    ///
    /// # Errors
    /// `invalid` when no card of the wanted size can be drawn, or nothing of the title in the letters there
    /// are.
    pub async fn make(&self, ask: &Ask, time_left: Duration) -> Result<Output, Failure> {
        let invalid = |why: String| Failure::new(FailureClass::Invalid, why);
        if ask.medium != Medium::Image {
            return Err(invalid(format!("a title card is an image, not {}", ask.medium)));
        }
        let (width, height) = size(&ask.accept).map_err(invalid)?;
        let words = Words::of(ask).map_err(invalid)?;
        let slug = ask.slug.clone();
        let drawing = tokio::task::spawn_blocking(move || drawn(&words, &slug, width, height));
        let png = match tokio::time::timeout(time_left, drawing).await {
            Ok(Ok(drawn)) => drawn.map_err(Failure::unusable)?,
            Ok(Err(broken)) => return Err(Failure::unusable(format!("the card was not drawn: {broken}"))),
            Err(_) => return Err(Failure::new(FailureClass::TimedOut, "the card was not drawn in time")),
        };
        let mut output = Output::plain(Body::File(Bytes::from(png)));
        output.claimed_type = Some("image/png".to_owned());
        Ok(output)
    }
}

/// The smallest card near the usual size that satisfies the rules.
fn size(accept: &Acceptance) -> Result<(u32, u32), String> {
    let (least_width, least_height) = (accept.min_width.unwrap_or(1), accept.min_height.unwrap_or(1));
    let usual = f64::from(USUAL.0) / f64::from(USUAL.1);
    let ratio = match accept.aspect {
        Some(Aspect { width, height }) => f64::from(width) / f64::from(height),
        // Who asks for an upright picture, if only by its least sides, gets one.
        None if least_height > least_width && accept.min_width.is_some() => {
            f64::from(least_width) / f64::from(least_height)
        }
        None => usual,
    };
    if !(TALLEST..=WIDEST).contains(&ratio) {
        return Err(format!(
            "a title card is at most {WIDEST} times as wide as high, and at most 4 times as high"
        ));
    }
    let area = f64::from(USUAL.0) * f64::from(USUAL.1);
    let width = (area * ratio).sqrt().max(f64::from(least_width)).max(f64::from(least_height) * ratio);
    let (width, height) = (width.round(), (width / ratio).round());
    let side = |pixels: f64| (1..=MAX_SIDE).rev().find(|side| f64::from(*side) <= pixels).unwrap_or(1);
    if width > f64::from(MAX_SIDE) || height > f64::from(MAX_SIDE) {
        return Err(format!(
            "a title card has at most {MAX_SIDE} pixels a side, {width} x {height} are wanted"
        ));
    }
    Ok((side(width).max(least_width), side(height).max(least_height)))
}

/// What stands on a card.
#[derive(Debug, PartialEq)]
struct Words {
    title: String,
    subtitle: Option<String>,
    site: Option<String>,
}

impl Words {
    fn of(ask: &Ask) -> Result<Self, String> {
        let (display, text) = (Ruler::new(Face::Display)?, Ruler::new(Face::Text)?);
        let title = given(&ask.input, "title")
            .and_then(|title| display.drawable(&title))
            .or_else(|| display.drawable(&spoken(&ask.slug)))
            .ok_or("neither the title nor the slug can be drawn: the card's letters are Latin, Greek and Cyrillic")?;
        let small = |key: &str| given(&ask.input, key).and_then(|words| text.drawable(&words));
        Ok(Self { title, subtitle: small("subtitle"), site: small("site") })
    }
}

fn given(input: &Map<String, Value>, key: &str) -> Option<String> {
    input.get(key).and_then(Value::as_str).map(|text| text.chars().take(MAX_TEXT).collect())
}

/// A slug in words: `news/my-article-7` is `My article 7`.
fn spoken(slug: &str) -> String {
    let last = slug.rsplit('/').find(|part| !part.is_empty()).unwrap_or(slug);
    let words: String =
        last.chars().take(MAX_TEXT).map(|c| if matches!(c, '-' | '_' | '.') { ' ' } else { c }).collect();
    let mut chars = words.trim().chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

fn drawn(words: &Words, slug: &str, width: u32, height: u32) -> Result<Vec<u8>, String> {
    let svg = composed(words, slug, f64::from(width), f64::from(height))?;
    let options = Options { fontdb: lettering::database(), ..Options::default() };
    let tree =
        Tree::from_str(&svg, &options).map_err(|error| format!("the card cannot be laid out: {error}"))?;
    let mut canvas = Pixmap::new(width, height).ok_or("the card has no size")?;
    resvg::render(&tree, Transform::identity(), &mut canvas.as_mut());
    // The ground covers everything, so that the alpha channel says nothing and is left out.
    let rgb: Vec<u8> =
        canvas.data().chunks_exact(4).flat_map(|pixel| pixel.iter().take(3).copied()).collect();
    let mut png = Cursor::new(Vec::new());
    PngEncoder::new_with_quality(&mut png, CompressionType::Default, FilterType::Adaptive)
        .write_image(&rgb, width, height, ExtendedColorType::Rgb8)
        .map_err(|error| format!("the card cannot be written as PNG: {error}"))?;
    Ok(png.into_inner())
}

/// The card as SVG. Words stand at the left, from below; the motif comes from the upper right.
fn composed(words: &Words, slug: &str, width: f64, height: f64) -> Result<String, String> {
    let (display, text) = (Ruler::new(Face::Display)?, Ruler::new(Face::Text)?);
    let mut dice = Dice::of(slug);
    let palette = design::palette(&mut dice);
    let unit = ((width * height).sqrt() / 1200.0).min(height / 640.0).min(width / 640.0);
    let margin = 92.0 * unit;
    let measure = if width > height * 1.2 { (width - 2.0 * margin) * 0.88 } else { width - 2.0 * margin };

    let small = Room {
        width: measure,
        height: 90.0 * unit,
        largest: 36.0 * unit,
        smallest: 30.0 * unit,
        leading: 1.35,
        most_lines: 2,
    };
    let subtitle = words.subtitle.as_deref().map(|words| lettering::set(words, &text, small));
    let site = words.site.as_deref().map(|words| {
        let room =
            Room { height: 30.0 * unit, largest: 30.0 * unit, smallest: 30.0 * unit, most_lines: 1, ..small };
        lettering::set(words, &text, room)
    });
    let below = subtitle.as_ref().map_or(0.0, |set| block(set, small.leading) + 64.0 * unit);
    let above = if site.is_some() { 76.0 * unit } else { 0.0 };
    let rule = 56.0 * unit;
    let title_room = Room {
        width: measure,
        height: ((height - 2.0 * margin - below - above - rule).min(height * 0.5)).max(60.0 * unit),
        largest: 126.0 * unit,
        smallest: 48.0 * unit,
        leading: 1.08,
        most_lines: 5,
    };
    let title = lettering::set(&words.title, &display, title_room);

    let mut svg = ground(palette, width, height);
    let motif = design::motif(&mut dice, palette, width, height);
    svg.push_str(&motif.map_err(|error| format!("the motif cannot be drawn: {error}"))?);
    let top = height - margin - below - block(&title, title_room.leading);
    bar(&mut svg, palette, (margin, top - rule), unit);
    lines(&mut svg, Face::Display, &title, (margin, top, title_room.leading), (palette.ink, 1.0));
    if let Some(set) = &subtitle {
        let top = height - margin - block(set, small.leading);
        lines(&mut svg, Face::Text, set, (margin, top, small.leading), (palette.ink, 0.82));
    }
    if let Some(set) = &site {
        lines(&mut svg, Face::Text, set, (margin, margin * 0.9, 1.0), (palette.ink, 0.9));
    }
    svg.push_str("</svg>");
    Ok(svg)
}

/// The height of set lines, from the top of the first line's capitals to the last base line.
fn block(set: &Setting, leading: f64) -> f64 {
    let further = f64::from(u16::try_from(set.lines.len().saturating_sub(1)).unwrap_or(u16::MAX));
    set.size * (CAPITALS + further * leading)
}

/// The height of the fonts' capital letters, as a fraction of the size.
const CAPITALS: f64 = 0.727;

fn ground(palette: Palette, width: f64, height: f64) -> String {
    let (from, to) = palette.ground;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">\
         <defs><linearGradient id=\"ground\" x1=\"0\" y1=\"1\" x2=\"1\" y2=\"0\">\
         <stop offset=\"0\" stop-color=\"{from}\"/><stop offset=\"1\" stop-color=\"{to}\"/></linearGradient></defs>\
         <rect width=\"{width}\" height=\"{height}\" fill=\"url(#ground)\"/>"
    )
}

fn bar(svg: &mut String, palette: Palette, (x, y): (f64, f64), unit: f64) {
    let (width, height) = (72.0 * unit, 9.0 * unit);
    let accent = palette.accent;
    let rect = format!(
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"{:.1}\" fill=\"{accent}\"/>",
        height / 2.0
    );
    svg.push_str(&rect);
}

/// Draws set lines, the capitals of the first one beginning at `top`.
fn lines(svg: &mut String, face: Face, set: &Setting, place: (f64, f64, f64), ink: (&str, f64)) {
    let ((x, top, leading), (colour, opacity)) = (place, ink);
    let tracking = face.tracking() * set.size;
    let mut baseline = top + set.size * CAPITALS;
    for line in &set.lines {
        svg.push_str(&format!(
            "<text x=\"{x:.1}\" y=\"{baseline:.1}\" {} font-size=\"{:.2}\" \
             letter-spacing=\"{tracking:.2}\" fill=\"{colour}\" fill-opacity=\"{opacity}\">{}</text>",
            face.attributes(),
            set.size,
            escaped(line)
        ));
        baseline += set.size * leading;
    }
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            other => safe.push(other),
        }
    }
    safe
}
