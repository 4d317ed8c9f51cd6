//! Downloads what a reply only named: within reach, with the key for the configured host alone and only where
//! its files need it, and tried again as a download, because the generation behind it is paid for.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Response, StatusCode};
use tokio::time::{Instant, sleep};
use url::Url;

use crate::domain::failure::{Failure, FailureClass};

use super::address::{self, Reach};
use super::driver::{Driver, Vendor, is_out_of_reach, most_bytes, read_body, root_cause};
use super::protocol::Call;

/// The waits before each further try. A file that was just made may take a moment to reach the vendor's edge.
const PAUSES: [Duration; 3] = [Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(3)];

/// One try may not take longer than this.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(120);

/// Most redirects of a download.
const MOST_REDIRECTS: usize = 5;

/// A file from an address that a reply named.
#[derive(Debug)]
pub(super) struct Download {
    pub(super) bytes: Bytes,
    /// As the server calls it.
    pub(super) content_type: Option<String>,
}

/// Why a try gave no file.
enum Miss {
    /// It may be there in a moment.
    NotYet(String),
    /// It will not be.
    Gone(String),
    /// It is nothing that should be fetched, or too much of it.
    Unfit(String),
}

impl Driver {
    /// Fetches a file. A download that stays out leaves a paid generation whose output nobody has: its class
    /// is that of a call without answer, so that the walk does not pay for it a second time unasked.
    pub(super) async fn download(
        &self,
        address: &str,
        vendor: &Vendor,
        call: &Call<'_>,
        deadline: Instant,
    ) -> Result<Download, Failure> {
        let unfit = |why: &str| Failure::unusable(format!("the answer cannot be fetched: {why}"));
        let url = Url::parse(address).map_err(|_| unfit("it names no valid address"))?;
        address::allow(&url, vendor.reach).map_err(|why| unfit(&why))?;
        let lost = |why: String| {
            let class = FailureClass::without_answer(call.provider.repeat);
            Failure::new(class, format!("the answer is made but its download fails: {why}"))
        };
        let mut pauses = PAUSES.into_iter();
        loop {
            match self.try_download(url.clone(), vendor, most_bytes(call.ask.medium), deadline).await {
                Ok(download) => return Ok(download),
                Err(Miss::Unfit(why)) => return Err(unfit(&why)),
                Err(Miss::Gone(why)) => return Err(lost(why)),
                Err(Miss::NotYet(why)) => match pauses.next() {
                    Some(pause) if Instant::now() + pause < deadline => sleep(pause).await,
                    Some(_) | None => return Err(lost(why)),
                },
            }
        }
    }

    async fn try_download(
        &self,
        url: Url,
        vendor: &Vendor,
        most: usize,
        deadline: Instant,
    ) -> Result<Download, Miss> {
        let deadline = deadline.min(Instant::now() + DOWNLOAD_TIMEOUT);
        let response = self.follow(url, vendor, deadline).await?;
        let status = response.status();
        if !status.is_success() {
            let why = format!("its address answered {}", status.as_u16());
            return Err(if is_passing(status) { Miss::NotYet(why) } else { Miss::Gone(why) });
        }
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.map(str::to_owned);
        match read_body(response, most).await {
            Ok(bytes) => Ok(Download { bytes, content_type }),
            Err(cut) if cut.is_too_large() => Err(Miss::Unfit(cut.why(most))),
            Err(cut) => Err(Miss::NotYet(cut.why(most))),
        }
    }
}

impl Driver {
    /// The first answer that is no redirect. Redirects are followed here and not by the client, which would
    /// carry a header of the vendor's own to any host.
    async fn follow(&self, mut url: Url, vendor: &Vendor, deadline: Instant) -> Result<Response, Miss> {
        let client = match vendor.reach {
            Reach::Public => &self.fetch_public,
            Reach::Local => &self.fetch_local,
        };
        let mut keyed = vendor.files_need_key;
        for _ in 0..=MOST_REDIRECTS {
            // Once dropped, the key stays dropped: what sends us home from elsewhere is not home.
            keyed = keyed && address::same_host(&url, &vendor.base);
            let time = deadline.saturating_duration_since(Instant::now());
            let mut fetching = client.get(url.clone()).timeout(time);
            if let Some((name, value)) = vendor.authorization.as_ref().filter(|_| keyed) {
                fetching = fetching.header(name, value);
            }
            let response = fetching.send().await.map_err(unanswered)?;
            if !response.status().is_redirection() {
                return Ok(response);
            }
            url = target(&response, &url, vendor.reach)?;
        }
        Err(Miss::Unfit("it redirects in circles".to_owned()))
    }
}

fn unanswered(error: reqwest::Error) -> Miss {
    let error = error.without_url();
    if is_out_of_reach(&error) {
        Miss::Unfit(root_cause(&error))
    } else if error.is_timeout() {
        Miss::NotYet("no answer in time".to_owned())
    } else {
        Miss::NotYet(root_cause(&error))
    }
}

/// Where a redirect leads: to an address that could have been named in the first place.
fn target(response: &Response, from: &Url, reach: Reach) -> Result<Url, Miss> {
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let url = location.and_then(|text| from.join(text).ok());
    let Some(url) = url.filter(|url| matches!(url.scheme(), "https" | "http")) else {
        return Err(Miss::Unfit("it redirects to nothing that can be fetched".to_owned()));
    };
    address::allow(&url, reach).map_err(Miss::Unfit)?;
    Ok(url)
}

/// Whether a download may succeed in a moment: not there yet, too fast, or a server in trouble.
fn is_passing(status: StatusCode) -> bool {
    status == StatusCode::NOT_FOUND
        || status == StatusCode::REQUEST_TIMEOUT
        || status == StatusCode::TOO_EARLY
        || status == StatusCode::TOO_MANY_REQUESTS
        || status.is_server_error()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::net::TcpListener;

    use super::*;
    use crate::domain::time::{Clock, Timestamp};
    use crate::providers::openai_images::OpenAiImages;
    use crate::providers::recorded::{ask, provider};

    /// What a public vendor's reply names must not be reached by any way; nothing is ever accepted here.
    #[tokio::test]
    async fn a_public_vendors_reply_cannot_make_us_knock_at_home() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let driver = Driver::new().expect("clients");
        let (provider, ask) = (provider("openai-images", "m", "https://v.example"), ask());
        let clock: Clock = Arc::new(|| Timestamp::UNIX_EPOCH);
        let call = Call::generation(&provider, &ask, &clock);
        let vendor = Vendor::new(&provider, &OpenAiImages, None).expect("usable");
        for (address, why) in [
            (format!("https://127.0.0.1:{port}/x"), "private address"),
            (format!("https://localhost:{port}/x"), "no public address"),
            (format!("https://[::ffff:127.0.0.1]:{port}/x"), "private address"),
            (format!("http://127.0.0.1:{port}/x"), "not https"),
            ("file:///etc/passwd".to_owned(), "not https"),
            ("data:image/png;base64,iVBORw0KGgo=".to_owned(), "not https"),
            ("no address".to_owned(), "no valid address"),
        ] {
            let deadline = Instant::now() + Duration::from_secs(5);
            let failure = driver.download(&address, &vendor, &call, deadline).await.expect_err(&address);
            assert_eq!(failure.class, FailureClass::Unusable, "{address}");
            assert!(failure.message.contains(why), "{address}: {failure}");
        }
        let knock = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
        assert!(knock.is_err(), "somebody connected");
    }
}
