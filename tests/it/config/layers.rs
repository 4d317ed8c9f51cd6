//! Which source wins, and how variables and flags spell what a file can say.

use std::path::PathBuf;
use std::time::Duration;

use backstop::config::{Sources, load};
use backstop::domain::asset::Window;
use proptest::prelude::*;
use serde_json::json;

use super::{asset, catalog, load_all, load_text, now, provider, said, sources};

#[test]
fn flags_win_over_variables_over_the_file_over_the_defaults() {
    let file = "[queue]\nconcurrency = 2\nlease = \"20s\"\nschedule = \"0 * * * * *\"\n";
    let variables = [("BACKSTOP_QUEUE__CONCURRENCY", "3"), ("BACKSTOP_QUEUE__LEASE", "30s")];
    let flags = [("queue.concurrency", "4")];
    let queue = load_all(file, &variables, &flags).expect("valid").queue;
    assert_eq!(queue.concurrency, 4);
    assert_eq!(queue.lease, Duration::from_secs(30));
    assert_eq!(queue.schedule, "0 * * * * *");
    assert_eq!(queue.grace, Duration::from_secs(90));
}

#[test]
fn variables_reach_every_kind_of_key() {
    let variables = [
        ("BACKSTOP_QUEUE__SCHEDULE", "0 0 * * * *"),
        ("BACKSTOP_ASSETS__HERO_IMAGE__MAX_RUNS", "9"),
        ("BACKSTOP_ASSETS__HERO_IMAGE__CHAIN", "lummi, title-card,manual"),
        ("BACKSTOP_ASSETS__HERO_IMAGE__ACCEPT__MIN_WIDTH", "64"),
        ("BACKSTOP_ASSETS__SOCIALTEXT__PROMPT", "{{ slug }}"),
        ("BACKSTOP_CHAINS__SOCIAL_TEXT", "[\"template\", \"manual\"]"),
        ("BACKSTOP_ASSETS__VIDEO_CLIP__WINDOW", "{ cron = \"* 1 * * *\", zone = \"Europe/Zurich\" }"),
        ("BACKSTOP_PROVIDERS__GEMINI_3_1_FLASH_IMAGE__TIMEOUT", "7s"),
        ("BACKSTOP_PROVIDERS__CLAUDE_SONNET_4_6__MAX_TOKENS", "77"),
        ("BACKSTOP_PROVIDERS__CLAUDE_SONNET_4_6__SYSTEM", "Be brief, be kind"),
        ("BACKSTOP_ON_MANUAL__COMMAND", "/bin/tell,editor"),
        ("BACKSTOP_RETENTION__DONE", ""),
        ("BACKSTOP_TOKEN", "not ours"),
        ("BACKSTOP_CONFIG", ""),
    ];
    let config = load_all("", &variables, &[]).expect("valid");
    let hero = asset(&config, "hero-image");
    assert_eq!((hero.max_runs, hero.chain.to_string().as_str()), (9, "lummi, title-card, manual"));
    assert_eq!((hero.accept.min_width, hero.accept.min_height), (Some(64), Some(576)));
    let text = asset(&config, "social-text");
    assert_eq!((text.prompt.as_str(), text.chain.to_string().as_str()), ("{{ slug }}", "template, manual"));
    let night = Window { cron: "* 1 * * *".to_owned(), zone: "Europe/Zurich".to_owned() };
    assert_eq!(asset(&config, "video-clip").window, Some(night));
    assert_eq!(provider(&config, "gemini-3.1-flash-image").timeout, Duration::from_secs(7));
    let options = &provider(&config, "claude-sonnet-4-6").options;
    assert_eq!((&options["max_tokens"], &options["system"]), (&json!(77), &json!("Be brief, be kind")));
    assert_eq!(config.on_manual, Some(vec!["/bin/tell".to_owned(), "editor".to_owned()]));
    assert_eq!(config.source.variables.len(), 11, "{:?}", config.source.variables);
}

#[test]
fn flags_name_providers_with_dots() {
    let flags = [
        ("providers.gemini-3.1-flash-image.timeout", "7s"),
        ("providers.\"gemini-omni-1.1-flash\".retries", "0"),
        ("assets.heroImage.chain", "lummi"),
        ("queue.database", "sqlite:/srv/q.db"),
    ];
    let config = load_all("", &[], &flags).expect("valid");
    assert_eq!(provider(&config, "gemini-3.1-flash-image").timeout, Duration::from_secs(7));
    assert_eq!(provider(&config, "gemini-omni-1.1-flash").retries, 0);
    assert_eq!(asset(&config, "hero-image").chain.to_string(), "lummi");
    assert_eq!(config.source.flags.len(), 4);
}

#[test]
fn a_mistake_says_which_source_it_came_from() {
    let check = |variables: &[(&str, &str)], flags: &[(&str, &str)], expected: &str| {
        assert_eq!(said(load_all("", variables, flags)), [expected]);
    };
    check(
        &[("BACKSTOP_QUEUE__CONCURRENCY", "many")],
        &[],
        "queue.concurrency (from BACKSTOP_QUEUE__CONCURRENCY): must be a whole number from 1 to 10000; it is \"many\"",
    );
    check(
        &[],
        &[("queue.leese", "1s")],
        "queue.leese (from the command line): unknown key; did you mean \"lease\"?",
    );
    check(
        &[("BACKSTOP_VAULT_PUBLIC_URL", "https://x.example.org")],
        &[],
        "BACKSTOP_VAULT_PUBLIC_URL: sets nothing; levels are parted by two underscores: write BACKSTOP_VAULT__PUBLIC_URL",
    );
    check(
        &[("BACKSTOP_ASSETS__HERO_IMAGE__CHAIN", "lumi,manual")],
        &[],
        "assets.hero-image.chain[0] (from BACKSTOP_ASSETS__HERO_IMAGE__CHAIN): there is no provider \"lumi\"; \
         did you mean \"lummi\"?",
    );
    check(
        &[("BACKSTOP_CHAINS__HERO_IMAGE", "lummi"), ("BACKSTOP_CHAINS__HERO_IMAGE__X", "y")],
        &[],
        "BACKSTOP_CHAINS__HERO_IMAGE__X: \"hero_image\" is also set as a whole; set it once",
    );
}

#[test]
fn the_file_is_looked_for_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, lease: &str| {
        std::fs::write(folder.path().join(name), format!("[queue]\nlease = \"{lease}\"\n")).expect("written");
    };
    let mut sources = sources(folder.path());
    let lease =
        |sources: &Sources| load(sources, &catalog::small(), now()).expect("valid").queue.lease.as_secs();
    assert_eq!(lease(&sources), 60);
    write("backstop.toml", "11s");
    assert_eq!(lease(&sources), 11);
    write("by-variable.toml", "12s");
    sources.environment.insert("BACKSTOP_CONFIG".to_owned(), "by-variable.toml".to_owned());
    assert_eq!(lease(&sources), 12);
    write("by-flag.toml", "13s");
    sources.file = Some(PathBuf::from("by-flag.toml"));
    assert_eq!(lease(&sources), 13);
    let config = load(&sources, &catalog::small(), now()).expect("valid");
    assert_eq!(config.source.file, Some(folder.path().join("by-flag.toml")));
}

#[test]
fn a_named_file_that_is_not_there_is_a_mistake() {
    let mut sources = Sources { working_directory: PathBuf::from("/nowhere"), ..Sources::default() };
    sources.environment.insert("BACKSTOP_CONFIG".to_owned(), "gone.toml".to_owned());
    let advice = "name one that exists, or leave it out: without a file the defaults hold";
    let wrong = said(load(&sources, &catalog::small(), now()));
    assert_eq!(wrong, [format!("BACKSTOP_CONFIG: there is no file /nowhere/gone.toml; {advice}")]);
    sources.file = Some(PathBuf::from("/also/gone.toml"));
    let wrong = said(load(&sources, &catalog::small(), now()));
    assert_eq!(wrong, [format!("--config: there is no file /also/gone.toml; {advice}")]);
}

/// Keys and values that get past the first checks, so that the property reaches the readers.
fn a_line() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        "queue|vault|assets|providers|retention|on_manual|recurring|log|chains|heroImage",
        "(assets|providers)\\.(heroImage|hero_image|lummi|command|x)\\.(chain|accept|window|prompt|medium|protocol|api_key|base_url|price|template|command|timeout)",
        "queue\\.(database|schedule|concurrency|lease|grace)",
        "\"[a-z.\\[\\]0-9-]{0,12}\"",
        "\\PC{0,6}",
    ];
    let value = prop_oneof![
        "\"[*0-9,/ -]{0,14}( [A-Z][a-z]+/[A-Z][a-z]+)?\"",
        "\"\\PC{0,12}\"",
        "-?[0-9]{1,20}(\\.[0-9]{1,3})?",
        "true|false|nan|inf|1979-05-27",
        "\\[(\"(lummi|manual|x)\"|1|\\{\\}){0,1}\\]",
        "\\{ ?(cron = \"\\* \\* \\* \\* \\*\"|env = \"X\"|file = \"/\"|min_width = 0|forbid = \"\\(\")? ?\\}",
        "\"(sqlite|file|https?|s3|postgres):/{0,3}[a-z@:.\\[\\]?#%]{0,9}\"",
    ];
    (key, value).prop_map(|(key, value)| format!("{key} = {value}"))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn whatever_a_file_holds_it_is_read_or_refused(lines in prop::collection::vec(a_line(), 0..6)) {
        for line in &lines {
            let result = load_text(line);
            prop_assert!(result.err().is_none_or(|errors| !errors.mistakes.is_empty()));
        }
        drop(load_text(&lines.join("\n")));
    }

    #[test]
    fn whatever_the_environment_holds_it_is_read_or_refused(
        name in "BACKSTOP_(QUEUE|ASSETS|PROVIDERS|CHAINS|X)?(_{0,3}[A-Z.\\[\\]0-9]{0,8}){0,3}",
        value in "[\\[{]?\\PC{0,12}",
    ) {
        drop(load_all("", &[(&name, &value)], &[(&name, &value), (&value, &name)]));
    }
}
