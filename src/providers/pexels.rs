//! Pexels: a library of photographs and of clips, searched by keywords.
//!
//! Rests on the vendor's documentation. Its allowance is one per hour and one per month; its headers tell of the
//! monthly one, and stand beside successes only.

use std::time::Duration;

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
use super::protocol::{Auth, Call, HttpReply, HttpRequest, Interpreted, Protocol};
use super::question::{Asked, Found};
use super::stock::{self, Credit, Frame, Orientation};
use super::vendor_error::VendorError;

/// How many hits to choose among; further down they have less to do with the search.
const HITS: &str = "30";

/// A reset further away than this is the month's.
const AN_HOUR: Duration = Duration::from_secs(3600);

/// The longer edge of a clip nobody asked a size of: larger files are slow to fetch and to play.
const CLIP_EDGE: u32 = 1920;

const LICENCE: &str = "Pexels asks for a prominent link to Pexels and a credit of the author where possible.";

/// The protocol `pexels-photo`.
pub(super) struct PexelsPhoto;

/// The protocol `pexels-video`.
pub(super) struct PexelsVideo;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct PexelsOptions {
    /// Language of the keywords: `de-DE`.
    locale: Option<String>,
    /// Photographs: `red`, `#ffffff`.
    color: Option<String>,
}

#[derive(Deserialize)]
struct Photos {
    photos: Option<Vec<Value>>,
}

#[derive(Deserialize)]
struct Photo {
    id: u64,
    width: Option<u32>,
    height: Option<u32>,
    url: Option<String>,
    photographer: Option<String>,
    photographer_url: Option<String>,
    src: Sources,
}

#[derive(Deserialize)]
struct Sources {
    original: String,
}

#[derive(Deserialize)]
struct Videos {
    videos: Option<Vec<Value>>,
}

#[derive(Deserialize)]
struct Video {
    id: u64,
    duration: Option<f64>,
    url: Option<String>,
    user: Option<User>,
    video_files: Vec<VideoFile>,
}

#[derive(Deserialize)]
struct User {
    name: Option<String>,
    url: Option<String>,
}

#[derive(Deserialize)]
struct VideoFile {
    file_type: Option<String>,
    width: Option<u32>,
    height: Option<u32>,
    link: String,
}

/// The bare key, without `Bearer`.
const AUTH: Auth = Auth::bare("authorization");

impl Protocol for PexelsPhoto {
    fn auth(&self, _provider: &Provider) -> Auth {
        AUTH
    }

    fn check(&self, provider: &Provider) -> Result<(), String> {
        options::read::<PexelsOptions>(provider).map(drop)
    }

    /// The smallest search.
    fn question(&self, _provider: &Provider) -> Option<HttpRequest> {
        let query = vec![("query".into(), "fox".to_owned()), ("per_page".into(), "1".to_owned())];
        Some(HttpRequest { query, ..HttpRequest::get("v1/search") })
    }

    fn answer(&self, asked: &Asked<'_>, reply: &HttpReply) -> Result<Found, Failure> {
        asked.hits(reply, "photos")
    }

    fn request(&self, call: &Call<'_>) -> Result<HttpRequest, Failure> {
        search(call, "v1/search")
    }

    fn interpret(&self, call: &Call<'_>, reply: &HttpReply) -> Result<Interpreted, Failure> {
        if !reply.is_success() {
            return Err(failure(call, reply));
        }
        let found: Photos = reply.json()?;
        let Some(hits) = found.photos else {
            return Err(Failure::unusable("the answer holds no list of pictures"));
        };
        let count = hits.len();
        let usable = hits
            .into_iter()
            .filter_map(|hit| serde_json::from_value::<Photo>(hit).ok())
            .filter_map(|photo| {
                let size = photo.width.zip(photo.height);
                stock::frame(&call.ask.accept, size).map(|frame| (photo.id.to_string(), photo, frame))
            })
            .collect();
        match stock::choose(call.ask, usable, |(id, ..): &(String, Photo, Frame)| id) {
            Some((_, photo, frame)) => photo.fetched(frame),
            None => Err(stock::no_match("Pexels", &keywords::query(call.ask), count)),
        }
    }
}

impl Protocol for PexelsVideo {
    fn auth(&self, _provider: &Provider) -> Auth {
        AUTH
    }

    fn check(&self, provider: &Provider) -> Result<(), String> {
        let options: PexelsOptions = options::read(provider)?;
        match options.color {
            Some(_) => Err("options: Pexels knows no colour of clips; leave color out".to_owned()),
            None => Ok(()),
        }
    }

    /// The smallest search.
    fn question(&self, _provider: &Provider) -> Option<HttpRequest> {
        let query = vec![("query".into(), "fox".to_owned()), ("per_page".into(), "1".to_owned())];
        Some(HttpRequest { query, ..HttpRequest::get("videos/search") })
    }

    fn answer(&self, asked: &Asked<'_>, reply: &HttpReply) -> Result<Found, Failure> {
        asked.hits(reply, "videos")
    }

    fn request(&self, call: &Call<'_>) -> Result<HttpRequest, Failure> {
        search(call, "videos/search")
    }

    fn interpret(&self, call: &Call<'_>, reply: &HttpReply) -> Result<Interpreted, Failure> {
        if !reply.is_success() {
            return Err(failure(call, reply));
        }
        let found: Videos = reply.json()?;
        let Some(hits) = found.videos else {
            return Err(Failure::unusable("the answer holds no list of clips"));
        };
        let count = hits.len();
        let least = call.ask.accept.min_duration.map_or(0.0, |length| length.as_secs_f64());
        let usable = hits
            .into_iter()
            .filter_map(|hit| serde_json::from_value::<Video>(hit).ok())
            .filter(|video| video.duration.is_none_or(|seconds| seconds >= least))
            .filter_map(|video| video.best_file(call).map(|file| (video.id.to_string(), video, file)))
            .collect();
        match stock::choose(call.ask, usable, |(id, ..): &(String, Video, String)| id) {
            Some((_, video, file)) => Ok(video.fetched(file)),
            None => Err(stock::no_match("Pexels", &keywords::query(call.ask), count)),
        }
    }
}

fn search(call: &Call<'_>, path: &str) -> Result<HttpRequest, Failure> {
    let options: PexelsOptions = options::of_call(call.provider)?;
    let mut query = vec![
        ("query".into(), keywords::query(call.ask)),
        ("page".into(), "1".to_owned()),
        ("per_page".into(), HITS.to_owned()),
    ];
    if let Some(orientation) = stock::orientation(&call.ask.accept) {
        let word = match orientation {
            Orientation::Landscape => "landscape",
            Orientation::Portrait => "portrait",
            Orientation::Square => "square",
        };
        query.push(("orientation".into(), word.to_owned()));
    }
    query.extend(options.locale.map(|locale| ("locale".into(), locale)));
    query.extend(options.color.map(|color| ("color".into(), color)));
    Ok(HttpRequest { query, ..HttpRequest::get(path) })
}

/// A 429 is the hour's allowance unless something says that it is the month's.
fn failure(call: &Call<'_>, reply: &HttpReply) -> Failure {
    let error = VendorError::of(reply);
    let failure = classify::failure(call, reply, &error);
    if reply.status != 429 {
        return failure;
    }
    let monthly = error.words.is_some_and(|words| words.to_lowercase().contains("month"));
    let reset = hints::retry_at(reply, call.now());
    let far = reset.filter(|reset| *reset > hints::in_time(AN_HOUR, call.now()));
    if monthly || far.is_some() {
        return Failure { class: FailureClass::Quota { until: far }, ..failure };
    }
    failure
}

impl Photo {
    /// Its CDN cuts and scales by parameters, as the addresses in `src` show.
    fn fetched(self, frame: Frame) -> Result<Interpreted, Failure> {
        let mut url =
            Url::parse(&self.src.original).map_err(|_| Failure::unusable("the picture's address is none"))?;
        {
            let mut query = url.query_pairs_mut();
            query.clear().append_pair("auto", "compress").append_pair("cs", "tinysrgb");
            query.append_pair("w", &frame.width.to_string());
            if let Some(height) = frame.height {
                query.append_pair("h", &height.to_string()).append_pair("fit", "crop");
            }
        }
        let credit = Credit {
            library: "Pexels",
            kind: "Photo",
            author: self.photographer.as_deref(),
            author_url: stock::link(self.photographer_url.as_deref()),
            work_url: stock::link(self.url.as_deref()),
            licence: LICENCE,
        };
        let output = Output { metadata: credit.told(), ..Output::plain(Body::File(bytes::Bytes::new())) };
        Ok(Interpreted::Fetch { url: url.into(), output })
    }
}

impl Video {
    /// The address of the smallest file that is large enough, and of the largest up to full HD where no size is
    /// asked for. `None` where none serves.
    fn best_file(&self, call: &Call<'_>) -> Option<String> {
        let accept = &call.ask.accept;
        let fits = |file: &&VideoFile| {
            let (Some(width), Some(height)) = (file.width, file.height) else { return false };
            // HLS playlists are listed beside the files.
            file.file_type.as_deref().is_none_or(|kind| kind == "video/mp4")
                && width >= accept.min_width.unwrap_or(1)
                && height >= accept.min_height.unwrap_or(1)
                && accept.aspect.is_none_or(|aspect| aspect.fits(width, height))
        };
        let edge = |file: &&VideoFile| file.width.max(file.height).unwrap_or(0);
        let large = |file: &&VideoFile| edge(file) > CLIP_EDGE;
        let files = || self.video_files.iter().filter(fits);
        let best = files().filter(|file| !large(file)).max_by_key(edge);
        best.or_else(|| files().filter(large).min_by_key(edge)).map(|file| file.link.clone())
    }

    fn fetched(self, url: String) -> Interpreted {
        let user = self.user.as_ref();
        let credit = Credit {
            library: "Pexels",
            kind: "Video",
            author: user.and_then(|user| user.name.as_deref()),
            author_url: stock::link(user.and_then(|user| user.url.as_deref())),
            work_url: stock::link(self.url.as_deref()),
            licence: LICENCE,
        };
        let output = Output { metadata: credit.told(), ..Output::plain(Body::File(bytes::Bytes::new())) };
        Interpreted::Fetch { url, output }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::accept::{Acceptance, Aspect};
    use crate::domain::time::Clock;
    use crate::providers::recorded::{ask, provider, search_of};
    use serde_json::json;

    #[test]
    fn a_search_asks_for_what_is_wanted() {
        let photos = |options: Value, aspect| search_of(&PexelsPhoto, &options, aspect);
        let videos = |options: Value, aspect| search_of(&PexelsVideo, &options, aspect);
        assert_eq!(photos(json!({}), ""), "v1/search?query=red fox&page=1&per_page=30");
        assert_eq!(
            photos(json!({"locale": "de-DE", "color": "red"}), "3:2"),
            "v1/search?query=red fox&page=1&per_page=30&orientation=landscape&locale=de-DE&color=red"
        );
        assert_eq!(
            videos(json!({}), "9:16"),
            "videos/search?query=red fox&page=1&per_page=30&orientation=portrait"
        );
        let mut coloured = provider("pexels-video", "", "https://api.pexels.com");
        coloured.options = json!({"color": "red"}).as_object().expect("an object").clone();
        assert!(PexelsVideo.check(&coloured).is_err(), "clips have no colour");
        assert!(PexelsPhoto.check(&coloured).is_ok());
    }

    fn clip(accept: Acceptance, files: &Value, seconds: u32) -> Option<String> {
        let provider = provider("pexels-video", "", "https://api.pexels.com");
        let clock: Clock = std::sync::Arc::new(|| chrono::DateTime::UNIX_EPOCH);
        let mut ask = ask();
        ask.accept = accept;
        let body = json!({"videos": [{"id": 1, "duration": seconds, "video_files": files}]});
        let reply = HttpReply { status: 200, body: body.to_string().into(), ..HttpReply::default() };
        match PexelsVideo.interpret(&Call::generation(&provider, &ask, &clock), &reply) {
            Ok(Interpreted::Fetch { url, .. }) => Some(url),
            Err(failure) => {
                assert_eq!(failure.class.as_str(), "refused", "{failure}");
                None
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn of_a_clips_files_the_one_that_fits_is_taken() {
        let file = |link: &str, width: u32, height: u32, kind: &str| json!({"file_type": kind, "width": width, "height": height, "link": link});
        let files = json!([
            file("small", 640, 360, "video/mp4"),
            file("hd", 1280, 720, "video/mp4"),
            file("fhd", 1920, 1080, "video/mp4"),
            file("uhd", 3840, 2160, "video/mp4"),
            file("tall", 1080, 1920, "video/mp4"),
            file("list", 1920, 1080, "application/x-mpegURL"),
            {"link": "bare"},
        ]);
        let check = |accept: Acceptance, seconds, expected: Option<&str>| {
            assert_eq!(clip(accept.clone(), &files, seconds).as_deref(), expected, "{accept:?}");
        };
        let wide = || Acceptance { aspect: Aspect::parse("16:9"), ..Acceptance::default() };
        check(wide(), 8, Some("fhd"));
        check(Acceptance { min_width: Some(2000), ..wide() }, 8, Some("uhd"));
        check(Acceptance { min_width: Some(4000), ..wide() }, 8, None);
        check(Acceptance { aspect: Aspect::parse("9:16"), ..Acceptance::default() }, 8, Some("tall"));
        check(Acceptance { min_duration: Some(Duration::from_secs(9)), ..wide() }, 8, None);
        check(Acceptance { min_duration: Some(Duration::from_secs(8)), ..wide() }, 8, Some("fhd"));
    }
}
