//! A chain whose model refuses after a while and whose first library has nothing: the second one delivers, with
//! its credit.

use serde_json::json;

use super::Place;
use super::vendor::block_on;
use crate::support::{Reply, Server, picture};

/// A vendor described in the configuration, two libraries and their files, all on one port.
fn street() -> Server {
    let port = std::sync::OnceLock::<String>::new();
    block_on(Server::start(move |request| {
        let host = port.get_or_init(|| request.header("host").unwrap_or_default().to_owned());
        match request.path.split('?').next().unwrap_or_default() {
            "/paint/paintings" => Reply::json(202, &json!({"painting": "p-7"})),
            "/paint/paintings/p-7" => {
                Reply::json(200, &json!({"state": "failed", "problem": "that motif is not allowed"}))
            }
            "/lummi/v1/images/search" => Reply::json(200, &json!({"data": []})),
            "/v1/search" => {
                let original = format!("http://{host}/files/fox.jpeg");
                let photo = json!({"id": 7, "width": 4000, "height": 3000, "src": {"original": original},
                    "photographer": "Ann Other", "photographer_url": "https://www.pexels.com/@ann",
                    "url": "https://www.pexels.com/photo/7/"});
                Reply::json(200, &json!({"photos": [photo]}))
            }
            "/files/fox.jpeg" => Reply::Http { status: 200, headers: vec![], body: picture((1920, 1080)) },
            _ => Reply::json(404, &json!({})),
        }
    }))
}

#[test]
fn what_a_model_refuses_a_library_delivers_with_its_credit() {
    let street = street();
    let url = street.url();
    let place = Place::new(&format!(
        r#"
[assets.hero-image]
medium = "image"
chain = ["painter", "lummi", "pexels", "manual"]
accept = {{ min_width = 1024, min_height = 576, aspect = "16:9" }}

[providers.painter]
protocol = "http"
medium = "image"
base_url = "{url}/paint"
api_key = false
price = 0.02
output = {{ url = "url" }}
error = "problem"
request = {{ path = "paintings", body = {{ motif = "{{{{ prompt }}}}" }} }}
operation = {{ id = "painting", status = "state", poll = {{ path = "paintings/{{{{ operation }}}}" }} }}
classes = [{{ path = "problem", contains = "not allowed", class = "refused" }}]

[providers.lummi]
base_url = "{url}/lummi/v1"

[providers.pexels]
base_url = "{url}"
"#
    ));
    place.sql("INSERT INTO jobs (asset, slug, input) VALUES ('hero-image', 'foxes', '{\"title\": \"Foxes in Town\"}')");
    assert!(place.drain().success(), "{}", place.story());
    place.finds(
        "SELECT status, provider, fallback_used, message FROM jobs",
        "done|pexels|1|Hero image ready (via fallback: Pexels)",
    );
    place.finds(
        "SELECT provider, status, coalesce(class, ''), coalesce(operation, ''), cost_micros FROM attempts ORDER BY id",
        "painter|failed|refused|p-7|0\nlummi|failed|refused||0\npexels|delivered|||0",
    );
    place.finds(
        "SELECT error FROM attempts WHERE provider = 'lummi'",
        "Lummi has nothing for these keywords: foxes town",
    );
    place.finds(
        "SELECT metadata->>'$.attribution.text', metadata->>'$.attribution.author_url', metadata->>'$.width' FROM jobs",
        "Photo by Ann Other on Pexels|https://www.pexels.com/@ann|1920",
    );
    let nobody_suffers =
        "SELECT count(*) FROM provider_health WHERE consecutive_failures > 0 OR state <> 'closed'";
    place.finds(nobody_suffers, "0");
    let shown = place.backstop("show").arg("1").output().expect("the binary");
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    for line in [
        "attribution Photo by Ann Other on Pexels",
        "author    https://www.pexels.com/@ann",
        "licence   Pexels asks",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
}

#[test]
fn a_library_that_had_nothing_is_asked_again_with_other_keywords() {
    let library = block_on(Server::always(Reply::json(200, &json!({"data": []}))));
    let place = Place::new(&format!(
        "[assets.hero-image]\nchain = [\"lummi\", \"manual\"]\nprompt = \"x\"\n[providers.lummi]\nbase_url = \"{}\"\n",
        library.url()
    ));
    let searched = || library.requests().iter().map(|request| request.path.clone()).collect::<Vec<_>>();
    place.sql("INSERT INTO jobs (asset, slug, input) VALUES ('hero-image', 'a', '{\"keywords\": \"fox\", \"n\": 1}')");
    assert!(place.drain().success());
    place.finds("SELECT status, class FROM attempts", "failed|refused");
    place.sql("UPDATE jobs SET status = 'pending', input = '{\"n\": 2, \"keywords\": \"fox\"}'");
    assert!(place.drain().success());
    place.finds("SELECT status FROM attempts ORDER BY id", "failed\nskipped");
    assert_eq!(searched().len(), 1, "the same question");
    for input in ["{\"keywords\": [\"red\", \"squirrel\"]}", "{\"title\": \"Red Squirrels\"}"] {
        place.sql(&format!("UPDATE jobs SET status = 'pending', input = '{input}'"));
        assert!(place.drain().success());
    }
    place.finds("SELECT status FROM attempts ORDER BY id", "failed\nskipped\nfailed\nfailed");
    let words = ["query=fox&", "query=red+squirrel&", "query=red+squirrels&"];
    let asked = searched();
    assert_eq!(asked.len(), words.len(), "{asked:?}");
    assert!(asked.iter().zip(words).all(|(path, words)| path.contains(words)), "{asked:?}");
}
