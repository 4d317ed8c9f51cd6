//! The whole story: a job that falls back, and one that a person provides.

use serde_json::json;

use crate::daemon::until;
use crate::fake::Trouble;
use crate::support::picture;

use super::Desk;
use super::driver::ENTER;

#[test]
fn a_job_falls_back_and_another_is_provided_by_a_person() {
    let desk = Desk::open();
    let browser = &desk.browser;
    desk.fake.trouble("gemini-3.1-flash-image", Some(Trouble::Quota));

    // Who is not known yet comes back to where they wanted to go.
    browser.goto("/generate/hero-image");
    browser.reads("h1", "Who are you?");
    browser.enter("#token", "not the token");
    browser.click("main button");
    browser.reads("[role=alert]", "This is not the token.");
    browser.enter("#token", &desk.site.token());
    browser.click("main button");
    browser.reads("h1", "Generate a hero image");

    // A normal run asks for nothing but the slug, and the page follows it by itself.
    browser.enter("#slug", "honey-bees");
    browser.press_in("#slug", ENTER);
    browser.reads("h1", "Hero image ready (via fallback: Lummi)");
    assert_eq!(browser.path(), "/jobs/1");
    browser.says("#lead", "It came from Lummi, because:");
    browser.says("#lead", "Gemini 3.1 Flash Image failed. Its credit or quota is used up.");
    browser.says("#story", "Its credit or quota is used up.");
    browser.says("#story", "Delivered after");
    browser.says("#asset .credit", "Ann Other");
    let width = || browser.run("return document.querySelector('.picture img')?.naturalWidth", json!([]));
    until("the picture is shown", || width() == 1280);
    browser.shot("job");
    browser.goto("/");
    browser.says("#assets", "Last run used fallback: lummi.");
    browser.says("#days", "1 job ended: 1 by a fallback.");

    // Nobody can deliver: a person is asked.
    desk.fake.trouble("lummi", Some(Trouble::Quota));
    browser.goto("/generate/hero-image");
    browser.enter("#slug", "winter-bees");
    browser.press_in("#slug", ENTER);
    browser.reads("h1", "Hero image needs a person");
    browser.goto("/");
    browser.click(".note.asks a");
    browser.reads("h1", "Needs a person");
    browser.says("#job-2", "Editorial hero image");
    browser.says("#job-2 .because", "Lummi");
    browser.shot("manual");

    // What is not accepted is said beside the form, and what was typed stays.
    browser.enter("#file-2", &desk.file("small.png", &picture((64, 36))));
    browser.enter("#url-2", "https://example.org/bees.png");
    browser.click("#job-2 .provide button");
    browser.says("[role=alert]", "It is not accepted: ");
    browser.says("[role=alert]", "choose it again");
    let typed = browser.run("return document.querySelector('#url-2').value", json!([]));
    assert_eq!(typed, "https://example.org/bees.png");
    desk.site.place.finds("SELECT status FROM jobs WHERE id = 2", "manual");

    browser.enter("#file-2", &desk.file("bees.png", &picture((1600, 900))));
    browser.click(".provide button");
    browser.reads("h1", "Hero image ready");
    desk.site
        .place
        .finds("SELECT status, provider, content_type FROM jobs WHERE id = 2", "done|manual|image/png");
    browser.goto("/manual");
    browser.reads("#nothing", "Nothing waits for a person.");

    // A week's work, as it is seen at a glance.
    desk.site.place.sql(
        "WITH RECURSIVE day(ago) AS (SELECT 1 UNION ALL SELECT ago + 1 FROM day WHERE ago < 6)
         INSERT INTO outcomes SELECT date('now', '-' || ago || ' days'), 'hero-image', value, CASE value
             WHEN 'primary' THEN 21 + ago * 7 % 11 WHEN 'fallback' THEN ago * 5 % 9 ELSE ago % 3 END
         FROM day, json_each('[\"primary\",\"fallback\",\"manual\"]')",
    );
    browser.goto("/");
    browser.says("#days", "needed a person.");
    browser.shot("overview");
}
