//! What is logged, and in which form.

use tracing_subscriber::EnvFilter;

use super::reader::{Item, Table};

/// What is logged, and in which form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// Directives as `tracing-subscriber` reads them: `info,sqlx=warn`.
    pub filter: String,
    /// The form of a line.
    pub format: LogFormat,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text at a terminal and under systemd's journal, JSON elsewhere.
    Auto,
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl LogFormat {
    const SPELLINGS: [(&str, Self); 3] = [("auto", Self::Auto), ("text", Self::Text), ("json", Self::Json)];

    /// As it is spelled.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

pub(super) fn read(mut table: Table<'_>) -> LogSettings {
    let filter = table.need("filter", "write \"info\"").and_then(filter);
    let format = table.need("format", "write \"auto\"").and_then(|item| item.choice(&LogFormat::SPELLINGS));
    table.finish();
    LogSettings { filter: filter.unwrap_or_default(), format: format.unwrap_or(LogFormat::Auto) }
}

fn filter(item: Item<'_>) -> Option<String> {
    let text = item.clone().text()?;
    if EnvFilter::try_new(&text).is_err() {
        item.wrong(
            format!("{} is no log filter", item.shown()),
            "write directives such as \"info,sqlx=warn\"",
        );
        return None;
    }
    Some(text)
}
