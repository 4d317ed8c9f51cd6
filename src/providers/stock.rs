//! What the picture and video libraries have in common: which hit is taken, at which size, and who is credited.

use serde_json::{Map, Value, json};
use url::Url;

use crate::domain::accept::{Acceptance, Aspect};
use crate::domain::ask::Ask;
use crate::domain::failure::{Failure, FailureClass};

/// The longer edge of a picture whose size nobody asked for: sharp on a large screen, and no burden.
const LONG_EDGE: u32 = 1920;

/// No larger picture is asked for; decoders stop there.
const MOST_PIXELS: u32 = 8192;

/// The size to fetch a picture at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) width: u32,
    /// `None` keeps the picture's own ratio.
    pub(super) height: Option<u32>,
}

/// Which way a picture is to lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Orientation {
    Landscape,
    Portrait,
    Square,
}

/// The orientation to search for; `None` where every one serves.
pub(super) fn orientation(accept: &Acceptance) -> Option<Orientation> {
    let Aspect { width, height } = accept.aspect?;
    Some(if Aspect::fits(Aspect { width: 1, height: 1 }, width, height) {
        Orientation::Square
    } else if width > height {
        Orientation::Landscape
    } else {
        Orientation::Portrait
    })
}

/// The size to fetch a hit at, so that it passes the acceptance rules: cut to the wanted ratio, at least as
/// large as wanted, never larger than the original. `None` where the original is too small. A hit whose size
/// is not told is trusted here; the media checks measure it.
pub(super) fn frame(accept: &Acceptance, original: Option<(u32, u32)>) -> Option<Frame> {
    let (min_width, min_height) = (accept.min_width.unwrap_or(1), accept.min_height.unwrap_or(1));
    let Some(Aspect { width: wide, height: high }) = accept.aspect else {
        let (width, height) = original.unwrap_or((MOST_PIXELS, MOST_PIXELS));
        if width < min_width || height < min_height {
            return None;
        }
        // Scaled down as a whole, so the height's demand is one on the width.
        let for_height = scaled(min_height, width, height);
        let wanted = min_width.max(for_height).max(LONG_EDGE);
        return Some(Frame { width: wanted.min(width).min(MOST_PIXELS), height: None });
    };
    let least = min_width.max(scaled(min_height, wide, high));
    let most = match original {
        Some((width, height)) => width.min(floored(height, wide, high)),
        None => MOST_PIXELS,
    };
    let most = most.min(MOST_PIXELS).min(floored(MOST_PIXELS, wide, high));
    if most < least.max(1) {
        return None;
    }
    let preferred = if wide >= high { LONG_EDGE } else { scaled(LONG_EDGE, wide, high) };
    let width = preferred.clamp(least, most);
    Some(Frame { width, height: Some(scaled(width, high, wide).max(1)) })
}

/// `edge * a / b`, rounded up.
fn scaled(edge: u32, a: u32, b: u32) -> u32 {
    let scaled = (u64::from(edge) * u64::from(a)).div_ceil(u64::from(b.max(1)));
    u32::try_from(scaled).unwrap_or(u32::MAX)
}

/// `edge * a / b`, rounded down.
fn floored(edge: u32, a: u32, b: u32) -> u32 {
    u32::try_from(u64::from(edge) * u64::from(a) / u64::from(b.max(1))).unwrap_or(u32::MAX)
}

/// The hit for an ask. It hangs on the slug and on the hits' own ids alone, so that a slug gets the same picture
/// again, whatever order the library returns, as long as the library still has it; other slugs get others.
pub(super) fn choose<T>(ask: &Ask, usable: Vec<T>, id: impl Fn(&T) -> &str) -> Option<T> {
    let weight = |hit: &T| {
        let mut hasher = blake3::Hasher::new();
        // A slug holds no NUL, so that two of them cannot run into one another.
        hasher.update(ask.slug.as_bytes()).update(&[0]).update(id(hit).as_bytes());
        *hasher.finalize().as_bytes()
    };
    usable.into_iter().max_by_key(weight)
}

/// The failure where a library has nothing: the call went well, so the library's health does not suffer and no
/// operator is alarmed, and asking it the same thing again is as pointless as after a refusal. Of all classes
/// only `refused` says both.
pub(super) fn no_match(library: &str, query: &str, hits: usize) -> Failure {
    let why = match hits {
        0 => format!("{library} has nothing for these keywords: {query}"),
        _ => format!("none of {hits} hits is large enough and free to use; these were the keywords: {query}"),
    };
    Failure::new(FailureClass::Refused { category: Some("no_match".to_owned()) }, why)
}

/// Who is to be credited, in the form that `jobs.metadata.attribution` has for every library.
pub(super) struct Credit<'a> {
    /// The library's name.
    pub(super) library: &'a str,
    /// `Photo` or `Video`.
    pub(super) kind: &'a str,
    /// The author's name.
    pub(super) author: Option<&'a str>,
    /// The author's page.
    pub(super) author_url: Option<Url>,
    /// The work's page at the library.
    pub(super) work_url: Option<Url>,
    /// What the licence asks of whoever publishes, in one sentence.
    pub(super) licence: &'a str,
}

impl Credit<'_> {
    /// `{text, author, author_url, source, source_url, licence}`; what is not known is left out.
    pub(super) fn told(self) -> Map<String, Value> {
        let author = self.author.map(plain_name).filter(|name| !name.is_empty());
        let by = author.as_ref().map(|name| format!(" by {name}")).unwrap_or_default();
        let attribution = json!({
            "text": format!("{}{by} on {}", self.kind, self.library),
            "author": author,
            "author_url": self.author_url.map(String::from),
            "source": self.library,
            "source_url": self.work_url.map(String::from),
            "licence": self.licence,
        });
        let mut metadata = Map::new();
        if let Value::Object(mut fields) = attribution {
            fields.retain(|_, value| !value.is_null());
            metadata.insert("attribution".to_owned(), Value::Object(fields));
        }
        metadata
    }
}

/// A link as a reply spelled it, if people can be sent there.
pub(super) fn link(text: Option<&str>) -> Option<Url> {
    const MOST_CHARS: usize = 2_000;
    let text = text.filter(|text| text.len() <= MOST_CHARS)?;
    Url::parse(text).ok().filter(|url| matches!(url.scheme(), "https" | "http"))
}

/// A name a stranger chose, on one line and of bearable length.
fn plain_name(name: &str) -> String {
    const MOST_CHARS: usize = 120;
    let line: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MOST_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::recorded::ask;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn wanted(aspect: &str, min_width: u32, min_height: u32) -> Acceptance {
        let edge = |pixels: u32| (pixels > 0).then_some(pixels);
        Acceptance {
            aspect: Aspect::parse(aspect),
            min_width: edge(min_width),
            min_height: edge(min_height),
            ..Acceptance::default()
        }
    }

    #[test]
    fn the_search_is_told_which_way_a_picture_lies() {
        let check = |aspect: &str, expected| assert_eq!(orientation(&wanted(aspect, 0, 0)), expected);
        check("16:9", Some(Orientation::Landscape));
        check("9:16", Some(Orientation::Portrait));
        check("1:1", Some(Orientation::Square));
        check("", None);
    }

    #[test]
    fn a_hit_is_cut_to_what_is_wanted_and_never_blown_up() {
        let check = |rules: (&str, u32, u32), original: Option<(u32, u32)>, expected: Option<(u32, u32)>| {
            let frame = frame(&wanted(rules.0, rules.1, rules.2), original);
            let size = frame.map(|frame| (frame.width, frame.height.unwrap_or(0)));
            assert_eq!(size, expected, "{rules:?} of {original:?}");
        };
        check(("16:9", 1024, 576), Some((6000, 4000)), Some((1920, 1080)));
        check(("16:9", 1024, 576), Some((1200, 800)), Some((1200, 675)));
        check(("16:9", 1024, 576), Some((1000, 4000)), None);
        check(("16:9", 1024, 576), None, Some((1920, 1080)));
        check(("16:9", 3840, 0), Some((6000, 4000)), Some((3840, 2160)));
        check(("16:9", 0, 2160), Some((6000, 4000)), Some((3840, 2160)));
        check(("9:16", 0, 0), Some((4000, 6000)), Some((1080, 1920)));
        check(("1:1", 0, 0), Some((500, 300)), Some((300, 300)));
        check(("", 0, 0), Some((6000, 4000)), Some((1920, 0)));
        check(("", 800, 2000), Some((6000, 4000)), Some((3000, 0)));
        check(("", 800, 600), Some((700, 900)), None);
        check(("", 800, 600), Some((900, 700)), Some((900, 0)));
    }

    proptest! {
        #[test]
        fn what_is_fetched_passes_the_rules(
            (wide, high) in (1_u32..30, 1_u32..30),
            (min_width, min_height) in (0_u32..3000, 0_u32..3000),
            (width, height) in (1_u32..9000, 1_u32..9000),
        ) {
            let rules = wanted(&format!("{wide}:{high}"), min_width, min_height);
            if let Some(Frame { width: w, height: Some(h) }) = frame(&rules, Some((width, height))) {
                prop_assert!(w >= min_width && h >= min_height, "{}x{}", w, h);
                prop_assert!(w <= width && h <= height, "{}x{} of {}x{}", w, h, width, height);
                prop_assert!(w < 40 || h < 40 || Aspect { width: wide, height: high }.fits(w, h), "{}x{}", w, h);
            }
        }
    }

    fn chosen(slug: &str, ids: &[&str]) -> String {
        let mut ask = ask();
        ask.slug = slug.to_owned();
        choose(&ask, ids.to_vec(), |id: &&str| *id).expect("one").to_owned()
    }

    #[test]
    fn a_slug_keeps_its_picture_and_slugs_differ() {
        let ids = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
        let first = chosen("night-foxes", &ids);
        let mut turned = ids;
        turned.reverse();
        assert_eq!(chosen("night-foxes", &turned), first, "whatever the order");
        let fewer: Vec<&str> = ids.into_iter().filter(|id| *id == first || *id < "f").collect();
        assert_eq!(chosen("night-foxes", &fewer), first, "as long as it is there");
        let several: HashSet<String> = (0..50).map(|n| chosen(&format!("slug-{n}"), &ids)).collect();
        assert!(several.len() >= 8, "{several:?}");
    }

    #[test]
    fn a_credit_holds_what_is_known_and_no_strange_links() {
        let credit = Credit {
            library: "Lummi",
            kind: "Photo",
            author: Some(" Ann\n\u{1b}[31mB "),
            author_url: link(Some("https://lummi.example/@ann")),
            work_url: link(Some("javascript:alert(1)")),
            licence: "Credit them.",
        };
        let expected = json!({"attribution": {"text": "Photo by Ann [31mB on Lummi", "author": "Ann [31mB",
            "author_url": "https://lummi.example/@ann", "source": "Lummi", "licence": "Credit them."}});
        assert_eq!(Value::Object(credit.told()), expected);
    }
}
