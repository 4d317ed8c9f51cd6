//! Posts a small body to an address of the configuration, for webhooks.

use std::time::Duration;

use reqwest::{Client, redirect};
use secrecy::{ExposeSecret, SecretString};

use super::driver::{builder, install_tls};

/// Time for the whole exchange.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whoever posts. Redirects are not followed: a signed body is for the address that was configured.
#[derive(Clone)]
pub struct Poster(Client);

impl Poster {
    /// A poster with a connection pool of its own.
    ///
    /// # Errors
    /// When the client cannot be made.
    pub fn new() -> Result<Self, String> {
        install_tls();
        let client = builder().redirect(redirect::Policy::none()).timeout(PATIENCE).build();
        client.map(Self).map_err(|error| error.to_string())
    }

    /// Posts it, and says with which status it was answered; the answer's body is not read.
    ///
    /// # Errors
    /// When there was no answer. The sentence does not name the address, which may be a secret.
    pub async fn post(
        &self,
        url: &SecretString,
        headers: &[(&'static str, String)],
        body: Vec<u8>,
    ) -> Result<u16, String> {
        let mut request = self.0.post(url.expose_secret()).body(body);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let answer = request.send().await.map_err(|error| {
            let said = if error.is_timeout() { "no answer in time" } else { "it cannot be reached" };
            tracing::debug!(error = %error.without_url(), "a webhook was not answered");
            said.to_owned()
        })?;
        Ok(answer.status().as_u16())
    }
}
