//! Our own adapters against the fake that the official SDKs accept: one job for each vendor's API that delivers.

use std::fs;

use regex::Regex;

use super::Place;
use super::vendor::block_on;
use crate::fake::{Fake, KEY};

/// A provider, and what its job has to become.
struct Delivery {
    /// The label, which is the account at the fake too.
    label: &'static str,
    medium: &'static str,
    /// What the address ends with.
    version: &'static str,
    /// What the configuration says of the provider besides.
    settings: &'static str,
    /// The model, the beginning of the vendor's id of the request, of the operation, and what it cost.
    attempt: &'static str,
    /// The content type, the width and the height, the seconds.
    measured: &'static str,
    /// What the vendor was asked, without the numbers that it gives away.
    calls: &'static [&'static str],
}

const DELIVERIES: &[Delivery] = &[
    Delivery {
        label: "claude-sonnet-4-6",
        medium: "text",
        version: "",
        settings: "",
        attempt: "claude-sonnet-4-6|req_||546",
        measured: "text/plain|||",
        calls: &["POST /v1/messages"],
    },
    Delivery {
        label: "gpt-5-mini",
        medium: "text",
        version: "/v1",
        settings: "",
        attempt: "gpt-5-mini|req_||71",
        measured: "text/plain|||",
        calls: &["POST /v1/chat/completions"],
    },
    Delivery {
        label: "gemini-3.1-flash-image",
        medium: "image",
        version: "",
        settings: "",
        attempt: "gemini-3.1-flash-image|||67206",
        measured: "image/png|1376|768|",
        calls: &["POST /v1beta/models/gemini-3.1-flash-image:generateContent"],
    },
    Delivery {
        label: "gemini-imagen-3",
        medium: "image",
        version: "",
        settings: "",
        attempt: "imagen-3.0-generate-002|||30000",
        measured: "image/png|1408|768|",
        calls: &["POST /v1beta/models/imagen-3.0-generate-002:predict"],
    },
    Delivery {
        label: "gpt-image-2.6-flare",
        medium: "image",
        version: "/v1",
        settings: "",
        attempt: "gpt-image-2.6-flare|req_||30100",
        measured: "image/png|1536|864|",
        calls: &["POST /v1/images/generations"],
    },
    Delivery {
        label: "veo-2",
        medium: "video",
        version: "",
        settings: "",
        attempt: "veo-2.0-generate-001||models/veo-2.0-generate-001/operations/o|2800000",
        measured: "video/mp4|1280|720|8.0",
        calls: &[
            "POST /v1beta/models/veo-2.0-generate-001:predictLongRunning",
            "GET /v1beta/models/veo-2.0-generate-001/operations/oN",
            "GET /v1beta/models/veo-2.0-generate-001/operations/oN",
            "GET /v1beta/files/fN:download?alt=media",
        ],
    },
    Delivery {
        label: "veo-on-vertex",
        medium: "video",
        version: "",
        settings: r#"protocol = "veo"
model = "veo-3.1-generate-001"
price = 3.2
project = "our-project"
location = "us-central1""#,
        attempt: "veo-3.1-generate-001||projects/our-project/locations/us-central1/publishers/google/models/veo-3.1-generate-001/operations/o|3200000",
        measured: "video/mp4|1280|720|8.0",
        calls: &[
            "POST /v1/projects/our-project/locations/us-central1/publishers/google/models/veo-3.1-generate-001:predictLongRunning",
            "POST /v1/projects/our-project/locations/us-central1/publishers/google/models/veo-3.1-generate-001:fetchPredictOperation",
            "POST /v1/projects/our-project/locations/us-central1/publishers/google/models/veo-3.1-generate-001:fetchPredictOperation",
        ],
    },
    Delivery {
        label: "gemini-omni-1.1-flash",
        medium: "video",
        version: "",
        settings: "",
        attempt: "gemini-omni-1.1-flash||v1_|800000",
        measured: "video/mp4|1280|720|8.0",
        calls: &[
            "POST /v1beta/interactions",
            "GET /v1beta/interactions/v1_N",
            "GET /v1beta/interactions/v1_N",
            "GET /v1beta/files/fN:download?alt=media",
        ],
    },
];

impl Delivery {
    fn asset(&self) -> String {
        format!("by-{}", self.label.replace('.', "-"))
    }

    fn configuration(&self, fake: &Fake) -> String {
        let accept = match self.medium {
            "image" => "accept = { min_width = 1024, min_height = 576, aspect = \"16:9\" }",
            "video" => {
                "accept = { min_width = 1280, min_height = 720, aspect = \"16:9\", min_duration = \"8s\" }"
            }
            _ => "accept = { min_chars = 40 }",
        };
        let address = fake.url(self.label);
        format!(
            "[assets.{}]\nmedium = \"{}\"\nchain = [\"{}\", \"manual\"]\nprompt = \"Foxes of {{{{ slug }}}}\"\n{accept}\n\
             [providers.\"{}\"]\n{}\nbase_url = \"{address}{}\"\napi_key = {{ env = \"FAKE_KEY\" }}\n",
            self.asset(),
            self.medium,
            self.label,
            self.label,
            self.settings,
            self.version,
        )
    }

    fn is_made(&self, place: &Place, fake: &Fake) {
        let Self { label, .. } = self;
        let of = |columns: &str, table: &str| {
            place.sql(&format!("SELECT {columns} FROM {table} WHERE provider = '{label}'"))
        };
        assert_eq!(
            of("status, fallback_used, error IS NULL", "jobs"),
            "done|0|1",
            "{label}\n{}",
            place.story()
        );
        assert_eq!(of("status, http_status, class IS NULL", "attempts"), "delivered|200|1", "{label}");
        let attempt = of("model, coalesce(request_id, ''), coalesce(operation, ''), cost_micros", "attempts");
        let numbers = Regex::new(r"\d{11,}|(req_)[0-9a-f]+").expect("valid");
        assert_eq!(numbers.replace_all(&attempt, "$1"), self.attempt, "{label}");
        let metadata = ["width", "height", "seconds"].map(|name| format!("metadata->>'$.{name}'")).join(", ");
        assert_eq!(of(&format!("content_type, {metadata}"), "jobs"), self.measured, "{label}");
        let calls: Vec<String> = fake
            .requests(label)
            .iter()
            .map(|call| {
                let path = call.path.trim_start_matches(&format!("/{label}"));
                format!("{} {}", call.method, Regex::new(r"\d{11,}").expect("valid").replace_all(path, "N"))
            })
            .collect();
        assert_eq!(calls, self.calls, "{label}");
        self.has_content(&of("text", "jobs"), &of("url", "jobs"));
    }

    /// The text speaks of what was asked; the file is the vendor's own, byte for byte.
    fn has_content(&self, text: &str, url: &str) {
        if self.medium == "text" {
            assert!(text.contains("Foxes of the-town"), "{}: {text}", self.label);
            return;
        }
        let path = url.strip_prefix("file://").unwrap_or_else(|| panic!("{}: {url}", self.label));
        let file = fs::read(path).expect("a delivered file");
        let (magic, end): (&[u8], &str) = if self.medium == "image" {
            (b"\x89PNG\r\n\x1a\n", ".png")
        } else {
            (b"\0\0\0\x20ftypisom", ".mp4")
        };
        assert!(file.starts_with(magic) && path.ends_with(end), "{}: {path}", self.label);
    }
}

#[test]
fn every_vendor_that_its_own_sdk_knows_delivers_through_the_daemon() {
    let fake = block_on(Fake::start());
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place { folder, environment: vec![("FAKE_KEY", KEY.to_owned())] };
    let configuration: String = DELIVERIES.iter().map(|delivery| delivery.configuration(&fake)).collect();
    place.configure(&configuration);
    assert!(place.drain().success(), "{}", place.story());
    for delivery in DELIVERIES {
        place.sql(&format!("INSERT INTO jobs (asset, slug) VALUES ('{}', 'the-town')", delivery.asset()));
    }
    assert!(place.drain().success(), "{}", place.story());
    for delivery in DELIVERIES {
        delivery.is_made(&place, &fake);
    }
    assert!(!place.story().contains(KEY), "the key stands in a log or a row");
}
