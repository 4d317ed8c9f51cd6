//! What holds on every page: readable without a script, on a phone, in the dark, by everybody; and no slug is obeyed.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::fake::Trouble;

use super::Desk;

/// The checker of accessibility, as `npm` names it.
const AXE: &str = "axe-core@4.11.0";

/// Of a slug the schema itself refuses what turns text around; a prompt may hold it.
const NASTY: &str = "<script>document.title='pwned'</script>";
const TURNED: &str = "\u{202e}<b onclick=alert(1)>bold";

/// Pages with something on them, and a word that stands on each without any script.
const PAGES: [(&str, &str); 9] = [
    ("/", "Last run needed a person."),
    ("/jobs", "needs a person"),
    ("/jobs?asset=hero-image&status=manual", "needs a person"),
    ("/jobs/1", ", because:"),
    ("/jobs/2", "Nobody could deliver it"),
    ("/manual", "Why nobody could deliver it"),
    ("/providers", "Gemini"),
    ("/generate/hero-image", "What a run would do now"),
    ("/nothing", "There is nothing at this address."),
];

fn with_something_on_it() -> Desk {
    let desk = Desk::known();
    desk.fake.trouble("gemini-3.1-flash-image", Some(Trouble::Quota));
    desk.generate("hero-image", "bees");
    desk.fake.trouble("lummi", Some(Trouble::Quota));
    let wish = json!({"slug": NASTY, "prompt": TURNED});
    assert!(desk.site.post("/api/generate/hero-image", &wish).status.is_success());
    desk.generate("social-text", "bees");
    desk
}

#[test]
fn every_page_is_accessible_in_the_light_and_in_the_dark_and_on_a_phone() {
    let desk = with_something_on_it();
    let browser = &desk.browser;
    let axe = axe();
    for (number, (path, words)) in PAGES.into_iter().enumerate() {
        for scheme in ["light", "dark"] {
            browser.prefers(scheme);
            browser.measures(1180, 900);
            browser.goto(path);
            browser.says("main", words);
            assert_eq!(serious(&desk, &axe), json!([]), "{path}, {scheme}");
            browser.shot(&format!("{number}-{scheme}"));
            browser.measures(360, 740);
            let wide = browser.run("return document.documentElement.scrollWidth", json!([]));
            assert_eq!(wide, 360, "{path} scrolls to the side");
            assert_eq!(serious(&desk, &axe), json!([]), "{path}, {scheme}, on a phone");
            browser.shot(&format!("{number}-{scheme}-phone"));
        }
    }
}

#[test]
fn every_page_is_read_without_a_script() {
    let desk = with_something_on_it();
    let browser = &desk.browser;
    browser.cdp("Emulation.setScriptExecutionDisabled", json!({"value": true}));
    for (path, words) in PAGES {
        browser.goto(path);
        let found = browser.source();
        assert!(found.contains(words), "{path}: no {words:?}");
    }
    // Also what is done needs none.
    browser.goto("/generate/social-text");
    browser.enter("#slug", "wasps");
    browser.press_in("#slug", super::driver::ENTER);
    desk.site.place.shows("SELECT status FROM jobs WHERE slug = 'wasps'", "done");
    crate::daemon::until("its page is shown", || browser.path() == "/jobs/4");
}

#[test]
fn what_strangers_wrote_is_shown_and_not_obeyed() {
    let desk = with_something_on_it();
    let browser = &desk.browser;
    for path in ["/jobs", "/jobs/2", "/manual"] {
        browser.goto(path);
        browser.says("main", NASTY);
        let title = browser.run("return document.title", json!([]));
        assert!(title.as_str().is_some_and(|title| title.ends_with("· Backstop")), "{path}: {title}");
        let scripts = browser.run("return document.querySelectorAll('main script').length", json!([]));
        assert_eq!(scripts, 0, "{path}");
    }
    browser.reads("#job-2 .prompt pre", &TURNED.replace('\u{202e}', "\u{fffd}"));
}

/// What the checker finds that is serious or worse.
fn serious(desk: &Desk, axe: &str) -> Value {
    desk.browser.run(axe, json!([]));
    desk.browser.run_async(
        "const done = arguments[arguments.length - 1];
         axe.run(document, { resultTypes: ['violations'] }).then((found) => done(found.violations
             .filter((one) => ['serious', 'critical'].includes(one.impact))
             .map((one) => `${one.id}: ${one.nodes.map((node) => `${node.target} ${node.failureSummary}`).join('; ')}`)))",
    )
}

/// The checker's script, brought once by npm and kept beside the tests' other things.
fn axe() -> String {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(AXE.replace('@', "-"));
    let script = home.join("node_modules/axe-core/axe.min.js");
    if !script.exists() {
        let npm = Command::new("npm")
            .args(["install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"])
            .arg(&home)
            .arg(AXE)
            .stdin(Stdio::null())
            .output()
            .expect("npm is needed: apt-get install npm");
        assert!(npm.status.success(), "npm could not bring {AXE}\n{}", String::from_utf8_lossy(&npm.stderr));
    }
    std::fs::read_to_string(script).expect("the checker")
}
