//! The catalog, one file per protocol, the local makers, and the one HTTP driver.

mod address;
mod anthropic;
mod catalog;
mod classify;
mod cost;
mod download;
mod driver;
mod encoded;
mod further;
mod gemini_image;
mod gemini_video;
mod gone_model;
mod google;
mod hints;
mod http;
mod imagen;
mod keywords;
pub mod local;
mod lummi;
mod makers;
mod openai_chat;
mod openai_images;
mod openai_models;
mod operation;
mod options;
mod pexels;
mod picture_size;
pub mod post;
pub mod prompt;
mod protocol;
mod question;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod recorded_kinds;
#[cfg(test)]
mod recorded_properties;
mod reserving;
mod scrub;
mod stock;
mod unsplash;
mod vendor_error;
mod veo;
mod video;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;

use crate::domain::ask::{Answer, Ask};
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::name::ProviderName;
use crate::domain::provider::Provider;
use crate::domain::time::Clock;

pub use catalog::catalog;
pub use keywords::SEARCHED_INPUT;
pub use question::{Finding, Found, Listing};
pub use reserving::{reservation, usual_reservation};

use driver::{Driver, Vendor};
use makers::Maker;
use protocol::Mistake;
use question::Asked;

/// What the daemon needs of the providers. Its tests put a fake here.
#[async_trait]
pub trait Generate: Send + Sync {
    /// Calls a provider once. `time_left` bounds everything the call does, downloads included; the provider's
    /// own time-out bounds the vendor's answer besides. Nothing is repeated in here but downloads, so every
    /// repeat that may cost money is decided by the walk.
    ///
    /// # Errors
    /// The class says what became of the call; the message holds no key, prompt or body.
    async fn call(&self, provider: &ProviderName, ask: &Ask, time_left: Duration) -> Result<Answer, Failure>;

    /// Asks a vendor how an accepted operation stands. Asking is free whatever the generation costs, so a
    /// poll without answer is `timed_out`, never `unknown_outcome`.
    ///
    /// # Errors
    /// As for [`Generate::call`]; `invalid` where the provider's protocol has no operations.
    async fn poll(
        &self,
        provider: &ProviderName,
        operation: &str,
        ask: &Ask,
        time_left: Duration,
    ) -> Result<Answer, Failure>;
}

/// Every configured provider, ready to be called.
pub struct Providers {
    ways: HashMap<ProviderName, (Provider, Way)>,
    clock: Clock,
}

/// How a provider is reached.
enum Way {
    /// Within this process.
    Local(Maker),
    /// Over HTTP.
    Vendor(Arc<Driver>, Box<Vendor>),
}

/// Providers that cannot be used as they are configured, one sentence each.
#[derive(Debug, thiserror::Error)]
#[error("{}", .mistakes.join("\n"))]
pub struct ProvidersError {
    /// What is wrong and where: `providers.house: base_url is missing`.
    pub mistakes: Vec<String>,
}

impl Providers {
    /// Makes every provider ready. `secrets` holds the keys of those that have one; a provider without a key
    /// is called without one.
    ///
    /// # Errors
    /// Every mistake at once: a bad address, an option no protocol understands, a maker that cannot be made.
    pub fn new(
        providers: &[Provider],
        mut secrets: HashMap<ProviderName, SecretString>,
        clock: Clock,
    ) -> Result<Self, ProvidersError> {
        let driver =
            Driver::new().map(Arc::new).map_err(|mistake| ProvidersError { mistakes: vec![mistake] })?;
        let mut ways = HashMap::with_capacity(providers.len());
        let mut mistakes = Vec::new();
        for provider in providers {
            match way(provider, secrets.remove(&provider.name), &driver) {
                Ok(way) => {
                    ways.insert(provider.name.clone(), (provider.clone(), way));
                }
                Err(wrong) => mistakes.extend(wrong),
            }
        }
        if mistakes.is_empty() { Ok(Self { ways, clock }) } else { Err(ProvidersError { mistakes }) }
    }

    /// Asks a provider's vendor, at no cost, whether it takes the key and still has the model. `time` bounds the
    /// question and its answer. Never a generation.
    pub async fn ask(&self, provider: &ProviderName, time: Duration) -> Finding {
        match self.find(provider) {
            Ok((_, Way::Local(_))) => Finding::NeedsNobody,
            Ok((provider, Way::Vendor(driver, vendor))) => {
                let asked = Asked { provider, now: (self.clock)() };
                driver.ask(vendor, &asked, time).await
            }
            Err(failure) => Finding::Failed(failure),
        }
    }

    fn find(&self, name: &ProviderName) -> Result<&(Provider, Way), Failure> {
        self.ways.get(name).ok_or_else(|| {
            Failure::new(FailureClass::Invalid, format!("no provider called \"{name}\" is configured"))
        })
    }
}

/// The way to a provider, or everything that is wrong with it.
fn way(provider: &Provider, key: Option<SecretString>, driver: &Arc<Driver>) -> Result<Way, Vec<String>> {
    if let Some(maker) = makers::maker(provider).map_err(|wrong| vec![wrong])? {
        return Ok(Way::Local(maker));
    }
    match protocol::named(&provider.protocol) {
        Some(protocol) => {
            let mistakes = protocol.mistakes(provider);
            if !mistakes.is_empty() {
                return Err(mistakes.iter().map(|mistake| mistake.of_provider(provider)).collect());
            }
            let vendor = Vendor::new(provider, protocol, key);
            let vendor = vendor.map_err(|why| vec![format!("providers.{}: {why}", provider.name)])?;
            Ok(Way::Vendor(Arc::clone(driver), Box::new(vendor)))
        }
        None => {
            let wrong = format!("there is no protocol \"{}\"", provider.protocol);
            Err(vec![Mistake::of("protocol", wrong).of_provider(provider)])
        }
    }
}

#[async_trait]
impl Generate for Providers {
    async fn call(&self, provider: &ProviderName, ask: &Ask, time_left: Duration) -> Result<Answer, Failure> {
        let (provider, way) = self.find(provider)?;
        match way {
            Way::Local(maker) => maker.make(ask, time_left).await.map(Answer::Output),
            Way::Vendor(driver, vendor) => {
                driver.call(vendor, protocol::Call::generation(provider, ask, &self.clock), time_left).await
            }
        }
    }

    async fn poll(
        &self,
        provider: &ProviderName,
        operation: &str,
        ask: &Ask,
        time_left: Duration,
    ) -> Result<Answer, Failure> {
        let (provider, way) = self.find(provider)?;
        match way {
            Way::Local(_) => Err(protocol::no_operations(provider)),
            Way::Vendor(driver, vendor) => {
                let call = protocol::Call::poll(provider, ask, &self.clock, operation);
                driver.call(vendor, call, time_left).await
            }
        }
    }
}
