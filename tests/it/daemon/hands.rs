//! What comes back later, what goes to a person, and what a person may say.

use super::vendor::{Vendor, error, rate_limited};
use super::{Place, texts, until};

#[test]
fn a_job_whose_links_are_all_rate_limited_comes_back_and_then_asks_a_person() {
    let (house, second) = (Vendor::start(), Vendor::start());
    for vendor in [&house, &second] {
        vendor.answer_instead(Some(rate_limited(60)));
    }
    let addresses = [("house", house.url()), ("second", second.url())];
    let place = Place::new(&texts("[\"house\", \"second\", \"manual\"]\nmax_runs = 2", &addresses));
    place.enqueue("patient");
    assert!(place.drain().success());
    place.finds("SELECT status, runs, finished_at, lease_token FROM jobs", "pending|1||");
    place.finds("SELECT run_at > strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+45 seconds') FROM jobs", "1");
    place.finds("SELECT error LIKE 'house: rate_limited: %; second: rate_limited: %' FROM jobs", "1");
    place.finds("SELECT number, outcome FROM runs", "1|later");
    place.finds("SELECT count(*) FROM manual_queue", "0");

    // Sooner than the hint: nobody is called, and the last run that counts is used up.
    place.sql("UPDATE jobs SET run_at = 'now'");
    assert!(place.drain().success());
    place.finds("SELECT status, runs, message FROM jobs", "manual|2|Social text needs a person");
    place.finds("SELECT number, outcome FROM runs ORDER BY number", "1|later\n2|exhausted");
    let reasons = place.sql("SELECT reasons FROM manual_queue");
    let lines: Vec<&str> = reasons.lines().collect();
    assert!(
        lines.len() == 2 && lines[0].starts_with("house: ") && lines[1].starts_with("second: "),
        "{reasons}"
    );
    assert_eq!((house.calls(), second.calls()), (1, 1));
    place.finds(
        "SELECT sentence LIKE '% Last run needed a person.' FROM health WHERE asset = 'social-text'",
        "1",
    );
}

#[test]
fn a_job_that_is_too_old_asks_a_person_at_once() {
    let house = Vendor::start();
    house.answer_instead(Some(rate_limited(60)));
    let place = Place::new(&texts("[\"house\"]\ngive_up_after = \"0s\"", &[("house", house.url())]));
    place.enqueue("old");
    assert!(place.drain().success());
    place.finds("SELECT status, runs FROM jobs", "manual|1");
}

#[test]
fn an_override_holds_for_one_job_and_passes_a_shut_gate() {
    let (house, spare) = (Vendor::start(), Vendor::start());
    let addresses = [("house", house.url()), ("spare", spare.url())];
    let place = Place::new(&texts(r#"["house", "template", "manual"]"#, &addresses));
    let shut = "INSERT INTO provider_health (provider, state, open_until, paused_until)
        VALUES ('spare', 'open', '2099-01-01T00:00:00.000Z', '2099-01-01'), ('house', 'closed', NULL, '2099-01-01')";
    place.sql(shut);
    place.sql(
        "INSERT INTO jobs (asset, slug, provider_override) VALUES ('social-text', 'wished', 'spare'),
             ('social-text', 'in-chain', 'house'), ('social-text', 'last-link', 'template'), ('social-text', 'plain', NULL)",
    );
    assert!(place.drain().success());
    place.finds(
        "SELECT j.slug, j.provider, j.fallback_used, j.provider_override, r.override, r.chain
         FROM jobs j JOIN runs r ON r.job_id = j.id ORDER BY j.id",
        "wished|spare|0||spare|[\"spare\",\"house\",\"template\"]\n\
         in-chain|house|0||house|[\"house\",\"template\"]\n\
         last-link|template|0||template|[\"template\"]\n\
         plain|template|1|||[\"house\",\"template\"]",
    );
    place.finds("SELECT chain FROM assets WHERE name = 'social-text'", r#"["house","template","manual"]"#);
    // The pause is the operator's; a delivery does not end it.
    place.finds(
        "SELECT count(*) FROM provider_health WHERE paused_until > '2090' AND provider IN ('spare', 'house')",
        "2",
    );
}

#[test]
fn an_override_stays_until_its_job_has_ended() {
    let spare = Vendor::start();
    spare.answer_instead(Some(rate_limited(60)));
    let place = Place::new(&texts(r#"["manual"]"#, &[("spare", spare.url())]));
    place.sql("INSERT INTO jobs (asset, slug, provider_override) VALUES ('social-text', 'wished', 'spare')");
    assert!(place.drain().success());
    place.finds("SELECT status, provider_override FROM jobs", "pending|spare");
    spare.answer_instead(None);
    place.sql("UPDATE jobs SET run_at = 'now'");
    assert!(place.drain().success());
    place.finds("SELECT status, provider, provider_override FROM jobs", "done|spare|");
    place.finds("SELECT number, override FROM runs ORDER BY number", "1|spare\n2|spare");
    // A retry begins without it.
    place.sql("UPDATE jobs SET status = 'pending'");
    assert!(place.drain().success());
    place.finds("SELECT status FROM jobs", "manual");
}

#[test]
fn a_person_may_be_wished_for_and_a_failure_may_be_an_end() {
    let house = Vendor::start();
    house.answer_instead(Some(error(401, "invalid_api_key", "Incorrect API key provided")));
    let teaser = "[assets.teaser]\nchain = [\"house\"]\non_exhausted = \"fail\"\n";
    let place = Place::new(&format!("{}{teaser}", texts(r#"["house"]"#, &[("house", house.url())])));
    place
        .sql("INSERT INTO jobs (asset, slug, provider_override) VALUES ('social-text', 'by-hand', 'manual')");
    assert!(place.drain().success());
    place.finds("SELECT status, provider_override, message FROM jobs", "manual||Social text needs a person");
    place.finds("SELECT override, outcome FROM runs", "manual|exhausted");
    place.finds("SELECT count(*) FROM attempts", "0");
    assert_eq!(house.calls(), 0);

    place.sql("INSERT INTO jobs (asset, slug) VALUES ('teaser', 'an-end')");
    assert!(place.drain().success());
    place.finds(
        "SELECT status, message, error LIKE 'house: auth: %' FROM jobs WHERE asset = 'teaser'",
        "failed|Teaser failed|1",
    );
    place.finds("SELECT sentence LIKE '% Last run failed.' FROM health WHERE asset = 'teaser'", "1");

    // What a person provides counts as theirs.
    place.sql("UPDATE jobs SET status = 'done', text = 'Written by a person.' WHERE slug = 'by-hand'");
    place.finds(
        "SELECT status, provider, message FROM jobs WHERE slug = 'by-hand'",
        "done|manual|Social text ready",
    );
}

#[test]
fn a_refused_prompt_is_not_sent_to_that_provider_again_until_it_changes() {
    let house = Vendor::start();
    house.answer_instead(Some(error(400, "content_policy_violation", "This request was rejected")));
    let place = Place::new(&texts(r#"["house", "manual"]"#, &[("house", house.url())]));
    place.sql(
        "INSERT INTO jobs (asset, slug, prompt) VALUES ('social-text', 'delicate', 'Say something rude')",
    );
    assert!(place.drain().success());
    place.finds("SELECT status FROM jobs", "manual");
    place.finds("SELECT class FROM attempts", "refused");
    assert_eq!(house.calls(), 1);

    house.answer_instead(None);
    place.sql("UPDATE jobs SET status = 'pending'");
    assert!(place.drain().success());
    place.finds("SELECT status FROM jobs", "manual");
    place.finds("SELECT status FROM attempts ORDER BY id", "failed\nskipped");
    assert_eq!(house.calls(), 1, "the same prompt");

    place.sql("UPDATE jobs SET status = 'pending', prompt = 'Say something kind'");
    assert!(place.drain().success());
    place.finds("SELECT status, provider FROM jobs", "done|house");
    assert_eq!(house.prompts(), ["\"Say something rude\"", "\"Say something kind\""]);
}

#[test]
fn somebody_is_told_once_of_each_job_that_needs_a_person() {
    let told = "[on_manual]\ncommand = [\"/bin/sh\", \"-c\", \"cat >> told; echo >> told\"]\n";
    let place = Place::new(&format!("{}{told}", texts(r#"["template"]"#, &[])));
    let by_hand = |slug: &str| {
        place.sql(&format!(
            "INSERT INTO jobs (asset, slug, provider_override) VALUES ('social-text', '{slug}', 'manual')"
        ));
    };
    let notices = || -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(place.file("told")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    };
    let daemon = place.serve();
    place.enqueue("delivered");
    by_hand("first");
    by_hand("second");
    until("two are told", || notices().len() >= 2);
    place.shows("SELECT count(*) FROM notices WHERE sent_at IS NULL", "0");
    daemon.stop();

    by_hand("third");
    assert!(place.drain().success());
    let told = notices();
    let mut slugs: Vec<&str> = told.iter().filter_map(|notice| notice["job"]["slug"].as_str()).collect();
    slugs.sort_unstable();
    assert_eq!(slugs, ["first", "second", "third"], "{told:#?}");
    assert!(told.iter().all(|notice| notice["kind"] == "manual"), "{told:#?}");
}
