//! Budgets, by the real binary: what is bought, what is skipped, and what is counted when things go wrong.

use serde_json::Value;

use super::vendor::{Vendor, block_on};
use super::{Place, texts};
use crate::support::FakeVendor;

const COUNTERS: &str = "SELECT scope, name, reserved_micros, spent_micros FROM spending
    WHERE period = strftime('%Y-%m', 'now') ORDER BY scope DESC, name";

/// A chain of one vendor of pictures, at four cents each, and a local maker.
fn pictures(vendor: &FakeVendor, rest: &str) -> String {
    format!(
        "[assets.hero-image]\nmedium = \"image\"\nchain = [\"house\", \"title-card\", \"manual\"]\n\
         [providers.house]\nprotocol = \"openai-images\"\nmodel = \"m-1\"\nbase_url = \"{}\"\napi_key = false\n\
         price = 0.04\n{rest}\n",
        vendor.url()
    )
}

fn said(place: &Place, arguments: &[&str]) -> String {
    let (verb, rest) = arguments.split_first().expect("a verb");
    let output = place.backstop(verb).args(rest).output().expect("the binary");
    assert!(output.status.success(), "{arguments:?}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn insert(slugs: &str, count: usize) -> String {
    let row = |at| format!("('hero-image', '{slugs}-{at}')");
    let rows: Vec<String> = (0..count).map(row).collect();
    format!("INSERT INTO jobs (asset, slug) VALUES {};", rows.join(", "))
}

#[test]
fn the_primary_makes_what_its_budget_has_room_for_and_the_fallback_the_rest() {
    let vendor = block_on(FakeVendor::start());
    let place = Place::new(&pictures(&vendor, "budget = { month = 0.12 }"));
    let daemon = place.serve();
    // All at once, so that they meet in the ledger.
    place.sql(&insert("a", 6));
    place.shows("SELECT count(*) FROM jobs WHERE status = 'done'", "6");
    let made = "SELECT provider, fallback_used, count(*) FROM jobs GROUP BY provider ORDER BY provider";
    place.finds(made, "house|0|3\ntitle-card|1|3");
    assert_eq!(vendor.calls(), 3);
    let skipped = "SELECT count(*) FROM attempts WHERE provider = 'house' AND status = 'skipped' AND position = 0
        AND error GLOB 'over budget: of the provider''s $0.12 a month, *, and one call may cost $0.04; until *Z'";
    place.finds(skipped, "3");
    place.finds(COUNTERS, "provider|house|0|120000\nasset|hero-image|0|120000");
    let view =
        "SELECT scope, name, spent, reserved, budget FROM budgets WHERE period = strftime('%Y-%m', 'now')
        AND scope = 'provider'";
    place.finds(view, "provider|house|0.12|0.0|0.12");

    // An override is no way round it.
    place.sql("INSERT INTO jobs (asset, slug, provider_override) VALUES ('hero-image', 'override', 'house')");
    place.shows("SELECT status, provider FROM jobs WHERE slug = 'override'", "done|title-card");
    place.finds(skipped, "4");
    assert_eq!(vendor.calls(), 3);

    let over =
        "over budget: of the provider's $0.12 a month, $0.12 is spent, and one call may cost $0.04; until";
    for verb in [&["plan", "hero-image"][..], &["plan", "hero-image", "--override", "house"], &["providers"]]
    {
        let said = said(&place, verb).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(over), "{verb:?}\n{said}");
    }
    assert!(said(&place, &["providers"]).contains("$0.12 today, $0.12 of $0.12 this month"));
    assert!(said(&place, &["health"]).contains("7 done; $0.12 today, $0.12 this month"));
    let health: Value = serde_json::from_str(&said(&place, &["health", "--json"])).expect("JSON");
    let mut providers = health["providers"].as_array().expect("a list").iter();
    let house = providers.find(|one| one["provider"] == "house").expect("there");
    assert_eq!(house["callable"], false);
    assert_eq!(
        house["spending"]["thisMonth"],
        serde_json::json!({ "spentMicros": 120_000, "reservedMicros": 0, "budgetMicros": 120_000 })
    );
    assert_eq!(
        health["assets"]
            .as_array()
            .expect("a list")
            .iter()
            .find(|one| one["asset"] == "hero-image")
            .expect("there")["spending"]["today"]["spentMicros"],
        120_000
    );
    let told = daemon.log().matches("its links are skipped until then").count();
    assert_eq!(told, 1, "once, not for each job\n{}", daemon.log());
    daemon.stop();

    // A larger one goes on from what was spent.
    place.configure(&pictures(&vendor, "budget = { month = 0.16 }"));
    place.sql(&insert("b", 2));
    assert!(place.drain().success());
    place.finds(made, "house|0|4\ntitle-card|1|5");
    place.finds(COUNTERS, "provider|house|0|160000\nasset|hero-image|0|160000");
}

#[test]
fn an_assets_budget_counts_whoever_is_called_and_nobody_waits_for_it() {
    let vendor = Vendor::start();
    let addresses = [("house", vendor.url()), ("second", vendor.url())];
    let configuration = texts("[\"house\", \"second\"]\nbudget = { month = 0.15 }", &addresses)
        .replace("retries = 0", "retries = 0\nprice = 0.05");
    let place = Place::new(&configuration);
    for (slug, wish) in [("a", "house"), ("b", "second"), ("c", "house"), ("d", "second")] {
        place.sql(&format!(
            "INSERT INTO jobs (asset, slug, provider_override) VALUES ('social-text', '{slug}', '{wish}')"
        ));
        assert!(place.drain().success());
    }
    place.finds(
        "SELECT slug, status, runs, provider FROM jobs ORDER BY id",
        "a|done|1|house\nb|done|1|second\nc|done|1|house\nd|manual|1|manual",
    );
    place.enqueue("e");
    assert!(place.drain().success());
    place.finds("SELECT status, runs FROM jobs WHERE slug = 'e'", "manual|1");
    place.finds(
        "SELECT provider, status, error GLOB 'over budget: of the asset''s $0.15 a month, $0.15 is spent*'
         FROM attempts WHERE job_id = (SELECT id FROM jobs WHERE slug = 'e') ORDER BY position",
        "house|skipped|1\nsecond|skipped|1",
    );
    place.finds(COUNTERS, "provider|house|0|100000\nprovider|second|0|50000\nasset|social-text|0|150000");
    let view =
        "SELECT spent, budget FROM budgets WHERE scope = 'asset' AND period = strftime('%Y-%m', 'now')";
    place.finds(view, "0.15|0.15");
    assert_eq!(vendor.calls(), 3);
}

#[test]
fn what_was_put_aside_for_a_call_that_a_kill_cut_off_counts_as_spent_and_once() {
    let vendor = Vendor::holding();
    let configuration = texts(r#"["house", "template", "manual"]"#, &[("house", vendor.url())]);
    let place = Place::new(&format!("{configuration}price = 0.05\nbudget = {{ month = 0.10 }}\n"));
    let daemon = place.serve();
    place.enqueue("cut-off");
    vendor.is_called(1);
    place.finds(COUNTERS, "provider|house|50000|0\nasset|social-text|50000|0");
    daemon.kill();
    place.finds(COUNTERS, "provider|house|50000|0\nasset|social-text|50000|0");
    vendor.release();
    assert!(place.drain().success());
    place.finds("SELECT status, provider FROM jobs", "done|template");
    place.finds(
        "SELECT provider, status, reserved_micros FROM attempts",
        "house|unknown|50000\ntemplate|delivered|0",
    );
    place.finds(COUNTERS, "provider|house|0|50000\nasset|social-text|0|50000");
    assert!(place.drain().success());
    place.enqueue("next");
    place.enqueue("over");
    assert!(place.drain().success());
    place.finds("SELECT provider, count(*) FROM jobs GROUP BY provider", "house|1\ntemplate|2");
    place.finds(COUNTERS, "provider|house|0|100000\nasset|social-text|0|100000");
}

#[test]
fn what_costs_nothing_is_not_counted() {
    let vendor = Vendor::start();
    let configuration = texts(r#"["house", "template"]"#, &[("house", vendor.url())]);
    let place = Place::new(&configuration.replace("chain", "budget = { day = 0.01 }\nchain"));
    for slug in ["first-of-them", "second-of-them", "third-of-them"] {
        place.enqueue(slug);
    }
    place.sql("UPDATE jobs SET provider_override = 'template' WHERE slug = 'third-of-them'");
    assert!(place.drain().success());
    place.finds("SELECT provider, count(*) FROM jobs GROUP BY provider", "house|2\ntemplate|1");
    place.finds("SELECT count(*) FROM spending", "0");
}

#[test]
fn check_warns_of_budgets_that_will_surprise() {
    let address = || "http://127.0.0.1:9/v1".to_owned();
    let chain = "[\"house\", \"second\", \"template\"]\nbudget = { day = 0.01, month = 5 }";
    let configuration = texts(chain, &[("second", address()), ("house", address())]);
    let place = Place::new(&configuration);
    let warned = |rest: &str| -> Vec<String> {
        place.configure(&format!("{configuration}{rest}"));
        let said: Value = serde_json::from_str(&said(&place, &["check", "--json"])).expect("JSON");
        let warnings = said["warnings"].as_array().expect("a list");
        warnings.iter().filter_map(|one| one["sentence"].as_str()).map(str::to_owned).collect()
    };
    let nothing: [&str; 0] = [];
    assert_eq!(warned(""), nothing, "servers of one's own, which nobody bills");
    assert_eq!(
        warned("budget = { day = 1 }\n[providers.template]\nbudget = { day = 1 }\n"),
        [
            "providers.house.budget cannot be held: the price of its calls is not known; set providers.house.price, \
             the dollars of one call",
            "providers.template.budget holds nothing back: its calls are free",
        ]
    );
    assert_eq!(
        warned("price = 0.05\nbudget = { day = 0.049999, month = 0.05 }\n"),
        [
            "providers.house.budget.day is $0.049999, and one call of it may cost $0.05: it is never called",
            "assets.social-text.budget.day is $0.01, and one call of house may cost $0.05: it is never called",
        ]
    );
    place.configure(&format!("{configuration}price = 0.05\n"));
    let said = said(&place, &["check"]);
    assert!(
        said.contains("warning: assets.social-text.budget.day is $0.01, and one call of house"),
        "{said}"
    );
}
