//! The page in a real browser: Debian's Chromium, without a window, over the WebDriver protocol.

mod driver;
mod everywhere;
mod hands;
mod story;

use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};

use regex::Regex;
use reqwest::Method;
use serde_json::json;

use crate::daemon::{Place, block_on};
use crate::fake::{Fake, KEY};
use crate::web::{Site, send};
use driver::Browser;

/// Browsers are large, and machines are not: one at a time.
static TURN: Mutex<()> = Mutex::new(());

/// A daemon with its page, vendors that do as they are told, and a browser that has shown the token.
struct Desk {
    site: Site,
    fake: Fake,
    browser: Browser,
    _turn: MutexGuard<'static, ()>,
}

impl Desk {
    fn open() -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let fake = block_on(Fake::start());
        let mut place = Place::new(&configuration(&fake));
        place.environment.push(("FAKE_KEY", KEY.to_owned()));
        let site = Site::of(place);
        let browser = Browser::start(&site.address);
        Self { site, fake, browser, _turn: turn }
    }

    /// As [`Desk::open`], with the token shown.
    fn known() -> Self {
        let desk = Self::open();
        desk.browser.goto("/login");
        desk.browser.enter("#token", &desk.site.token());
        desk.browser.press_in("#token", driver::ENTER);
        desk.browser.reads("h1", "Overview");
        desk
    }

    /// Asks for an asset by the API, and waits for it.
    fn generate(&self, asset: &str, slug: &str) {
        let made = self.site.post(&format!("/api/generate/{asset}"), &json!({ "slug": slug }));
        assert!(made.status.is_success(), "{}", made.body);
    }

    /// Puts a file where a browser can take it from.
    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.site.place.file(name);
        fs::write(&path, bytes).expect("written");
        path.to_str().expect("text").to_owned()
    }
}

fn configuration(fake: &Fake) -> String {
    format!(
        "[assets.hero-image]\nchain = [\"gemini-3.1-flash-image\", \"lummi\", \"manual\"]\n\
         [assets.social-text]\nchain = [\"template\", \"manual\"]\n\
         [providers.\"gemini-3.1-flash-image\"]\nbase_url = \"{}/v1beta\"\napi_key = {{ env = \"FAKE_KEY\" }}\nretries = 0\n\
         budget = {{ month = 20 }}\n\
         [providers.lummi]\nbase_url = \"{}/v1\"\napi_key = {{ env = \"FAKE_KEY\" }}\nretries = 0\n",
        fake.url("gemini-3.1-flash-image"),
        fake.url("lummi")
    )
}

#[test]
fn a_form_of_another_site_changes_nothing() {
    let site = Site::start("[assets.social-text]\nchain = [\"template\", \"manual\"]\n");
    let posted = |origin: &str| {
        let form = site.bare(Method::POST, "/generate/social-text").bearer_auth(site.token());
        let form = form.header("origin", origin).header("content-type", "application/x-www-form-urlencoded");
        send(form.body("slug=bees"))
    };
    assert_eq!(posted("https://evil.example").status.as_u16(), 403);
    site.place.finds("SELECT count(*) FROM jobs", "0");
    let taken = posted(&site.address);
    assert_eq!((taken.status.as_u16(), taken.header("location")), (303, "/jobs/1"));
}

#[test]
fn every_job_is_on_one_page() {
    let site = Site::start(
        "[queue]\nschedule = \"0 0 1 1 *\"\n[assets.social-text]\nchain = [\"template\", \"manual\"]\n",
    );
    site.place.sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 120)
         INSERT INTO jobs (asset, slug, run_at) SELECT 'social-text', 'article-' || (i % 60), '2199-01-01' FROM n;
         INSERT INTO jobs (asset, slug, run_at) VALUES ('hero-image', 'article-1', '2199-01-01');",
    );
    let job = Regex::new(r#"href="/jobs/(\d+)""#).expect("valid");
    let next = Regex::new(r#"rel="next" href="([^"]+)""#).expect("valid");
    let walk = |from: &str| {
        let (mut at, mut seen) = (from.to_owned(), Vec::new());
        for _ in 0..9 {
            let page = site.get(&at).body;
            seen.extend(job.captures_iter(&page).map(|found| found[1].parse::<i64>().expect("a number")));
            let Some(found) = next.captures(&page) else { return seen };
            at = found[1].replace("&amp;", "&");
        }
        panic!("{from} does not end");
    };
    let newest: Vec<i64> = (1..=121).rev().collect();
    assert_eq!(walk("/jobs"), newest);
    assert_eq!(walk("/jobs?asset=socialText&status=pending"), newest[1..]);
    let mut by_slug = walk("/jobs?slug=article-&asset=social-text");
    assert_eq!(by_slug[..4], [60, 120, 1, 61], "in the order of slugs");
    by_slug.sort_unstable();
    assert_eq!(by_slug, (1..=120).collect::<Vec<i64>>());
    assert_eq!(walk("/jobs?slug=article-1&asset=hero-image"), [121]);
}
