//! What a verb has to say: text for people, JSON for programs, and whether it went well.

use std::fmt::Write as _;
use std::io::{ErrorKind, IsTerminal, Write, stdout};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde_json::Value;

/// What a verb has to say.
#[derive(Debug)]
pub(super) struct Said {
    /// For people; may hold styles.
    pub(super) text: String,
    /// For programs.
    pub(super) json: Value,
    /// Whether it went well.
    pub(super) exit: Exit,
}

/// What a verb came to, for whoever called the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// It did what it was asked to.
    Done,
    /// It could not.
    Failed,
    /// The command line (clap uses this code too) or the configuration is wrong. The unit of systemd does not
    /// restart after it.
    Mistake,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Mistake => 2,
        })
    }
}

impl Said {
    /// A verb that did what it was asked to.
    pub(super) fn fine(text: impl Into<String>, json: Value) -> Self {
        Self { text: text.into(), json, exit: Exit::Done }
    }

    /// Prints it to standard output.
    ///
    /// # Errors
    /// When that cannot be written to. A reader that has seen enough (`| head`) is no error.
    pub(super) fn print(&self, json: bool) -> std::io::Result<()> {
        let text = if json { escaped(&format!("{:#}", self.json)) } else { harmless(self.text.trim_end()) };
        if text.is_empty() {
            return Ok(());
        }
        match writeln!(anstream::AutoStream::auto(stdout()), "{text}") {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }
}

/// A wrong word on the command line or in the configuration, as against a wish that failed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(pub(super) String);

/// The error of a wrong word on the command line or in the configuration.
pub(super) fn usage(sentence: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Usage(sentence.into()))
}

/// An error with its causes, each said once: some of ours name their cause themselves.
pub(super) fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string).filter(|cause| !cause.is_empty()) {
        if text.ends_with(&cause) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
    }
    text
}

/// What catches the eye: a headline, a column's name.
pub(super) const STRONG: Style = Style::new().bold();
/// What is good.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// What is bad.
pub(super) const BAD: Style = AnsiColor::Red.on_default();
/// What waits for somebody.
pub(super) const WAITS: Style = AnsiColor::Yellow.on_default();
/// What may be passed over.
pub(super) const FAINT: Style = Style::new().dimmed();

/// `text` in a style; the styles are taken out again where no terminal shows them.
pub(super) fn paint(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// A table without lines, as wide as the terminal at most.
pub(super) fn table<R: IntoIterator<Item = String>>(
    header: &[&str],
    rows: impl Iterator<Item = R>,
) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    if let Some(width) = terminal_width() {
        table.set_width(width);
    }
    table.set_header(header.iter().copied());
    for row in rows {
        table.add_row(row.into_iter().map(|cell| printable(&cell)).collect::<Vec<_>>());
    }
    let mut text = String::new();
    for (at, line) in table.lines().enumerate() {
        let line = line.trim_end();
        let line = line.strip_prefix(' ').unwrap_or(line);
        let line = if at == 0 { paint(STRONG, line) } else { line.to_owned() };
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// What a stranger wrote into a row, without what would move a terminal's cursor.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if is_obeyed(c) && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// Text without anything a terminal would obey but our own colours, whatever part of it a stranger wrote. The last
/// net under [`printable`]: nobody can forget it.
pub(super) fn harmless(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let colour = rest.strip_prefix("\u{1b}[").and_then(|tail| {
            let end = tail.find(|c: char| !c.is_ascii_digit() && c != ';')?;
            tail.get(end..)?.strip_prefix('m')
        });
        if let Some(tail) = colour {
            plain.push_str(rest.get(..rest.len() - tail.len()).unwrap_or_default());
            rest = tail;
            continue;
        }
        plain.push(if c != '\n' && is_obeyed(c) { '\u{fffd}' } else { c });
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
    }
    plain
}

/// JSON in which what a terminal would obey is escaped, as JSON allows for every character.
fn escaped(json: &str) -> String {
    json.chars().fold(String::with_capacity(json.len()), |mut text, c| {
        if c != '\n' && is_obeyed(c) {
            // Writing to a string cannot fail.
            write!(text, "\\u{:04x}", u32::from(c)).unwrap_or_default();
        } else {
            text.push(c);
        }
        text
    })
}

/// Whether a terminal acts on a character instead of showing it, or turns around what stands beside it.
fn is_obeyed(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The beginning of a text, on one line.
pub(super) fn preview(text: &str, most: usize) -> String {
    let line = printable(text).split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", line.get(..at).unwrap_or_default()),
        None => line,
    }
}

/// Adds an indented line `name  value`.
pub(super) fn field(text: &mut String, name: &str, value: impl std::fmt::Display) {
    // Writing to a string cannot fail.
    writeln!(text, "  {name:<11} {value}").unwrap_or_default();
}

fn terminal_width() -> Option<u16> {
    if !stdout().is_terminal() {
        return None;
    }
    terminal_size::terminal_size_of(stdout()).map(|(width, _)| width.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_said_once() {
        let cause = std::io::Error::other("no such file");
        let store = crate::store::StoreError::File { path: "/srv/q.db".into(), source: cause };
        assert_eq!(told(&anyhow::Error::new(store)), "/srv/q.db: no such file");
        let bare = anyhow::Error::new(std::io::Error::other("no such file")).context("picture.png");
        assert_eq!(told(&bare), "picture.png: no such file");
    }

    #[test]
    fn nothing_a_stranger_wrote_moves_the_terminal() {
        let check = |text: &str, expected: &str| assert_eq!(harmless(text), expected, "{text:?}");
        check("plain\nlines äöü 🦊", "plain\nlines äöü 🦊");
        check(&paint(BAD, "red"), &paint(BAD, "red"));
        check("\u{1b}[2J\u{1b}]0;title\u{7}", "\u{fffd}[2J\u{fffd}]0;title\u{fffd}");
        check("\u{9b}2J\r\u{8}\u{1b}", "\u{fffd}2J\u{fffd}\u{fffd}\u{fffd}");
        check("\u{1b}[1;31", "\u{fffd}[1;31");
        check("gpj.\u{202e}exe", "gpj.\u{fffd}exe");
    }

    #[test]
    fn escaped_json_reads_back_as_it_was() {
        let value = serde_json::json!({"a": "\u{9b}2J \u{202e} \u{7f} \u{1b} ä\n"});
        let text = escaped(&format!("{value:#}"));
        assert!(!text.chars().any(|c| c != '\n' && is_obeyed(c)), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), value);
    }
}
