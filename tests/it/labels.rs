//! Every remote label of the catalog against the fake vendors, through the real daemon: what it delivers, and what
//! becomes of a job when it cannot.

mod chains;
mod deliveries;
mod failures;
mod told;

use std::fmt::Write as _;

use backstop::domain::asset::Medium;
use backstop::domain::provider::CatalogEntry;
use backstop::providers::catalog;
use url::Url;

use crate::daemon::{Place, block_on};
use crate::fake::{Fake, KEY, Trouble};

/// Every label that is called over HTTP.
fn remote_labels() -> impl Iterator<Item = &'static CatalogEntry> {
    catalog().entries.iter().filter(|entry| entry.base_url.is_some())
}

/// The asset whose chain begins with a label.
fn asset_of(label: &str) -> String {
    format!("a-{}", label.replace(['.', '_'], "-"))
}

/// A provider that always works, as the second link of the chains of a medium.
fn spare(medium: Medium) -> String {
    format!("spare-{medium}")
}

/// A queue whose providers are the catalog's labels and the spares, each at its own account of the fake.
struct Street {
    fake: Fake,
    place: Place,
}

impl Street {
    /// Opens it. `settings` stand in every label's table, `assets` below them.
    fn open(settings: &str, assets: &str) -> Self {
        let fake = block_on(Fake::start());
        let mut configuration = assets.to_owned();
        for entry in remote_labels() {
            configuration.push_str(&at_fake(entry, &fake));
            writeln!(configuration, "{settings}").expect("a string");
        }
        configuration.push_str(&spares(&fake));
        let mut place = Place::new(&configuration);
        place.environment.push(("FAKE_KEY", KEY.to_owned()));
        let names = remote_labels().flat_map(|entry| &entry.key_env);
        place.environment.extend(names.map(|name| (name.as_str(), KEY.to_owned())));
        Self { fake, place }
    }

    /// Puts a job in for every asset and works all of them off.
    fn run(&self, assets: impl IntoIterator<Item = String>) {
        let rows: Vec<String> = assets.into_iter().map(|asset| format!("('{asset}', 'foxes')")).collect();
        self.place.sql(&format!("INSERT INTO jobs (asset, slug) VALUES {}", rows.join(", ")));
        assert!(self.place.drain().success(), "{}", self.place.story());
    }

    /// The rows of a query, with the first column taken off as their key.
    fn rows(&self, query: &str) -> Vec<(String, String)> {
        let text = self.place.sql(query);
        let split = |line: &str| line.split_once('|').map(|(key, rest)| (key.to_owned(), rest.to_owned()));
        text.lines().filter_map(split).collect()
    }

    /// Every download that the labels' replies led to was made without a key. The fake refuses one with a key, so
    /// this says what went wrong.
    #[track_caller]
    fn no_download_had_a_key(&self) {
        for entry in remote_labels() {
            for request in self.fake.requests(entry.name.as_str()) {
                let keyed = request.path.contains(KEY)
                    || request.headers.iter().any(|(_, value)| value.contains(KEY));
                assert!(!keyed || !request.path.contains("/cdn/"), "{}: {request:?}", entry.name);
            }
        }
    }
}

/// An entry of the catalog, pointed at the fake by its address alone. Only two facts of the real addresses do not
/// carry over: servers of one's own take no key, and BFL's other hosts are below its own domain.
fn at_fake(entry: &CatalogEntry, fake: &Fake) -> String {
    let label = &entry.name;
    let address = entry.base_url.as_deref().and_then(|text| Url::parse(text).ok()).expect("an address");
    let version = address.path().trim_end_matches('/');
    let mut table =
        format!("\n[providers.\"{label}\"]\nbase_url = \"{}{version}\"\n", fake.url(label.as_str()));
    if entry.key_env.is_empty() {
        table.push_str("api_key = { env = \"FAKE_KEY\" }\n");
    }
    if entry.options.contains_key("hosts") {
        table.push_str("hosts = [\"localhost\"]\n");
    }
    table
}

fn spares(fake: &Fake) -> String {
    let mut tables = String::new();
    for (medium, version, settings) in [
        (Medium::Image, "/v1", "protocol = \"lummi\""),
        (Medium::Text, "/v1", "protocol = \"openai-chat\"\nmodel = \"m-1\""),
        (Medium::Video, "", "protocol = \"pexels-video\""),
        (
            Medium::Audio,
            "",
            "protocol = \"http\"\nmedium = \"audio\"\nauth = { header = \"xi-api-key\", prefix = \"\" }\n\
             output = { body = true }\n\
             request = { path = \"v1/text-to-speech/v-1\", query = { output_format = \"mp3_44100_128\" }, \
             body = { text = \"{{ prompt }}\", model_id = \"m-1\" } }",
        ),
    ] {
        let name = spare(medium);
        let url = fake.url(&name);
        let head =
            format!("[providers.{name}]\nbase_url = \"{url}{version}\"\napi_key = {{ env = \"FAKE_KEY\" }}");
        write!(tables, "\n{head}\n{settings}\n").expect("a string");
    }
    tables
}

/// An asset of this medium with this chain.
fn asset(name: &str, medium: Medium, chain: &[&str]) -> String {
    format!(
        "\n[assets.{name}]\nmedium = \"{medium}\"\nchain = {chain:?}\nprompt = \"A red fox that comes to town at dusk\"\n"
    )
}
