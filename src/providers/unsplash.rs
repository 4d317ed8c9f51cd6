//! Unsplash: a library of photographs, searched by keywords.
//!
//! Rests on the vendor's documentation and API guidelines: the photograph is credited with tagged links, and its
//! use is told to the vendor by a request of its own.

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::domain::ask::{Body, Output};
use crate::domain::failure::Failure;
use crate::domain::provider::Provider;

use super::classify;
use super::keywords;
use super::options;
use super::protocol::{Auth, Call, HttpReply, HttpRequest, Interpreted, Protocol};
use super::question::{Asked, Found};
use super::stock::{self, Credit, Frame, Orientation};
use super::vendor_error::VendorError;

/// The most hits of one page.
const HITS: &str = "30";

const LICENCE: &str = "Unsplash asks API users to credit the photographer and Unsplash with these links, \
     and to show the picture from the address in hotlink_url.";

/// The protocol `unsplash`.
pub(super) struct Unsplash;

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct UnsplashOptions {
    /// The application's name as registered with Unsplash; credits carry it as `utm_source`.
    app_name: String,
    /// `black_and_white`, `red` and so on.
    color: Option<String>,
    /// `low`, the vendor's default, or `high`, which leaves more out.
    content_filter: Option<String>,
}

impl Default for UnsplashOptions {
    fn default() -> Self {
        Self { app_name: "backstop".to_owned(), color: None, content_filter: Some("high".to_owned()) }
    }
}

#[derive(Deserialize)]
struct Hits {
    results: Option<Vec<Value>>,
}

#[derive(Deserialize)]
struct Photo {
    id: String,
    width: Option<u32>,
    height: Option<u32>,
    urls: Urls,
    links: Option<Links>,
    user: Option<User>,
}

#[derive(Deserialize)]
struct Urls {
    raw: String,
}

#[derive(Deserialize)]
struct Links {
    html: Option<String>,
    download_location: Option<String>,
}

#[derive(Deserialize)]
struct User {
    name: Option<String>,
    username: Option<String>,
    links: Option<Links>,
}

impl Protocol for Unsplash {
    fn auth(&self, _provider: &Provider) -> Auth {
        Auth { header: "authorization".into(), prefix: "Client-ID ".into() }
    }

    fn check(&self, provider: &Provider) -> Result<(), String> {
        options::read::<UnsplashOptions>(provider).map(drop)
    }

    /// The smallest search.
    fn question(&self, _provider: &Provider) -> Option<HttpRequest> {
        let query = vec![("query".into(), "fox".to_owned()), ("per_page".into(), "1".to_owned())];
        Some(HttpRequest { query, headers: version(), ..HttpRequest::get("search/photos") })
    }

    fn answer(&self, asked: &Asked<'_>, reply: &HttpReply) -> Result<Found, Failure> {
        if !reply.is_success() {
            return Err(asked.failure_of(reply, &error(reply)));
        }
        asked.hits(reply, "results")
    }

    fn request(&self, call: &Call<'_>) -> Result<HttpRequest, Failure> {
        let options: UnsplashOptions = options::of_call(call.provider)?;
        let mut query = vec![
            ("query".into(), keywords::query(call.ask)),
            ("page".into(), "1".to_owned()),
            ("per_page".into(), HITS.to_owned()),
        ];
        if let Some(orientation) = stock::orientation(&call.ask.accept) {
            let word = match orientation {
                Orientation::Landscape => "landscape",
                Orientation::Portrait => "portrait",
                Orientation::Square => "squarish",
            };
            query.push(("orientation".into(), word.to_owned()));
        }
        query.extend(options.color.map(|color| ("color".into(), color)));
        query.extend(options.content_filter.map(|filter| ("content_filter".into(), filter)));
        Ok(HttpRequest { query, headers: version(), ..HttpRequest::get("search/photos") })
    }

    fn interpret(&self, call: &Call<'_>, reply: &HttpReply) -> Result<Interpreted, Failure> {
        if !reply.is_success() {
            return Err(classify::failure(call, reply, &error(reply)));
        }
        let options: UnsplashOptions = options::of_call(call.provider)?;
        let found: Hits = reply.json()?;
        let Some(hits) = found.results else {
            return Err(Failure::unusable("the answer holds no list of pictures"));
        };
        let count = hits.len();
        let usable = hits
            .into_iter()
            .filter_map(|hit| serde_json::from_value::<Photo>(hit).ok())
            .filter_map(|photo| {
                stock::frame(&call.ask.accept, photo.width.zip(photo.height)).map(|frame| (photo, frame))
            })
            .collect();
        match stock::choose(call.ask, usable, |(photo, _): &(Photo, Frame)| &photo.id) {
            Some((photo, frame)) => photo.fetched(frame, &options.app_name),
            None => Err(stock::no_match("Unsplash", &keywords::query(call.ask), count)),
        }
    }
}

/// The version the replies are read in; without the header it is the vendor's newest.
fn version() -> Vec<(std::borrow::Cow<'static, str>, String)> {
    vec![("accept-version".into(), "v1".to_owned())]
}

/// Over its limit it answers 403 with a bare sentence instead of JSON.
fn error(reply: &HttpReply) -> VendorError {
    const MOST_BYTES: usize = 200;
    let mut error = VendorError::of(reply);
    let bare = std::str::from_utf8(&reply.body).ok().map(str::trim);
    let bare = bare
        .filter(|text| !text.is_empty() && text.len() <= MOST_BYTES && !text.starts_with(['<', '{', '[']));
    error.words = error.words.or(bare.map(str::to_owned));
    error
}

impl Photo {
    /// Its CDN cuts, scales and converts by parameters. Those that are there already name the search, which the
    /// vendor asks to keep.
    fn fetched(self, frame: Frame, app: &str) -> Result<Interpreted, Failure> {
        let mut url =
            Url::parse(&self.urls.raw).map_err(|_| Failure::unusable("the picture's address is none"))?;
        let ours = ["auto", "fm", "w", "h", "fit", "q"];
        let kept: Vec<(String, String)> =
            url.query_pairs().into_owned().filter(|(name, _)| !ours.contains(&name.as_str())).collect();
        {
            let mut query = url.query_pairs_mut();
            query.clear().extend_pairs(kept);
            query.append_pair("fm", "jpg").append_pair("q", "85").append_pair("w", &frame.width.to_string());
            if let Some(height) = frame.height {
                query.append_pair("h", &height.to_string()).append_pair("fit", "crop");
            }
        }
        let user = self.user.as_ref();
        let credit = Credit {
            library: "Unsplash",
            kind: "Photo",
            author: user.and_then(|user| user.name.as_deref().or(user.username.as_deref())),
            author_url: user
                .and_then(|user| user.links.as_ref())
                .and_then(|links| tagged(links.html.as_deref(), app)),
            work_url: self.links.as_ref().and_then(|links| tagged(links.html.as_deref(), app)),
            licence: LICENCE,
        };
        let mut metadata = credit.told();
        if let Some(Value::Object(attribution)) = metadata.get_mut("attribution") {
            attribution.insert("hotlink_url".to_owned(), url.as_str().into());
        }
        let output = Output { metadata, ..Output::plain(Body::File(bytes::Bytes::new())) };
        let url = url.into();
        Ok(match self.told_of_use() {
            Some(tell) => Interpreted::FetchAndTell { url, output, tell },
            None => Interpreted::Fetch { url, output },
        })
    }

    /// The request that tells the vendor of the use. It carries the key, so of the address in the reply only its
    /// parameters are taken; host and path are the configured ones.
    fn told_of_use(&self) -> Option<HttpRequest> {
        let location = self.links.as_ref().and_then(|links| stock::link(links.download_location.as_deref()));
        let query = location.map(|url| url.query_pairs().into_owned().collect()).unwrap_or_default();
        let query: Vec<(String, String)> = query;
        let id: String = self.id.chars().filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect();
        let tell = HttpRequest {
            query: query.into_iter().map(|(name, value)| (name.into(), value)).collect(),
            headers: version(),
            ..HttpRequest::get(format!("photos/{id}/download"))
        };
        (!id.is_empty()).then_some(tell)
    }
}

/// A link with the tags that the guidelines ask for.
fn tagged(text: Option<&str>, app: &str) -> Option<Url> {
    let mut url = stock::link(text)?;
    url.query_pairs_mut().append_pair("utm_source", app).append_pair("utm_medium", "referral");
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::recorded::search_of;
    use serde_json::json;

    #[test]
    fn a_search_asks_for_what_is_wanted() {
        let check = |options: Value, aspect: &str, expected: &str| {
            let asked = search_of(&Unsplash, &options, aspect);
            assert_eq!(asked, format!("search/photos?query=red fox&page=1&per_page=30{expected}"));
        };
        check(json!({}), "", "&content_filter=high");
        check(json!({"content_filter": "low"}), "16:9", "&orientation=landscape&content_filter=low");
        check(json!({"color": "red"}), "1:1", "&orientation=squarish&color=red&content_filter=high");
    }
}
