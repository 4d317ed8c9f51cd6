//! What a vendor can be asked at no cost: whether it takes the key, and whether it still has the model.

use std::time::Duration;

use chrono::NaiveDate;
use secrecy::ExposeSecret;
use serde_json::Value;

use crate::domain::failure::{Failure, FailureClass};
use crate::domain::provider::{Provider, Repeat};
use crate::domain::time::Timestamp;

use super::classify;
use super::driver::{Bounds, Driver, Vendor};
use super::protocol::{HttpReply, HttpRequest};
use super::scrub;
use super::vendor_error::VendorError;

/// Most of a list of models that is read; OpenRouter's, the longest known, has about one megabyte.
const LIST_BYTES: usize = 8 << 20;

/// What became of asking about a provider.
#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    /// It works on this machine and needs nobody.
    NeedsNobody,
    /// Its vendor has no question that costs nothing, so nothing was asked.
    NoQuestion,
    /// The vendor answered.
    Found(Found),
    /// It refused, or there was no answer that means something. The message holds no key.
    Failed(Failure),
}

/// What a vendor's answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Whether the answer was for this key alone: some vendors show their list to anybody.
    pub proves_key: bool,
    /// How the provider's model stands; `None` where the answer says nothing of models.
    pub model: Option<Listing>,
}

/// How a model stands with its vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// It is there, until the day the vendor names, if it names one.
    Listed {
        /// The day the vendor will switch it off, or did.
        ends: Option<NaiveDate>,
    },
    /// The vendor's list is there, and the model is not in it.
    Missing,
}

impl Found {
    /// The key is taken; of models nothing was said.
    pub(super) const KEY: Self = Self { proves_key: true, model: None };

    /// The key is taken, and the model is there.
    pub(super) const LISTED: Self = Self { proves_key: true, model: Some(Listing::Listed { ends: None }) };
}

/// A question about a provider, as its protocol sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    /// Who is asked about.
    pub(super) provider: &'a Provider,
    /// The present, to turn a vendor's hint into an instant.
    pub(super) now: Timestamp,
}

impl Asked<'_> {
    /// The failure that a reply's error is.
    pub(super) fn failure(&self, reply: &HttpReply) -> Failure {
        self.failure_of(reply, &VendorError::of(reply))
    }

    /// As [`Asked::failure`], for a protocol that reads errors in its own way.
    pub(super) fn failure_of(&self, reply: &HttpReply, error: &VendorError) -> Failure {
        classify::error(Repeat::Free, self.provider.model.as_deref(), self.now, reply, error)
    }

    /// The JSON of a reply that succeeded.
    pub(super) fn json(&self, reply: &HttpReply) -> Result<Value, Failure> {
        if reply.is_success() { reply.json() } else { Err(self.failure(reply)) }
    }

    /// What a reply that holds one of these lists says of the key: a search's answer.
    pub(super) fn hits(&self, reply: &HttpReply, list: &str) -> Result<Found, Failure> {
        match self.json(reply)?.get(list) {
            Some(Value::Array(_)) => Ok(Found::KEY),
            Some(_) | None => Err(Failure::unusable("the answer is not that of a search")),
        }
    }

    /// How the provider's model stands in a list. `text` reads a field of an entry.
    pub(super) fn listed(&self, list: &[Value], id: &str, ends: &str) -> Option<Listing> {
        let model = self.provider.model.as_deref()?;
        let text = |entry: &Value, field: &str| entry.get(field).and_then(Value::as_str).map(str::to_owned);
        let found = list.iter().find(|entry| {
            // Ollama's name of a model that was pulled without a tag.
            text(entry, id).is_some_and(|id| id == model || id.strip_suffix(":latest") == Some(model))
        });
        Some(match found {
            Some(entry) => Listing::Listed { ends: text(entry, ends).and_then(|day| day.parse().ok()) },
            None => Listing::Missing,
        })
    }
}

impl Driver {
    /// Asks a vendor the free question about a provider. Nothing is made, and nothing is asked twice.
    pub(super) async fn ask(&self, vendor: &Vendor, asked: &Asked<'_>, time: Duration) -> Finding {
        let Some(request) = vendor.protocol.question(asked.provider) else { return Finding::NoQuestion };
        match self.answer(vendor, asked, request, time).await {
            Ok(found) => Finding::Found(found),
            Err(failure) => {
                let key = vendor.key.as_ref().map(|key| key.expose_secret());
                Finding::Failed(Failure { message: scrub::scrub(&failure.message, key, ""), ..failure })
            }
        }
    }

    async fn answer(
        &self,
        vendor: &Vendor,
        asked: &Asked<'_>,
        request: HttpRequest,
        time: Duration,
    ) -> Result<Found, Failure> {
        if time.is_zero() {
            return Err(Failure::new(FailureClass::TimedOut, "no time was left to ask it"));
        }
        let bounds = Bounds { repeat: Repeat::Free, most: LIST_BYTES, time };
        let reply = self.send(vendor, request, bounds).await?;
        let answer = vendor.protocol.answer(asked, &reply);
        answer
            .map_err(|failure| Failure { http_status: failure.http_status.or(Some(reply.status)), ..failure })
    }
}
