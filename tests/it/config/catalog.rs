//! A catalog in small, with what the configuration has to tell apart.

use std::time::Duration;

use backstop::domain::asset::Medium;
use backstop::domain::provider::{Catalog, CatalogEntry, ProtocolFacts, Repeat, Retirement};
use chrono::NaiveDate;
use serde_json::{Map, json};

use super::label_of;

pub(super) fn small() -> Catalog {
    Catalog { protocols: protocols(), entries: entries() }
}

fn protocols() -> Vec<ProtocolFacts> {
    let remote = |name: &str, medium, options: &[&str]| ProtocolFacts {
        name: name.to_owned(),
        supported: true,
        medium: Some(medium),
        needs_model: true,
        local: false,
        instant: false,
        repeat: Repeat::Paid,
        timeout: Duration::from_secs(60),
        options: options.iter().map(|option| (*option).to_owned()).collect(),
    };
    let local = |name: &str, medium, options: &[&str]| ProtocolFacts {
        medium,
        needs_model: false,
        local: true,
        repeat: Repeat::Free,
        timeout: Duration::from_secs(30),
        ..remote(name, Medium::Image, options)
    };
    vec![
        remote("openai-chat", Medium::Text, &["max_tokens", "system"]),
        remote("openai-images", Medium::Image, &["quality", "size"]),
        remote("anthropic", Medium::Text, &["max_tokens", "system"]),
        ProtocolFacts { supported: false, ..remote("gemini-image", Medium::Image, &[]) },
        ProtocolFacts { supported: false, ..remote("gemini-video", Medium::Video, &[]) },
        ProtocolFacts { needs_model: false, repeat: Repeat::Free, ..remote("lummi", Medium::Image, &[]) },
        ProtocolFacts { medium: None, ..remote("http", Medium::Image, &["request", "repeat"]) },
        local("title-card", Some(Medium::Image), &[]),
        local("template", Some(Medium::Text), &["template"]),
        local("command", None, &["command"]),
    ]
}

fn entries() -> Vec<CatalogEntry> {
    let entry = |label: &str, protocol: &str, medium, keys: &[&str]| CatalogEntry {
        name: label_of(label),
        title: label.to_owned(),
        protocol: protocol.to_owned(),
        medium,
        model: (!keys.is_empty()).then(|| label.to_owned()),
        base_url: (!keys.is_empty()).then(|| "https://vendor.example.org/v1".to_owned()),
        key_env: keys.iter().map(|key| (*key).to_owned()).collect(),
        retired: None,
        timeout: None,
        concurrency: None,
        calls_per_minute: None,
        calls_per_hour: None,
        limits: None,
        price_micros: 0,
        options: Map::new(),
    };
    let gemini = ["GEMINI_API_KEY", "GOOGLE_API_KEY"];
    let gone = |year, month, day, advice: &str| {
        let on = NaiveDate::from_ymd_opt(year, month, day).expect("a date");
        Some(Retirement { on, advice: advice.to_owned() })
    };
    let mut claude = entry("claude-sonnet-4-6", "anthropic", Medium::Text, &["ANTHROPIC_API_KEY"]);
    claude.options.insert("max_tokens".to_owned(), json!(1024));
    let mut template = entry("template", "template", Medium::Text, &[]);
    template.options.insert("template".to_owned(), json!("{{ input.title or slug }}"));
    vec![
        entry("gemini-3.1-flash-image", "gemini-image", Medium::Image, &gemini),
        CatalogEntry {
            title: "Lummi".to_owned(),
            calls_per_minute: Some(10),
            model: None,
            ..entry("lummi", "lummi", Medium::Image, &["LUMMI_API_KEY"])
        },
        claude,
        entry("claude-haiku-4-5", "anthropic", Medium::Text, &["ANTHROPIC_API_KEY"]),
        entry("gemini-omni-1.1-flash", "gemini-video", Medium::Video, &gemini),
        CatalogEntry {
            retired: gone(2025, 11, 10, "use gemini-3.1-flash-image"),
            price_micros: 40_000,
            ..entry("gemini-imagen-3", "gemini-image", Medium::Image, &gemini)
        },
        CatalogEntry {
            retired: gone(2026, 6, 30, "use gemini-omni-1.1-flash"),
            concurrency: Some(24),
            ..entry("veo-2", "gemini-video", Medium::Video, &gemini)
        },
        entry("title-card", "title-card", Medium::Image, &[]),
        template,
        entry("command", "command", Medium::Image, &[]),
    ]
}
