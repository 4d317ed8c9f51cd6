//! The bundled fonts: which characters they have, how wide words are, and where lines break.

use std::sync::{Arc, LazyLock};

use resvg::usvg::fontdb::{Database, Source};
use skrifa::instance::{LocationRef, Size};
use skrifa::{FontRef, MetadataProvider};

static DISPLAY_FILE: &[u8] = include_bytes!("fonts/InterDisplay-Bold.otf");
static TEXT_FILE: &[u8] = include_bytes!("fonts/Inter-Medium.otf");

/// The fonts as the renderer wants them, read once.
static DATABASE: LazyLock<Arc<Database>> = LazyLock::new(|| {
    let mut database = Database::new();
    for file in [DISPLAY_FILE, TEXT_FILE] {
        database.load_font_source(Source::Binary(Arc::new(file)));
    }
    Arc::new(database)
});

/// The fonts as the renderer wants them.
pub(super) fn database() -> Arc<Database> {
    Arc::clone(&DATABASE)
}

/// One of the two faces a card is set in.
#[derive(Debug, Clone, Copy)]
pub(super) enum Face {
    /// Titles: bold, set tight.
    Display,
    /// Everything small.
    Text,
}

impl Face {
    /// The attributes that select the face in SVG.
    pub(super) fn attributes(self) -> &'static str {
        match self {
            Self::Display => "font-family=\"Inter Display\" font-weight=\"700\"",
            Self::Text => "font-family=\"Inter\" font-weight=\"500\"",
        }
    }

    /// Space added between letters, as a fraction of the font size.
    pub(super) fn tracking(self) -> f64 {
        match self {
            Self::Display => -0.018,
            Self::Text => 0.0,
        }
    }

    fn file(self) -> &'static [u8] {
        match self {
            Self::Display => DISPLAY_FILE,
            Self::Text => TEXT_FILE,
        }
    }
}

/// Widths of a face's characters, for text of one size.
pub(super) struct Ruler {
    font: FontRef<'static>,
    tracking: f64,
}

impl Ruler {
    /// The ruler of a face.
    ///
    /// # Errors
    /// When the bundled font cannot be read, which a test excludes.
    pub(super) fn new(face: Face) -> Result<Self, String> {
        let font =
            FontRef::new(face.file()).map_err(|error| format!("the bundled font is broken: {error}"))?;
        Ok(Self { font, tracking: face.tracking() })
    }

    /// Whether the face can draw this character.
    pub(super) fn has(&self, c: char) -> bool {
        self.font.charmap().map(c).is_some()
    }

    /// The width of a text at font size 1. Kerning is left out; it makes lines a little shorter.
    pub(super) fn width(&self, text: &str) -> f64 {
        let metrics = self.font.glyph_metrics(Size::unscaled(), LocationRef::default());
        let units =
            f64::from(self.font.metrics(Size::unscaled(), LocationRef::default()).units_per_em.max(1));
        let charmap = self.font.charmap();
        let advance = |c: char| charmap.map(c).and_then(|glyph| metrics.advance_width(glyph)).unwrap_or(0.0);
        text.chars().map(|c| f64::from(advance(c)) / units + self.tracking).sum()
    }

    /// What of a text the face can draw: white space single, control characters, emoji and foreign scripts
    /// left out. `None` when less than half of its letters are left, because then it no longer says what
    /// was meant.
    pub(super) fn drawable(&self, text: &str) -> Option<String> {
        let (mut letters, mut kept) = (0_usize, 0_usize);
        let mut drawn = String::with_capacity(text.len());
        for c in text.chars() {
            let draws = self.has(c) && !c.is_control();
            if c.is_alphanumeric() {
                letters += 1;
                kept += usize::from(draws);
            }
            if c.is_whitespace() {
                drawn.push(' ');
            } else if draws {
                drawn.push(c);
            }
        }
        let words: Vec<&str> = drawn.split_whitespace().collect();
        (kept > 0 && kept * 2 >= letters).then(|| words.join(" "))
    }
}

/// Where a text may stand, in pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) width: f64,
    pub(super) height: f64,
    /// The largest size tried.
    pub(super) largest: f64,
    /// The smallest; what does not fit then is cut with an ellipsis.
    pub(super) smallest: f64,
    /// Distance of lines, as a multiple of the size.
    pub(super) leading: f64,
    /// The most lines at any size.
    pub(super) most_lines: usize,
}

/// A text broken into lines at a size.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Setting {
    pub(super) size: f64,
    pub(super) lines: Vec<String>,
}

/// Sets a text as large as its room allows, in lines of about equal length.
pub(super) fn set(text: &str, ruler: &Ruler, room: Room) -> Setting {
    const STEPS: u32 = 24;
    let step = (room.largest - room.smallest) / f64::from(STEPS);
    for taken in 0..=STEPS {
        let size = room.largest - step * f64::from(taken);
        let words = measured(text, ruler, size);
        // A word is broken only where even the smallest size cannot hold it.
        if words.iter().any(|word| word.width > room.width) {
            continue;
        }
        let space = ruler.width(" ") * size;
        let lines = greedy(&words, space, room.width);
        if lines.len() <= fitting(room, size) {
            return Setting { size, lines: balanced(&words, space, room.width, lines.len()) };
        }
    }
    let size = room.smallest;
    let most = fitting(room, size).max(1);
    let pieces = broken(text, ruler, room.width / size);
    let mut lines = greedy(&measured(&pieces, ruler, size), ruler.width(" ") * size, room.width);
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            *last = shortened(last, ruler, room.width / size);
        }
    }
    Setting { size, lines }
}

struct Word<'a> {
    text: &'a str,
    width: f64,
}

fn measured<'a>(text: &'a str, ruler: &Ruler, size: f64) -> Vec<Word<'a>> {
    text.split(' ').map(|word| Word { text: word, width: ruler.width(word) * size }).collect()
}

fn fitting(room: Room, size: f64) -> usize {
    let line = size * room.leading;
    // The last line needs no distance to a next one.
    (1..=room.most_lines).take_while(|count| line * lines_of(count - 1) + size <= room.height).count()
}

fn lines_of(count: usize) -> f64 {
    f64::from(u16::try_from(count).unwrap_or(u16::MAX))
}

fn greedy(words: &[Word<'_>], space: f64, width: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut used = f64::INFINITY;
    for word in words {
        match lines.last_mut() {
            Some(line) if used + space + word.width <= width => {
                line.push(' ');
                line.push_str(word.text);
                used += space + word.width;
            }
            Some(_) | None => {
                lines.push(word.text.to_owned());
                used = word.width;
            }
        }
    }
    lines
}

/// Exactly `count` lines, as near to the same length as they get: the sum of the squared differences from the
/// mean is the least there is.
fn balanced(words: &[Word<'_>], space: f64, width: f64, count: usize) -> Vec<String> {
    let length = |words: &[Word<'_>]| words.iter().map(|word| word.width + space).sum::<f64>() - space;
    let mean = length(words) / lines_of(count.max(1));
    // What the first `end` words cost in as many lines as were counted so far, and the lines themselves.
    let mut best: Vec<Option<(f64, Vec<String>)>> = vec![None; words.len() + 1];
    best[0] = Some((0.0, Vec::new()));
    for _ in 0..count {
        let mut next = vec![None; words.len() + 1];
        for (start, reached) in best.iter().enumerate() {
            let Some((cost, lines)) = reached else { continue };
            for end in start + 1..=words.len() {
                let line = &words[start..end];
                let used = length(line);
                if used > width {
                    break;
                }
                let cost = cost + (used - mean).powi(2);
                if next[end].as_ref().is_none_or(|(least, _)| cost < *least) {
                    let text: Vec<&str> = line.iter().map(|word| word.text).collect();
                    let lines = lines.iter().cloned().chain([text.join(" ")]).collect();
                    next[end] = Some((cost, lines));
                }
            }
        }
        best = next;
    }
    match best.pop().flatten() {
        Some((_, lines)) => lines,
        None => greedy(words, space, width),
    }
}

/// The text with spaces put into words that are wider than a line.
fn broken(text: &str, ruler: &Ruler, widest: f64) -> String {
    let mut pieces = String::with_capacity(text.len() + 8);
    let mut used = 0.0;
    for c in text.chars() {
        let width = ruler.width(c.encode_utf8(&mut [0; 4]));
        if c == ' ' {
            used = 0.0;
        } else if used + width > widest {
            pieces.push(' ');
            used = width;
        } else {
            used += width;
        }
        pieces.push(c);
    }
    pieces
}

/// A line with an ellipsis at its end, cut at a word where that costs little.
fn shortened(line: &str, ruler: &Ruler, widest: f64) -> String {
    let mut kept = line.to_owned();
    while !kept.is_empty() && ruler.width(&kept) + ruler.width("…") > widest {
        kept.pop();
        if let Some(space) = kept.rfind(' ').filter(|at| *at * 3 > kept.len() * 2) {
            kept.truncate(space);
        }
    }
    let end = kept.trim_end_matches(|c: char| !c.is_alphanumeric() && c != ')' && c != '”');
    format!("{end}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ruler() -> Ruler {
        Ruler::new(Face::Display).expect("the bundled font is whole")
    }

    const ROOM: Room =
        Room { width: 1000.0, height: 400.0, largest: 120.0, smallest: 48.0, leading: 1.1, most_lines: 4 };

    fn fits(setting: &Setting, room: Room) {
        let count = setting.lines.len();
        assert!((1..=room.most_lines).contains(&count), "{setting:?}");
        for line in &setting.lines {
            assert!(ruler().width(line) * setting.size <= room.width + 0.01, "{line}");
        }
        assert!(setting.size * room.leading * lines_of(count - 1) + setting.size <= room.height);
    }

    #[test]
    fn both_fonts_are_read_by_the_renderer_and_the_ruler() {
        assert_eq!(database().len(), 2);
        for face in [Face::Display, Face::Text] {
            let ruler = Ruler::new(face).expect("whole");
            assert!("aZ9é ЖΩ…–“".chars().all(|c| ruler.has(c)), "{face:?}");
            assert!((5.0..9.0).contains(&ruler.width("Hello, reader")), "{}", ruler.width("Hello, reader"));
        }
    }

    #[test]
    fn what_no_face_can_draw_is_left_out_as_long_as_the_rest_speaks() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(ruler().drawable(text).as_deref(), expected, "{text:?}");
        };
        check("Plain words", Some("Plain words"));
        check("  two\n\tlines ", Some("two lines"));
        check("Launch day 🚀🎉", Some("Launch day"));
        check("Привет, мир", Some("Привет, мир"));
        check("東京 Tokyo guide", Some("Tokyo guide"));
        check("日本語のタイトル v2", None);
        check("🚀", None);
        check("a\u{0}b\u{7}", Some("ab"));
        check("", None);
    }

    #[test]
    fn short_titles_are_large_and_long_ones_shrink() {
        let short = set("Hello", &ruler(), ROOM);
        assert_eq!((short.size, short.lines.len()), (120.0, 1));
        let long =
            set("How we rebuilt our image pipeline without losing a single night of sleep", &ruler(), ROOM);
        assert!(long.size < 120.0, "{long:?}");
        fits(&long, ROOM);
        assert_eq!(long.lines.join(" ").split(' ').count(), 13, "no word is lost");
    }

    #[test]
    fn lines_are_about_equally_long() {
        let setting = set("A title that would leave one widow", &ruler(), ROOM);
        let widths: Vec<f64> = setting.lines.iter().map(|line| ruler().width(line)).collect();
        let (least, most) =
            (widths.iter().copied().fold(f64::MAX, f64::min), widths.iter().copied().fold(0.0, f64::max));
        assert!(least > most * 0.7, "{setting:?}");
    }

    #[test]
    fn what_does_not_fit_ends_in_an_ellipsis() {
        let setting = set(&"many words and more ".repeat(60), &ruler(), ROOM);
        fits(&setting, ROOM);
        assert!(setting.lines.last().is_some_and(|line| line.ends_with('…')), "{setting:?}");
        let endless = set(&"x".repeat(900), &ruler(), ROOM);
        fits(&endless, ROOM);
        assert!(endless.lines.last().is_some_and(|line| line.ends_with('…')), "{endless:?}");
    }
}
