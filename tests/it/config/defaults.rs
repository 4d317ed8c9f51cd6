//! What holds without a file, what a file changes in it, and the older form of chains.

use std::path::PathBuf;
use std::time::Duration;

use backstop::config::{Database, Missed, Sources, load};
use backstop::domain::accept::Aspect;
use backstop::domain::asset::{Medium, OnExhausted, Window};
use backstop::domain::provider::{Key, OnUnknown, Repeat};
use serde_json::json;

use super::{asset, catalog, label_of, loaded, now, provider, sources};

#[test]
fn no_file_at_all_is_a_configuration() {
    let sources = Sources { working_directory: PathBuf::from("/srv/nowhere"), ..Sources::default() };
    let config = load(&sources, &catalog::small(), now()).expect("the defaults");
    insta::assert_snapshot!(config.to_string());
    assert_eq!(config.providers.len(), catalog::small().entries.len());
}

#[test]
fn a_file_that_sets_part_of_a_seed_asset_keeps_the_rest() {
    let config = loaded(
        r#"
        [assets.heroImage]
        max_runs = 7
        [assets.social_text]
        chain = ["claude-haiku-4-5"]
        accept = { max_chars = 280 }
        "#,
    );
    let hero = asset(&config, "hero-image");
    assert_eq!(hero.max_runs, 7);
    assert_eq!(hero.chain.to_string(), "gemini-3.1-flash-image, lummi, manual");
    assert_eq!(hero.accept.aspect, Aspect::parse("16:9"));
    let text = asset(&config, "social-text");
    assert_eq!(text.chain.to_string(), "claude-haiku-4-5");
    assert!(text.prompt.contains("social media post"), "{}", text.prompt);
    assert_eq!((text.accept.min_chars, text.accept.max_chars), (None, Some(280)), "rules are given whole");
    assert_eq!(asset(&config, "video-clip").medium, Medium::Video);
}

#[test]
fn a_seed_of_another_medium_starts_afresh() {
    let config = loaded("[assets.hero-image]\nmedium = \"text\"\nchain = [\"template\"]\n");
    let hero = asset(&config, "hero-image");
    assert_eq!((hero.medium, hero.accept.min_width), (Medium::Text, None));
    assert_eq!(hero.prompt, "{{ input.title or slug }}");
}

#[test]
fn older_chains_load_as_they_stand() {
    let chains = "heroImage = [\"gemini-imagen-3\", \"lummi\", \"manual\"]\n\
                  socialText = [\"claude-sonnet-4-6\", \"claude-haiku-4-5\", \"manual\"]\n\
                  videoClip = [\"veo-2\", \"manual\"]\n";
    for head in ["", "[chains]\n", "[assets]\n"] {
        let config = loaded(&format!("{head}{chains}"));
        assert_eq!(
            asset(&config, "hero-image").chain.to_string(),
            "gemini-imagen-3, lummi, manual",
            "{head}"
        );
        assert_eq!(asset(&config, "video-clip").chain.to_string(), "veo-2, manual", "{head}");
        assert_eq!(asset(&config, "hero-image").accept.min_width, Some(1024), "{head}");
        assert_eq!(config.assets.len(), 3, "{head}");
        assert!(provider(&config, "gemini-imagen-3").retired.is_some(), "kept, and skipped with the reason");
    }
    let config = loaded("[chains]\nheroImage = [\"lummi\"]\n[assets.hero-image]\nmax_runs = 1\n");
    assert_eq!(asset(&config, "hero-image").chain.to_string(), "lummi");
}

#[test]
fn an_asset_takes_every_setting() {
    let config = loaded(
        r#"
        [assets.ogCard]
        medium = "image"
        chain = ["title-card", "Lummi", "manual"]
        prompt = "Card for {{ slug }}"
        accept = { min_width = 1200, min_height = 630, aspect = "40:21", min_bytes = 1000 }
        max_runs = 100
        give_up_after = "2h 30m"
        deadline = "5m"
        on_exhausted = "fail"
        window = { cron = "* 22-23,0-5 * * *", zone = "Europe/Zurich" }
        concurrency = 2
        [assets.tag-line]
        chain = ["template"]
        window = "* 1-4 * * * Europe/Zurich"
        accept = { min_chars = 1, max_chars = 80, forbid = ["(?i)lorem"], json = false }
        [assets.jingle]
        medium = "audio"
        chain = ["manual"]
        window = "any"
        "#,
    );
    let card = asset(&config, "og-card");
    assert_eq!(card.chain.to_string(), "title-card, lummi, manual");
    assert_eq!((card.max_runs, card.concurrency, card.on_exhausted), (100, Some(2), OnExhausted::Fail));
    assert_eq!(card.give_up_after, Duration::from_secs(9_000));
    assert_eq!(card.deadline, Duration::from_secs(300));
    let night = Window { cron: "* 22-23,0-5 * * *".to_owned(), zone: "Europe/Zurich".to_owned() };
    assert_eq!(card.window, Some(night));
    assert_eq!(card.accept.min_bytes, Some(1000));
    let line = asset(&config, "tag-line");
    assert_eq!(line.medium, Medium::Text, "said by its chain");
    assert_eq!(line.accept.forbid, ["(?i)lorem"]);
    assert_eq!(asset(&config, "jingle").window, None);
    assert_eq!(asset(&config, "jingle").deadline, Medium::Audio.default_deadline());
}

#[test]
fn a_provider_of_the_operators_own_takes_every_setting() {
    let config = loaded(
        r#"
        [providers.house-llama]
        protocol = "openai-chat"
        model = "gemma-3"
        base_url = "http://127.0.0.1:8080/v1/"
        timeout = "90s"
        retries = 0
        concurrency = 1
        trip_after = 5
        on_unknown = "retry"
        price = 0.0125
        max_tokens = 300
        [providers.Bender]
        protocol = "command"
        medium = "audio"
        title = "The robot"
        command = ["/usr/local/bin/bender", "--sing"]
        [providers.template]
        template = "New on the site: {{ input.title or slug }}"
        "#,
    );
    let llama = provider(&config, "house-llama");
    assert_eq!(llama.title, "House llama");
    assert_eq!(llama.base_url.as_deref(), Some("http://127.0.0.1:8080/v1"));
    assert_eq!((llama.medium, &llama.key), (Medium::Text, &Key::NotNeeded));
    assert_eq!((llama.timeout, llama.retries, llama.concurrency), (Duration::from_secs(90), 0, 1));
    assert_eq!((llama.trip_after, llama.on_unknown, llama.price_micros), (5, OnUnknown::Retry, 12_500));
    assert_eq!(llama.options.get("max_tokens"), Some(&json!(300)));
    let robot = provider(&config, "bender");
    assert_eq!((robot.title.as_str(), robot.medium, robot.concurrency), ("The robot", Medium::Audio, 4));
    assert_eq!(robot.options.get("command"), Some(&json!(["/usr/local/bin/bender", "--sing"])));
    let template = provider(&config, "template");
    assert_eq!(template.concurrency, 64, "a local maker may use the whole queue");
    assert_eq!(template.options.get("template"), Some(&json!("New on the site: {{ input.title or slug }}")));
}

#[test]
fn only_who_describes_an_api_says_what_a_repeat_costs() {
    let own = |line: &str| {
        let text = format!(
            "[providers.own]\nprotocol = \"http\"\nmedium = \"image\"\nmodel = \"m\"\nbase_url = \"https://v.example\"\n{line}"
        );
        let config = loaded(&text);
        let own = provider(&config, "own");
        assert!(!own.options.contains_key("repeat"), "it is no part of the description");
        own.repeat
    };
    assert_eq!(own(""), Repeat::Paid);
    assert_eq!(own("repeat = \"paid\""), Repeat::Paid);
    assert_eq!(own("repeat = \"free\""), Repeat::Free);
}

#[test]
fn a_model_or_address_of_ones_own_outlives_the_vendors() {
    let retired = |label: &str, lines: &str| {
        provider(&loaded(&format!("[providers.{label}]\n{lines}\n")), label).retired.clone()
    };
    let check = |lines: &str, expected: bool| {
        assert_eq!(retired("gemini-imagen-3", lines).is_some(), expected, "{lines}");
    };
    check("retries = 3", true);
    check("base_url = \"https://relay.example.org\"", false);
    check("model = \"imagen-4\"", false);
    for same in ["/", "./v1", ":443/v1beta", ":8443/"] {
        check(&format!("base_url = \"https://vendor.example.org{same}\""), true);
    }
    check("base_url = \"https://Vendor.Example.org\"", true);
    check("model = \"gemini-imagen-3\"", true);
    check("model = \"gemini-imagen-3\"\nbase_url = \"https://vendor.example.org\"", true);
    check("model = \"veo-2\"", true);
    check("base_url = \"https://vendor.example.org.relay.example\"", false);
    let own = |model: &str, host: &str| {
        retired(
            "house",
            &format!("protocol = \"openai-images\"\nmodel = \"{model}\"\nbase_url = \"https://{host}/x\""),
        )
    };
    let advice = own("gemini-imagen-3", "vendor.example.org").map(|end| end.advice);
    assert_eq!(advice.as_deref(), Some("use gemini-3.1-flash-image"), "whatever its label");
    assert_eq!(own("gemini-imagen-3", "relay.example.org"), None);
    assert_eq!(own("gemini-3.1-flash-image", "vendor.example.org"), None);
    let config = loaded("[providers.claude-sonnet-4-6]\nsystem = \"Be brief.\"\n");
    let options = &provider(&config, "claude-sonnet-4-6").options;
    assert_eq!(
        (options.get("max_tokens"), options.get("system")),
        (Some(&json!(1024)), Some(&json!("Be brief.")))
    );
}

#[test]
fn calls_in_flight_are_as_many_as_the_vendor_lets_in() {
    let of = |text: &str, label: &str| provider(&loaded(text), label).concurrency;
    assert_eq!(of("", "veo-2"), 24, "by the catalog");
    assert_eq!(of("", "lummi"), 8, "where it knows no bound");
    assert_eq!(of("[providers.veo-2]\nconcurrency = 2\n", "veo-2"), 2, "the operator's word");
    let relay = "[providers.veo-2]\nprotocol = \"openai-images\"\nmodel = \"m\"\nbase_url = \"https://r.example.org\"\n";
    assert_eq!(of(relay, "veo-2"), 8, "another protocol is another vendor");
}

#[test]
fn a_pace_is_the_vendors_or_the_operators_and_makers_that_wait_for_nothing_have_none() {
    let of = |text: &str, label: &str| provider(&loaded(text), label).pace.map(|pace| pace.to_string());
    let check = |text: &str, label: &str, expected: &str| {
        assert_eq!(of(text, label).as_deref(), Some(expected), "{text}");
    };
    check("", "veo-2", "24 at once");
    check("", "lummi", "8 at once, 10 a minute");
    check("[providers.lummi]\ncalls_per_minute = 100\n", "lummi", "8 at once, 100 a minute");
    check(
        "[providers.lummi]\ncalls_per_hour = 50\nconcurrency = 1\n",
        "lummi",
        "1 at once, 10 a minute, 50 an hour",
    );
    check("", "command", "4 at once");
    assert_eq!((of("", "title-card"), of("", "template")), (None, None));
    check("[providers.title-card]\nconcurrency = 2\n", "title-card", "2 at once");
    let none = super::said(super::load_text("[providers.lummi]\ncalls_per_minute = 0\n"));
    assert_eq!(none, ["providers.lummi.calls_per_minute: must be a whole number from 1 to 10000; it is 0"]);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("backstop.toml");
    std::fs::write(&file, "[providers.template]\ncalls_per_hour = 1\n").expect("written");
    let sources = Sources { file: Some(file), ..Sources::default() };
    let mistakes = load(&sources, backstop::providers::catalog(), now()).expect_err("what waits for nothing");
    let expected = "providers.template.calls_per_hour: protocol template is not limited; leave the key out";
    assert!(mistakes.to_string().contains(expected), "{mistakes}");
}

#[test]
fn another_protocol_takes_nothing_but_name_and_key_from_the_catalog() {
    let config = loaded(
        "[providers.gemini-imagen-3]\nprotocol = \"openai-images\"\nmodel = \"m\"\nbase_url = \"https://r.example.org\"\n",
    );
    let relay = provider(&config, "gemini-imagen-3");
    assert_eq!((relay.protocol.as_str(), relay.supported), ("openai-images", true));
    assert!(matches!(&relay.key, Key::Missing { looked_in } if looked_in.contains("GEMINI_API_KEY")));
}

#[test]
fn the_rest_of_the_file_is_read() {
    let config = loaded(
        r#"
        [queue]
        schedule = "*/5 * * * *"
        lease = "1m 30s"
        grace = "0s"
        [vault]
        url = "file:///var/lib/assets"
        public_url = "https://cdn.example.org/assets/"
        [retention]
        done = "30d"
        [on_manual]
        command = ["/usr/local/bin/tell-the-editor"]
        [log]
        format = "json"
        [[recurring]]
        name = "monday-hero"
        cron = "0 9 * * MON"
        zone = "Europe/Zurich"
        asset = "heroImage"
        slug = "weekly-{{ tick.date }}"
        prompt = "A week begins"
        input = { title = "Monday", tags = [1, 2.5, true] }
        priority = 9
        missed = "all"
        [[recurring]]
        name = "daily"
        cron = "@daily"
        asset = "social-text"
        slug = "day"
        "#,
    );
    assert_eq!((config.queue.schedule.as_str(), config.queue.grace), ("*/5 * * * *", Duration::ZERO));
    assert_eq!(config.queue.lease, Duration::from_secs(90));
    assert_eq!(config.vault.folder, PathBuf::from("/var/lib/assets"));
    assert_eq!(
        config.vault.public_url.as_ref().map(url::Url::as_str),
        Some("https://cdn.example.org/assets")
    );
    assert_eq!(config.on_manual, Some(vec!["/usr/local/bin/tell-the-editor".to_owned()]));
    let [monday, daily] = config.recurring.as_slice() else { panic!("{:?}", config.recurring) };
    assert_eq!((monday.asset.as_str(), monday.priority, monday.missed), ("hero-image", 9, Missed::All));
    assert_eq!(monday.input.get("tags"), Some(&json!([1, 2.5, true])));
    assert_eq!((daily.zone.as_str(), daily.priority, daily.missed), ("UTC", 5, Missed::Once));
    insta::assert_snapshot!("whole_file", {
        let mut shown = config.redacted_json();
        shown["read_from"]["file"] = json!("backstop.toml");
        shown["queue"]["database"] = json!("sqlite:backstop.db");
        shown.as_object_mut().expect("a table").remove("providers");
        toml::to_string(&shown).expect("TOML")
    });
}

#[test]
fn budgets_are_read_to_the_micro_dollar() {
    let config = loaded(
        "[assets.hero-image]\nchain = [\"lummi\"]\nbudget = { day = 4.35, month = 0.000001 }\n\
         [providers.lummi]\nbudget = { month = 1000000000 }\n",
    );
    let hero = config.assets.iter().find(|asset| asset.name.as_str() == "hero-image").expect("there");
    assert_eq!((hero.budget.day_micros, hero.budget.month_micros), (Some(4_350_000), Some(1)));
    let lummi = config.providers.iter().find(|one| one.name == label_of("lummi")).expect("there");
    let most = Some(1_000_000_000_000_000);
    assert_eq!((lummi.budget.day_micros, lummi.budget.month_micros), (None, most));
    let shown = config.redacted_json();
    assert_eq!(shown["assets"]["hero-image"]["budget"], json!({ "day": 4.35, "month": 0.000_001 }));
    assert_eq!(shown["providers"]["lummi"]["budget"], json!({ "month": 1e9 }));
    assert!(shown["providers"]["title-card"].get("budget").is_none());
}

#[test]
fn paths_start_where_the_operator_expects() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path().join("etc");
    std::fs::create_dir(&home).expect("made");
    std::fs::write(home.join("b.toml"), "[vault]\nurl = \"file:kept\"\n").expect("written");
    let named = |state: Option<&str>, flag: Option<&str>| {
        let overrides = flag.map(|path| ("queue.database".to_owned(), format!("sqlite:{path}")));
        let sources = Sources {
            file: Some(PathBuf::from("etc/b.toml")),
            state_directory: state.map(|name| folder.path().join(name)),
            overrides: overrides.into_iter().collect(),
            ..sources(folder.path())
        };
        let config = load(&sources, &catalog::small(), now()).expect("valid");
        let Database::Sqlite { path } = config.queue.database;
        (path, config.vault.folder)
    };
    let at = |path: &str| folder.path().join(path);
    assert_eq!(named(None, None), (at("etc/backstop.db"), at("etc/kept")));
    assert_eq!(named(Some("state"), None), (at("state/backstop.db"), at("state/kept")));
    assert_eq!(named(Some("state"), Some("q.db")), (at("q.db"), at("state/kept")));
    assert_eq!(named(None, Some("/srv/q.db")), (PathBuf::from("/srv/q.db"), at("etc/kept")));
}

#[test]
fn the_documented_file_says_what_holds_and_loads_with_everything_switched_on() {
    let text = include_str!("../../../deploy/backstop.toml");
    let shown = |text: &str| {
        let mut shown = loaded(text).redacted_json();
        for gone in ["read_from", "queue", "vault"] {
            shown.as_object_mut().expect("a table").remove(gone);
        }
        shown
    };
    assert_eq!(shown(text), shown(""), "as it is installed it changes nothing");
    // Prose begins with "# ", settings with "#" alone.
    let on: Vec<&str> = text
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with([' ', '#'])).unwrap_or(line))
        .collect();
    let config = loaded(&on.join("\n"));
    assert_eq!(config.recurring.len(), 1);
    assert!(config.providers.iter().any(|one| one.name == label_of("house-llama")));
    // The same with what this build really ships.
    let shipped = |text: &str| {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("backstop.toml");
        std::fs::write(&file, text).expect("written");
        load(&Sources { file: Some(file), ..Sources::default() }, backstop::providers::catalog(), now())
    };
    let config = shipped(&on.join("\n")).map_err(|mistakes| mistakes.to_string());
    let command = config.expect("valid").providers.into_iter().find(|one| one.name == label_of("command"));
    assert_eq!(command.map(|one| one.protocol), Some("command".to_owned()));
    let mistakes =
        shipped("[providers.command]\ncommand = [\"/usr/local/bin/make-image\"]\n").expect_err("no medium");
    let expected = "providers.command.medium: is missing; say what it makes: image, text, video or audio";
    assert!(mistakes.to_string().ends_with(expected), "{mistakes}");
    for key in every_key() {
        assert!(on.iter().any(|line| line.contains(&format!("{key} = "))), "{key} is not documented");
    }
}

/// Every key the reader knows, as its own mistakes list them.
fn every_key() -> Vec<String> {
    let text = "queue = { zzz = 1 }\nvault = { zzz = 1 }\nretention = { zzz = 1 }\nlog = { zzz = 1 }\n\
                on_manual = { zzz = 1 }\nrecurring = [{ zzz = 1 }]\n\
                assets.hero-image = { zzz = 1, budget = { zzz = 1 }, accept = { zzz = 1 }, window = { zzz = 1 } }\n\
                providers.lummi = { zzz = 1, api_key = { zzz = 1 } }\n";
    let said = super::said(super::load_text(text));
    let lists: Vec<&str> =
        said.iter().filter_map(|line| line.split("the keys known here are ").nth(1)).collect();
    assert_eq!(lists.len(), 12, "{said:?}");
    lists.iter().flat_map(|list| list.split(", ")).map(str::to_owned).collect()
}
