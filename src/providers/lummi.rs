//! Lummi: a library of pictures made by models, searched by keywords.
//!
//! Rests on the vendor's reference (API v1) and on public clients of it. What errors look like is not documented,
//! so they are read as everybody else's.

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::domain::ask::{Body, Output};
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::provider::Provider;

use super::classify;
use super::hints;
use super::keywords;
use super::options;
use super::protocol::{Auth, BEARER, Call, HttpReply, HttpRequest, Interpreted, Protocol};
use super::question::{Asked, Found};
use super::stock::{self, Credit, Frame, Orientation};
use super::vendor_error::VendorError;

/// How many hits to choose among; the most that one page may hold is not documented.
const HITS: &str = "20";

/// Ten requests a minute are allowed before approval, and a 429 says nothing of when: one interval of them.
const PAUSE: std::time::Duration = std::time::Duration::from_secs(6);

const LICENCE: &str = "Lummi asks API users to link the picture and its author near the picture.";

/// The protocol `lummi`.
pub(super) struct Lummi;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LummiOptions {
    /// `photo`, `illustration` or `3d`; all of them when absent.
    image_type: Option<String>,
    /// Whether pictures of the paid plan may be taken.
    pro: bool,
}

#[derive(Deserialize)]
struct Hits {
    data: Option<Vec<Value>>,
}

/// All but id and url may be missing.
#[derive(Deserialize)]
struct Image {
    id: String,
    url: String,
    #[serde(rename = "attributionUrl")]
    attribution_url: Option<String>,
    author: Option<Author>,
    #[serde(rename = "imageType")]
    image_type: Option<String>,
    width: Option<f64>,
    height: Option<f64>,
    pro: Option<bool>,
    #[serde(rename = "unsafe")]
    is_unsafe: Option<bool>,
    removed: Option<bool>,
}

#[derive(Deserialize)]
struct Author {
    username: Option<String>,
    name: Option<String>,
    #[serde(rename = "attributionUrl")]
    attribution_url: Option<String>,
}

impl Protocol for Lummi {
    fn auth(&self, _provider: &Provider) -> Auth {
        BEARER
    }

    fn check(&self, provider: &Provider) -> Result<(), String> {
        options::read::<LummiOptions>(provider).map(drop)
    }

    /// The smallest search.
    fn question(&self, _provider: &Provider) -> Option<HttpRequest> {
        let query = vec![
            ("query".into(), "fox".to_owned()),
            ("page".into(), "1".to_owned()),
            ("perPage".into(), "1".to_owned()),
        ];
        Some(HttpRequest { query, ..HttpRequest::get("v1/images/search") })
    }

    fn answer(&self, asked: &Asked<'_>, reply: &HttpReply) -> Result<Found, Failure> {
        asked.hits(reply, "data")
    }

    fn request(&self, call: &Call<'_>) -> Result<HttpRequest, Failure> {
        let options: LummiOptions = options::of_call(call.provider)?;
        let mut query = vec![
            ("query".into(), keywords::query(call.ask)),
            ("page".into(), "1".to_owned()),
            ("perPage".into(), HITS.to_owned()),
        ];
        if let Some(orientation) = stock::orientation(&call.ask.accept) {
            let word = match orientation {
                Orientation::Landscape => "horizontal",
                Orientation::Portrait => "vertical",
                Orientation::Square => "square",
            };
            query.push(("orientation".into(), word.to_owned()));
        }
        if let Some(image_type) = options.image_type {
            query.push(("imageType".into(), image_type));
        }
        if !options.pro {
            query.push(("free".into(), "true".to_owned()));
        }
        Ok(HttpRequest { query, ..HttpRequest::get("v1/images/search") })
    }

    fn interpret(&self, call: &Call<'_>, reply: &HttpReply) -> Result<Interpreted, Failure> {
        if !reply.is_success() {
            return Err(failure(call, reply));
        }
        let options: LummiOptions = options::of_call(call.provider)?;
        let found: Hits = reply.json()?;
        let Some(hits) = found.data else {
            return Err(Failure::unusable("the answer holds no list of pictures"));
        };
        let count = hits.len();
        let usable = hits
            .into_iter()
            .filter_map(|hit| serde_json::from_value::<Image>(hit).ok())
            .filter(|image| image.may_be_used(options.pro))
            .filter_map(|image| stock::frame(&call.ask.accept, image.size()).map(|frame| (image, frame)))
            .collect();
        match stock::choose(call.ask, usable, |(image, _): &(Image, Frame)| &image.id) {
            Some((image, frame)) => image.fetched(frame),
            None => Err(stock::no_match("Lummi", &keywords::query(call.ask), count)),
        }
    }
}

fn failure(call: &Call<'_>, reply: &HttpReply) -> Failure {
    let failure = classify::failure(call, reply, &VendorError::of(reply));
    if failure.class == (FailureClass::RateLimited { until: None }) {
        let until = Some(hints::in_time(PAUSE, call.now()));
        return Failure { class: FailureClass::RateLimited { until }, ..failure };
    }
    failure
}

impl Image {
    fn may_be_used(&self, pro: bool) -> bool {
        (pro || self.pro != Some(true)) && self.is_unsafe != Some(true) && self.removed != Some(true)
    }

    fn size(&self) -> Option<(u32, u32)> {
        let pixels = |edge: f64| (1.0..1e6).contains(&edge).then(|| format!("{edge:.0}").parse().ok())?;
        pixels(self.width?).zip(pixels(self.height?))
    }

    /// The picture at the size that is wanted. Without `auto` and with a format named, the CDN does not answer
    /// by what the client accepts, so a repeat gets the same bytes.
    fn fetched(self, frame: Frame) -> Result<Interpreted, Failure> {
        let mut url =
            Url::parse(&self.url).map_err(|_| Failure::unusable("the picture's address is none"))?;
        let ours = ["auto", "fm", "w", "h", "fit"];
        let kept: Vec<(String, String)> =
            url.query_pairs().into_owned().filter(|(name, _)| !ours.contains(&name.as_str())).collect();
        {
            let mut query = url.query_pairs_mut();
            query.clear().extend_pairs(kept);
            query.append_pair("fm", "jpg").append_pair("w", &frame.width.to_string());
            if let Some(height) = frame.height {
                query.append_pair("h", &height.to_string()).append_pair("fit", "crop");
            }
        }
        let author = self.author.as_ref();
        let credit = Credit {
            library: "Lummi",
            kind: match self.image_type.as_deref() {
                Some("illustration") => "Illustration",
                Some("3d") => "3D picture",
                Some(_) | None => "Photo",
            },
            author: author.and_then(|author| author.name.as_deref().or(author.username.as_deref())),
            author_url: stock::link(author.and_then(|author| author.attribution_url.as_deref())),
            work_url: stock::link(self.attribution_url.as_deref()),
            licence: LICENCE,
        };
        let output = Output { metadata: credit.told(), ..Output::plain(Body::File(bytes::Bytes::new())) };
        Ok(Interpreted::Fetch { url: url.into(), output })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::recorded::{ask, provider, search_of};
    use serde_json::json;

    #[test]
    fn a_search_asks_for_what_is_wanted() {
        let check = |options: Value, aspect: &str, expected: &str| {
            let asked = search_of(&Lummi, &options, aspect);
            assert_eq!(asked, format!("v1/images/search?query=red fox&page=1&perPage=20{expected}"));
        };
        check(json!({}), "", "&free=true");
        check(json!({}), "16:9", "&orientation=horizontal&free=true");
        check(json!({}), "9:16", "&orientation=vertical&free=true");
        check(json!({"image_type": "photo", "pro": true}), "1:1", "&orientation=square&imageType=photo");
    }

    #[test]
    fn options_are_held_to_what_they_mean() {
        let check = |options: Value, fine: bool| {
            let mut provider = provider("lummi", "", "https://api.lummi.ai/v1");
            provider.options = options.as_object().expect("an object").clone();
            assert_eq!(Lummi.check(&provider).is_ok(), fine, "{options}");
        };
        check(json!({}), true);
        check(json!({"image_type": "illustration"}), true);
        check(json!({"colour": "red"}), false);
        check(json!({"pro": "yes"}), false);
    }

    /// Same slug, same picture; and never one that is too small for the asset.
    #[test]
    fn a_picture_is_large_enough_and_stays_the_slugs() {
        let hit = |id: &str, width: u32, height: u32| json!({"id": id, "url": format!("https://cdn.example/{id}"), "width": width, "height": height});
        let hits = json!({"data": [hit("a", 4000, 3000), hit("b", 800, 600), hit("c", 4000, 3000), hit("d", 3000, 800)]});
        let provider = provider("lummi", "", "https://api.lummi.ai/v1");
        let clock: crate::domain::time::Clock = std::sync::Arc::new(|| chrono::DateTime::UNIX_EPOCH);
        let mut seen = std::collections::HashSet::new();
        for slug in ["foxes", "bees", "owls", "moles", "ants", "newts"] {
            let mut ask = ask();
            slug.clone_into(&mut ask.slug);
            ask.accept.min_width = Some(1024);
            ask.accept.aspect = crate::domain::accept::Aspect::parse("4:3");
            ask.accept.min_height = Some(1000);
            let reply = HttpReply { status: 200, body: hits.to_string().into(), ..HttpReply::default() };
            let fetched = || match Lummi.interpret(&Call::generation(&provider, &ask, &clock), &reply) {
                Ok(Interpreted::Fetch { url, .. }) => url,
                other => panic!("{other:?}"),
            };
            let url = fetched();
            assert_eq!(url, fetched(), "a repeat gets the same");
            let (id, size) = url.rsplit('/').next().and_then(|end| end.split_once('?')).expect("parameters");
            assert!(["a", "c"].contains(&id), "{url}");
            assert_eq!(size, "fm=jpg&w=1920&h=1440&fit=crop");
            seen.insert(id.to_owned());
        }
        assert_eq!(seen.len(), 2, "slugs differ");
    }
}
