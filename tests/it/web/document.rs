//! The OpenAPI document before a judge of its own, and docs/api.md before a shell.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{Site, TEXTS, send};
use crate::sdk::python::{Packages, environment};
use crate::support::picture;

/// How many examples of each kind are tried for each address: well under a minute in all.
const EXAMPLES: &str = "15";

/// The one check of schemathesis that is left out: which names of assets and providers exist, a document cannot say.
const LEFT_OUT: &str = "positive_data_acceptance";

#[test]
fn the_daemon_does_what_its_document_says() {
    let site = Site::start(TEXTS);
    // A file, a job that waits for a person, and one that is done.
    let made = site.post("/api/generate/hero-image", &json!({"slug": "a", "providerOverride": "title-card"}));
    let path = made.json()["assetPath"].as_str().expect("a file").to_owned();
    let [_, _, folder, file] = path.split('/').collect::<Vec<_>>()[..] else { panic!("{path}") };
    site.post("/api/generate/social-text", &json!({"slug": "b"}));
    site.post("/api/generate/social-text", &json!({"slug": "c", "providerOverride": "manual"}));
    let settings = format!(
        "[[operations]]\ninclude-operation-id = \"asset\"\nparameters = {{ folder = \"{folder}\", file = \"{file}\" }}\n\
         [[operations]]\ninclude-operation-id = \"resolve\"\nparameters = {{ id = 3 }}\n"
    );
    fs::write(site.place.file("schemathesis.toml"), settings).expect("written");
    let output = Command::new(environment(Packages::Schemathesis).join("bin/python"))
        .args(["-m", "schemathesis.cli"])
        .args(["--config-file", "schemathesis.toml", "run"])
        .arg(format!("{}/api/openapi.json", site.address))
        .args(["-H", &format!("Authorization: Bearer {}", site.token()), "-H", "Prefer: respond-async"])
        .args(["--checks", "all", "--exclude-checks", LEFT_OUT, "--phases", "examples,coverage,fuzzing"])
        .args(["--max-examples", EXAMPLES, "--seed", "20261124", "--generation-database", "none"])
        .args(["--request-timeout", "20", "--suppress-health-check", "all", "--no-color"])
        .current_dir(site.place.file(""))
        .env_clear()
        .env("NO_PROXY", "127.0.0.1")
        .env("PATH", "/usr/bin:/bin")
        .env("COLUMNS", "200")
        .stdin(Stdio::null())
        .output()
        .expect("schemathesis");
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{wrong}\n{}", site.serving.log());
    // The document's own address is where it was read; every other one was asked.
    let addresses = document(&site)["paths"].as_object().expect("paths").len();
    assert!(said.contains(&format!("Tested: {}", addresses - 1)), "{said}");
    assert_eq!(site.get("/api/health").status, 200);
    let log = site.serving.log();
    assert!(!log.contains("\"level\":\"ERROR\"") && !log.contains("panicked"), "{log}");
}

fn document(site: &Site) -> Value {
    site.get("/api/openapi.json").json()
}

#[test]
fn no_other_method_is_taken() {
    let site = Site::start(TEXTS);
    for (path, verbs) in document(&site)["paths"].as_object().expect("paths") {
        let path = path.replace("{asset}", "social-text").replace("{id}", "1").replace("{name}", "template");
        let path = path.replace("{folder}", "hero-image").replace("{file}", "a-1-1f3a90bc.png");
        let allowed = if verbs.get("get").is_some() { "GET,HEAD" } else { "POST" };
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
            if allowed.contains(method) {
                continue;
            }
            let method = method.parse().expect("a method");
            let answer = send(site.bare(method, &path).bearer_auth(site.token()));
            assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, allowed), "{path}");
            assert!(!answer.detail().is_empty());
        }
    }
}

#[test]
fn every_example_of_the_page_about_it_works() {
    let page = include_str!("../../../docs/api.md");
    let site = Site::start(&format!("{TEXTS}[assets.hero-image]\nchain = [\"title-card\", \"manual\"]\n"));
    fs::write(site.place.file("picture.png"), picture((1_600, 900))).expect("written");
    let blocks: Vec<&str> =
        page.split("```sh\n").skip(1).map(|rest| rest.split("\n```").next().expect("closed")).collect();
    assert!(blocks.len() >= 8, "{blocks:?}");
    let script = blocks.join("\n").replace("http://127.0.0.1:8790", &site.address);
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script])
        .current_dir(site.place.file(""))
        .env("NO_PROXY", "127.0.0.1")
        .stdin(Stdio::null())
        .output()
        .expect("bash and curl");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    site.place.shows(
        "SELECT group_concat(id || ' ' || status || ' ' || provider, ', ') FROM jobs",
        "1 done title-card, 2 done template, 3 done title-card, 4 manual manual, 5 done manual, 6 done manual, 7 done manual",
    );
    let picture = fs::read(site.place.file("spring.png")).expect("fetched");
    assert!(picture.starts_with(b"\x89PNG"), "no picture");
    assert_eq!(fs::read(site.place.file("beginning.bin")).expect("fetched"), picture[..100]);
    // The statuses it lists are those of the document, and of what no document describes.
    let document = document(&site);
    let mut told: Vec<u16> =
        page.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next()?.parse().ok()).collect();
    told.retain(|status| ![405, 431].contains(status));
    let mut there: Vec<u16> = document["paths"]
        .as_object()
        .expect("paths")
        .values()
        .flat_map(|verbs| verbs.as_object().expect("verbs").values())
        .flat_map(|verb| verb["responses"].as_object().expect("responses").keys())
        .filter_map(|status| status.parse().ok())
        .filter(|status| *status >= 400)
        .collect();
    there.sort_unstable();
    there.dedup();
    assert_eq!(told, there);
}
