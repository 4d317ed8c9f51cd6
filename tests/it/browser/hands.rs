//! What an operator does: an override for once, a pause, and everything by keyboard.

use serde_json::json;

use crate::fake::Trouble;

use super::Desk;
use super::driver::{ENTER, SPACE, TAB};

#[test]
fn an_override_is_used_once_and_gone() {
    let desk = Desk::known();
    let browser = &desk.browser;
    browser.goto("/generate/hero-image");
    browser.enter("#slug", "bees");
    browser.click("#first summary");
    browser.click("#override option[value=lummi]");
    // The plan of the override is shown before it is used, and nothing typed is lost by looking.
    browser.click("#first button");
    browser.says("#first .plan li", "Lummi is called");
    let typed = browser.run("return document.querySelector('#slug').value", json!([]));
    assert_eq!(typed, "bees");
    browser.click("button.strong");
    browser.says("#story", "with the override lummi for this run alone");
    browser.says("#story .attempts", "Lummi Delivered");
    desk.site.place.finds("SELECT provider, provider_override IS NULL FROM jobs", "lummi|1");
    browser.click("#retry");
    browser.says("#story .run:first-of-type", "Run 2");
    browser.reads("h1", "Hero image ready");
    desk.site.place.finds("SELECT provider FROM jobs", "gemini-3.1-flash-image");
}

#[test]
fn a_provider_is_paused_and_resumed_and_reset() {
    let desk = Desk::known();
    let browser = &desk.browser;
    browser.goto("/providers");
    browser.click("#p-lummi summary");
    browser.click("#p-lummi button[value='1h']");
    browser.says("#p-lummi .sentence", "Paused");
    desk.site.place.finds(
        "SELECT paused_until > strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+50 minutes') FROM provider_health",
        "1",
    );
    browser.click("#resume-lummi");
    browser.reads("#p-lummi .sentence", "Ready.");
    desk.site.place.finds("SELECT paused_until IS NULL FROM provider_health", "1");
    desk.fake.trouble("gemini-3.1-flash-image", Some(Trouble::Auth));
    desk.generate("hero-image", "bees");
    browser.goto("/providers");
    browser.says("#p-gemini-3\\.1-flash-image .badge", "not called");
    browser.click("#reset-gemini-3\\.1-flash-image");
    browser.says("#p-gemini-3\\.1-flash-image .badge", "ready");
    browser.goto("/jobs/1");
    browser.click("#retry");
    browser.says("#story", "Run 2");
}

#[test]
fn a_keyboard_is_enough() {
    let desk = Desk::open();
    let browser = &desk.browser;
    browser.goto("/");
    // The token's field has the focus already.
    let token = desk.site.token();
    let keys: Vec<String> = token.chars().map(String::from).collect();
    browser.press(&keys.iter().map(String::as_str).collect::<Vec<_>>());
    browser.press(&[ENTER]);
    browser.reads("h1", "Overview");
    to(&desk, "Skip to the content");
    to(&desk, "Generate a Social text");
    browser.press(&[ENTER]);
    browser.reads("h1", "Generate a social text");
    browser.press(&["b", "e", "e", "s"]);
    to(&desk, "A title, or a prompt of its own");
    browser.press(&[SPACE, TAB, "B", "e", "e", "s"]);
    // Back to the field that sends the form.
    browser.press(&[ENTER]);
    browser.reads("h1", "Social text ready");
    desk.site.place.finds("SELECT slug, input FROM jobs", "bees|{\"title\":\"Bees\"}");
}

#[test]
fn what_is_typed_survives_what_happens_meanwhile() {
    let desk = Desk::known();
    let browser = &desk.browser;
    for provider in ["gemini-3.1-flash-image", "lummi"] {
        desk.fake.trouble(provider, Some(Trouble::Quota));
    }
    desk.generate("hero-image", "first");
    browser.goto("/manual");
    browser.enter("#url-1", "https://exam");
    desk.generate("hero-image", "second");
    // It comes to stand there without anybody asking.
    browser.says("#job-2 h2", "second");
    let script = "return [document.querySelector('#url-1').value, document.activeElement.id]";
    assert_eq!(browser.run(script, json!([])), json!(["https://exam", "url-1"]));
    browser.enter("#url-1", "ple.org/a.png");
    browser.press_in("#url-1", ENTER);
    browser.reads("h1", "Hero image ready");
    desk.site.place.finds("SELECT url FROM jobs WHERE id = 1", "https://example.org/a.png");
}

#[test]
fn words_are_provided_too() {
    let desk = Desk::known();
    let browser = &desk.browser;
    browser.goto("/generate/social-text?override=manual");
    browser.says("#first", "a person is asked.");
    browser.enter("#slug", "bees");
    browser.press_in("#slug", ENTER);
    browser.reads("h1", "Social text needs a person");
    browser.enter("#text-1", "Bees sleep in winter.\nAlmost, and never for long.");
    browser.click(".provide button");
    browser.reads("h1", "Social text ready");
    browser.says("#asset blockquote", "Almost, and never for long.");
    desk.site.place.finds("SELECT instr(text, char(13)), provider FROM jobs", "0|manual");
    // Another asset's job is not to be found among these, and this one is.
    browser.goto("/jobs");
    browser.enter("#slug", "be");
    browser.press_in("#slug", ENTER);
    browser.says("#jobs", "a person");
    browser.goto("/jobs?slug=wasps");
    browser.says("#jobs", "No such job.");
}

/// Goes on by the tabulator until the focus is on an element with this text, which must be seen to have it.
#[track_caller]
fn to(desk: &Desk, name: &str) {
    for _ in 0..40 {
        desk.browser.press(&[TAB]);
        let script = "const e = document.activeElement; return [e.textContent.trim(), getComputedStyle(e).outlineStyle]";
        let found = desk.browser.run(script, json!([]));
        assert_ne!(found[1], "none", "no focus is seen on {}", found[0]);
        if found[0] == name {
            return;
        }
    }
    panic!("the keyboard does not come to {name:?}");
}
