//! What a file is, read from its bytes.

use std::fmt;

use infer::MatcherType;

/// What some bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing at all, or white space alone.
    Empty,
    /// A picture: content type and file extension.
    Image(&'static str, &'static str),
    /// A moving picture: content type and file extension.
    Video(&'static str, &'static str),
    /// Sound: content type and file extension.
    Audio(&'static str, &'static str),
    /// A web page.
    Html,
    /// A drawing in SVG, which may carry scripts and is no pixel image.
    Svg,
    /// A JSON document, usually an error in disguise.
    Json,
    /// Other text.
    Words,
    /// Some other known format, by its content type.
    Other(&'static str),
    /// None of the above.
    Unknown,
}

impl Kind {
    /// Whether it is written language or markup rather than a media file.
    pub(super) fn is_words(self) -> bool {
        match self {
            Self::Html | Self::Svg | Self::Json | Self::Words | Self::Empty => true,
            Self::Image(..) | Self::Video(..) | Self::Audio(..) | Self::Other(_) | Self::Unknown => false,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("an empty answer"),
            Self::Image(content_type, _) => write!(f, "a picture ({content_type})"),
            Self::Video(content_type, _) => write!(f, "a video ({content_type})"),
            Self::Audio(content_type, _) => write!(f, "a sound file ({content_type})"),
            Self::Html => f.write_str("an HTML page"),
            Self::Svg => f.write_str("an SVG drawing"),
            Self::Json => f.write_str("a JSON document"),
            Self::Words => f.write_str("plain text"),
            Self::Other(content_type) => write!(f, "a file of another kind ({content_type})"),
            Self::Unknown => f.write_str("a file of no known kind"),
        }
    }
}

/// The kind of these bytes.
pub(super) fn kind(bytes: &[u8]) -> Kind {
    let trimmed = bytes.trim_ascii();
    if trimmed.is_empty() {
        return Kind::Empty;
    }
    // Words first: to `infer` a sentence about a BMW is a bitmap. No media file is printable from end to end.
    let printable = std::str::from_utf8(trimmed).is_ok_and(is_printable);
    if !printable && let Some(found) = infer::get(bytes) {
        let content_type = plain_name(found.mime_type());
        let extension = found.extension();
        match found.matcher_type() {
            MatcherType::Image => return Kind::Image(content_type, extension),
            MatcherType::Video => return Kind::Video(content_type, extension),
            MatcherType::Audio => return Kind::Audio(content_type, extension),
            // `infer` knows pages, XML and scripts by their first characters; those are told apart below.
            MatcherType::Text => {}
            MatcherType::App
            | MatcherType::Archive
            | MatcherType::Book
            | MatcherType::Doc
            | MatcherType::Font
            | MatcherType::Custom => return Kind::Other(content_type),
        }
    }
    words(trimmed)
}

/// Whether a text is a web page; `text` has no white space in front.
pub(super) fn is_html(text: &[u8]) -> bool {
    let starts =
        |tag: &str| text.get(..tag.len()).is_some_and(|head| head.eq_ignore_ascii_case(tag.as_bytes()));
    starts("<!doctype html") || starts("<html") || starts("<head>") || starts("<body")
}

fn words(trimmed: &[u8]) -> Kind {
    let text = trimmed.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(trimmed).trim_ascii_start();
    let head = text.get(..text.len().min(1024)).unwrap_or(text);
    if is_html(text) {
        return Kind::Html;
    }
    if head.starts_with(b"<svg") || (head.starts_with(b"<?xml") && contains(head, b"<svg")) {
        return Kind::Svg;
    }
    if head.starts_with(b"<?xml") && contains(&head.to_ascii_lowercase(), b"<html") {
        return Kind::Html;
    }
    let Ok(text) = std::str::from_utf8(text) else { return Kind::Unknown };
    if !is_printable(text) {
        return Kind::Unknown;
    }
    let is_json = text.starts_with(['{', '[']) && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    if is_json { Kind::Json } else { Kind::Words }
}

fn is_printable(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// The registered name where `infer` still has an experimental one.
fn plain_name(content_type: &'static str) -> &'static str {
    match content_type {
        "audio/x-wav" => "audio/wav",
        "audio/x-flac" => "audio/flac",
        "audio/m4a" => "audio/mp4",
        "audio/x-aiff" => "audio/aiff",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_say_what_they_are() {
        let check = |bytes: &[u8], expected: Kind| assert_eq!(kind(bytes), expected, "{bytes:?}");
        check(b"", Kind::Empty);
        check(b" \r\n\t", Kind::Empty);
        check(b"\x89PNG\r\n\x1a\n", Kind::Image("image/png", "png"));
        check(b"\xff\xd8\xff\xe0\x00\x10JFIF", Kind::Image("image/jpeg", "jpg"));
        check(b"RIFF\x24\x00\x00\x00WAVEfmt ", Kind::Audio("audio/wav", "wav"));
        check(b"ID3\x04\x00\x00\x00", Kind::Audio("audio/mpeg", "mp3"));
        check(b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41", Kind::Video("video/mp4", "mp4"));
        check(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", Kind::Other("application/pdf"));
        check(b"  <!DOCTYPE html><title>502</title>", Kind::Html);
        check(b"\xEF\xBB\xBF<HTML><body>", Kind::Html);
        check(b"<svg xmlns='http://www.w3.org/2000/svg'/>", Kind::Svg);
        check(b"<?xml version='1.0'?>\n<svg/>", Kind::Svg);
        check(b"{\"error\": \"busy\"}", Kind::Json);
        check(b"{not json}", Kind::Words);
        check(b"BMW shows a car", Kind::Words);
        check("Grüezi".as_bytes(), Kind::Words);
        check(b"\x00\x01\x02\x03", Kind::Unknown);
    }
}
