//! Keys: where they are found, and that they are shown nowhere.

use std::fs;

use backstop::config::{Config, Sources, load};
use backstop::domain::provider::Key;
use secrecy::ExposeSecret;

use super::{catalog, label_of, load_all, load_text, loaded, now, provider, sources};

const KEY: &str = "sk-live-hunter2";

fn key(config: &Config, label: &str) -> Option<String> {
    config.secrets.key(&label_of(label)).map(|key| key.expose_secret().to_owned())
}

fn looked_in(config: &Config, label: &str) -> String {
    match &provider(config, label).key {
        Key::Missing { looked_in } => looked_in.clone(),
        other @ (Key::Present | Key::NotNeeded) => panic!("{label}: {other:?}"),
    }
}

#[test]
fn the_catalogs_names_are_looked_for_in_order() {
    let config = load_all("", &[("GOOGLE_API_KEY", "second")], &[]).expect("valid");
    assert_eq!(key(&config, "veo-2").as_deref(), Some("second"));
    let variables = [("GOOGLE_API_KEY", "second"), ("GEMINI_API_KEY", " first\n")];
    let config = load_all("", &variables, &[]).expect("valid");
    assert_eq!(key(&config, "veo-2").as_deref(), Some("first"));
    assert_eq!(provider(&config, "veo-2").key, Key::Present);
    assert_eq!(config.secrets.found_in(&label_of("veo-2")), Some("env GEMINI_API_KEY"));
    assert_eq!(looked_in(&config, "lummi"), "environment variable LUMMI_API_KEY");
    assert_eq!(provider(&config, "title-card").key, Key::NotNeeded);
}

#[test]
fn a_reference_is_followed_and_nothing_else() {
    let text = "[providers.lummi]\napi_key = { env = \"MY_KEY\" }\n";
    let config = load_all(text, &[("MY_KEY", KEY), ("LUMMI_API_KEY", "other")], &[]).expect("valid");
    assert_eq!(key(&config, "lummi").as_deref(), Some(KEY));
    let config = load_all(text, &[("LUMMI_API_KEY", "other")], &[]).expect("valid");
    assert_eq!(looked_in(&config, "lummi"), "environment variable MY_KEY");
    let config = load_all(text, &[("MY_KEY", "two\nlines")], &[]).expect("valid");
    assert_eq!(
        looked_in(&config, "lummi"),
        "environment variable MY_KEY (it holds a line break or a control character)"
    );
    let none =
        load_all("[providers.lummi]\napi_key = false\n", &[("LUMMI_API_KEY", KEY)], &[]).expect("valid");
    assert_eq!((key(&none, "lummi"), &provider(&none, "lummi").key), (None, &Key::NotNeeded));
}

#[test]
fn a_later_layer_replaces_the_reference_of_an_earlier_one() {
    let text = "[providers.lummi]\napi_key = { file = \"/nowhere\" }\n";
    let variables = [("BACKSTOP_PROVIDERS__LUMMI__API_KEY__ENV", "MY_KEY"), ("MY_KEY", KEY)];
    let config = load_all(text, &variables, &[]).expect("valid");
    assert_eq!(key(&config, "lummi").as_deref(), Some(KEY));
}

#[test]
fn files_and_credentials_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let credentials = folder.path().join("credentials");
    fs::create_dir(&credentials).expect("made");
    let load_with = |text: &str, credentials_directory| {
        fs::write(folder.path().join("backstop.toml"), text).expect("written");
        let sources = Sources { credentials_directory, ..sources(folder.path()) };
        load(&sources, &catalog::small(), now()).expect("valid")
    };
    let with_file = |text: &str| load_with(text, None);
    let by_file = "[providers.lummi]\napi_key = { file = \"lummi.key\" }\n";
    let path = folder.path().join("lummi.key");
    let said = looked_in(&with_file(by_file), "lummi");
    assert_eq!(said, format!("file {} (No such file or directory (os error 2))", path.display()));
    fs::write(&path, "\n").expect("written");
    assert_eq!(looked_in(&with_file(by_file), "lummi"), format!("file {} (it is empty)", path.display()));
    fs::write(&path, format!("{KEY}\n")).expect("written");
    assert_eq!(key(&with_file(by_file), "lummi").as_deref(), Some(KEY));

    let by_credential = "[providers.lummi]\napi_key = { credential = \"stock\" }\n";
    let said = looked_in(&with_file(by_credential), "lummi");
    assert_eq!(said, "credential stock (the service manager passed none)");
    fs::write(credentials.join("stock"), format!("{KEY}\n")).expect("written");
    fs::write(credentials.join("veo-2"), "by label").expect("written");
    fs::write(credentials.join("ANTHROPIC_API_KEY"), "by name").expect("written");
    let config = load_with(by_credential, Some(credentials));
    assert_eq!(key(&config, "lummi").as_deref(), Some(KEY));
    assert_eq!(key(&config, "veo-2").as_deref(), Some("by label"));
    assert_eq!(key(&config, "claude-haiku-4-5").as_deref(), Some("by name"));
    assert_eq!(
        looked_in(&config, "gemini-imagen-3"),
        "environment variable GEMINI_API_KEY or GOOGLE_API_KEY, credential GEMINI_API_KEY or GOOGLE_API_KEY or \
         gemini-imagen-3"
    );
}

#[test]
fn a_server_of_ones_own_needs_no_vendors_key() {
    let text = "[providers.lummi]\nbase_url = \"http://127.0.0.1:9\"\n";
    let config = load_text(text).expect("valid");
    assert_eq!(provider(&config, "lummi").key, Key::NotNeeded);
    let config = load_all(text, &[("LUMMI_API_KEY", KEY)], &[]).expect("valid");
    assert_eq!(provider(&config, "lummi").key, Key::Present, "sent where the configuration says");
    let open = "[providers.lummi]\nbase_url = \"http://relay.example.org\"\napi_key = false\n";
    assert_eq!(provider(&load_text(open).expect("valid"), "lummi").key, Key::NotNeeded);
}

#[test]
fn a_fingerprint_changes_with_address_model_and_key_and_with_nothing_else() {
    let of = |text: &str, key: &str| {
        let config = load_all(text, &[("GEMINI_API_KEY", key)], &[]).expect("valid");
        provider(&config, "veo-2").fingerprint.clone()
    };
    let plain = of("", KEY);
    assert_eq!(plain.len(), 32);
    assert!(plain.chars().all(|c| c.is_ascii_hexdigit()), "{plain}");
    assert_eq!(of("[providers.veo-2]\ntimeout = \"9s\"\n", KEY), plain);
    assert_ne!(of("", "another"), plain);
    assert_ne!(of("[providers.veo-2]\nmodel = \"veo-3\"\n", KEY), plain);
    assert_ne!(of("[providers.veo-2]\nbase_url = \"https://relay.example.org\"\n", KEY), plain);
}

#[test]
fn keys_are_shown_nowhere() {
    let variables = [("LUMMI_API_KEY", KEY), ("GEMINI_API_KEY", KEY), ("ANTHROPIC_API_KEY", KEY)];
    let config = load_all("", &variables, &[]).expect("valid");
    let shown = config.to_string();
    assert!(shown.contains("api_key = \"env LUMMI_API_KEY (set)\""), "{shown}");
    let environment = variables.iter().map(|(name, key)| ((*name).to_owned(), (*key).to_owned())).collect();
    let sources = Sources { environment, ..Sources::default() };
    for text in [shown, format!("{config:#?}"), config.redacted_json().to_string(), format!("{sources:?}")] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn a_key_written_where_none_belongs_is_not_repeated() {
    for text in [
        "[providers.lummi]\napi_key = \"sk-live-hunter2\"\n",
        "[providers.lummi]\napi_key = sk-live-hunter2\n",
        "[providers.lummi]\napi_key = \"sk-live-hunter2\n",
        "[providers.lummi]\napikey = \"sk-live-hunter2\"\n",
        "[providers.lummi]\napi_key = [\"sk-live-hunter2\"]\n",
        "[providers.lummi]\napi_key = { env = \"sk=live-hunter2\" }\n",
        "[providers.lummi]\napi_key = { credential = \"/sk-live-hunter2\" }\n",
        "[providers.lummi]\napi_key = { key = \"sk-live-hunter2\" }\n",
        "[providers.lummi]\nbase_url = \"https://u:sk-live-hunter2@x\"\n",
        "[providers.lummi]\nbase_url = \"https://x/?key=sk-live-hunter2\"\n",
        "[queue]\ndatabase = \"postgres://u:sk-live-hunter2@x\"\n",
        "[vault]\npublic_url = \"https://u:sk-live-hunter2@x\"\n",
        "lummi_key = \"sk-live-hunter2\"\n",
    ] {
        let errors = load_text(text).expect_err(text);
        assert!(!format!("{errors} {errors:?}").contains("hunter2"), "{errors}");
    }
    let variables = [("BACKSTOP_PROVIDERS__LUMMI__API_KEY", KEY)];
    let errors = load_all("", &variables, &[("providers.lummi.api_key", KEY)]).expect_err("refused");
    assert!(!format!("{errors} {errors:?}").contains("hunter2"), "{errors}");
}

#[test]
fn a_key_in_a_file_is_taken_as_it_is_now() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, text) = (folder.path().join("token"), "[providers.lummi]\napi_key = { file = \"token\" }\n");
    fs::write(folder.path().join("backstop.toml"), text).expect("written");
    let config = load(&sources(folder.path()), &catalog::small(), now()).expect("valid");
    assert!(matches!(provider(&config, "lummi").key, Key::Missing { .. }));
    assert!(config.with_fresh_keys().is_none(), "still none");

    fs::write(&file, format!("{KEY}\n")).expect("written");
    let (first, changed) = config.with_fresh_keys().expect("a key has come");
    assert_eq!(changed, [label_of("lummi")]);
    assert_eq!((key(&first, "lummi").as_deref(), &provider(&first, "lummi").key), (Some(KEY), &Key::Present));
    let read_anew = load(&sources(folder.path()), &catalog::small(), now()).expect("valid");
    assert_eq!(provider(&first, "lummi"), provider(&read_anew, "lummi"), "as if it had always been there");

    fs::write(&file, "another").expect("written");
    let (second, _) = first.with_fresh_keys().expect("another key");
    assert_ne!(provider(&second, "lummi").fingerprint, provider(&first, "lummi").fingerprint);
    for broken in ["", "two\nlines"] {
        fs::write(&file, broken).expect("written");
        assert!(second.with_fresh_keys().is_none(), "{broken:?}");
    }
    fs::remove_file(&file).expect("removed");
    assert!(second.with_fresh_keys().is_none(), "away for the moment");
    assert!(!loaded("[providers.lummi]\napi_key = false\n").secrets.are_in_files());
}
