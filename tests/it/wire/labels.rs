//! The table of labels in docs/providers.md says what the catalog says.

use std::fmt::Write as _;
use std::path::Path;

use backstop::domain::provider::{CatalogEntry, Repeat};
use backstop::providers::catalog;

const BEGIN: &str = "<!-- labels:";
const END: &str = "<!-- /labels -->";

fn table() -> String {
    let mut text = String::from(
        "| label | makes | protocol | key | a call costs | limits | ends |\n|---|---|---|---|---|---|---|\n",
    );
    for entry in &catalog().entries {
        let facts = catalog().protocol(&entry.protocol).expect("the catalog is whole");
        assert!(facts.supported, "{}: nothing speaks {}", entry.name, entry.protocol);
        let protocol = &entry.protocol;
        let key = match entry.key_env.as_slice() {
            [] => "none".to_owned(),
            names => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or "),
        };
        let ends =
            entry.retired.as_ref().map(|end| format!("{}; {}", end.on, end.advice)).unwrap_or_default();
        let price = price(entry, facts.repeat);
        let limits = entry.limits.as_deref().unwrap_or_default();
        let (name, medium) = (&entry.name, entry.medium);
        writeln!(text, "| `{name}` | {medium} | {protocol} | {key} | {price} | {limits} | {ends} |")
            .expect("a string");
    }
    text
}

fn price(entry: &CatalogEntry, repeat: Repeat) -> String {
    match (repeat, entry.price_micros, entry.options.get("prices")) {
        (Repeat::Free, ..) => "free".to_owned(),
        (Repeat::Paid, 0, None) if entry.key_env.is_empty() => "free, on your own machine".to_owned(),
        (Repeat::Paid, 0, None) => "paid, not known here".to_owned(),
        (Repeat::Paid, 0, Some(_)) => "by usage".to_owned(),
        (Repeat::Paid, micros, _) => format!("${}.{:03}", micros / 1_000_000, micros % 1_000_000 / 1_000),
    }
}

#[test]
fn the_table_of_labels_is_that_of_the_catalog() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/providers.md");
    let text = std::fs::read_to_string(&file).expect("docs/providers.md");
    let begin =
        text.find(BEGIN).and_then(|at| text[at..].find('\n').map(|end| at + end + 1)).expect("a beginning");
    let end = text.find(END).expect("an end");
    let right = table();
    assert!(
        text[begin..end] == right,
        "the table in docs/providers.md is not the catalog's; this is:\n{right}"
    );
}
