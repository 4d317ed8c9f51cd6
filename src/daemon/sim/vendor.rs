//! Simulated vendors and their vault: by mood, by chance, and under the eye of the laws.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::domain::ask::{Answer, Ask, Body, Output};
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::name::ProviderName;
use crate::domain::provider::Repeat;
use crate::domain::time::{Timestamp, after};
use crate::providers::Generate;
use crate::vault::{Kept, Vault, VaultError, VaultKey};

use super::law;
use super::life::Life;
use super::mood::Mood;
use super::world::{Operation, World};

/// The provider whose calls are accepted and have to be polled.
pub(super) const RENDERS: &str = "render";

/// The provider whose calls are free.
pub(super) const FREE: &str = "library";

/// The slug of a job that kills whoever calls somebody for it.
pub(super) const POISON: &str = "poison";

/// How likely a text is so long that it becomes a file.
const LONG: f64 = 0.1;

/// The vendors as one process sees them.
pub(super) struct SimVendors {
    pub(super) world: Arc<World>,
    pub(super) life: Arc<Life>,
}

pub(super) fn repeat_of(provider: &ProviderName) -> Repeat {
    if provider.as_str() == FREE { Repeat::Free } else { Repeat::Paid }
}

#[async_trait]
impl Generate for SimVendors {
    async fn call(&self, provider: &ProviderName, ask: &Ask, time_left: Duration) -> Result<Answer, Failure> {
        let world = &self.world;
        let underway = law::a_call_begins(world, &self.life.name, provider, ask);
        self.life.goes_on().await;
        if ask.slug.starts_with(POISON) {
            self.life.dies("it runs a poisonous job");
            self.life.goes_on().await;
        }
        let mood = world.mood(provider);
        let answer = self.answer(mood, provider, ask, time_left).await;
        self.life.goes_on().await;
        world.tell(format!("{} {provider} answers {}: {}", self.life.name, ask.slug, spoken(&answer)));
        drop(underway);
        answer
    }

    async fn poll(
        &self,
        provider: &ProviderName,
        operation: &str,
        ask: &Ask,
        time_left: Duration,
    ) -> Result<Answer, Failure> {
        let world = &self.world;
        self.life.goes_on().await;
        world.count(|count| count.polls += 1);
        tokio::time::sleep(world.millis(5, 300).min(time_left)).await;
        self.life.goes_on().await;
        let known = world.facts(|facts| facts.operations.get(operation).cloned());
        let Some(operation) = known.filter(|operation| operation.provider == *provider) else {
            world.broken(format!("{provider} is asked for operation {operation} that it never accepted"));
            return Err(Failure::new(FailureClass::UnknownOutcome, "no such operation"));
        };
        if world.time() < operation.ready_at {
            return match world.mood(provider) {
                Mood::Down => Err(Failure::new(FailureClass::Transient, "down")),
                Mood::Silent => Err(Failure::new(FailureClass::TimedOut, "no answer to a poll")),
                Mood::Fine
                | Mood::Slow
                | Mood::Flaky
                | Mood::Limited
                | Mood::Broke
                | Mood::Useless
                | Mood::Fussy
                | Mood::Puzzled
                | Mood::Locked => {
                    Ok(Answer::Accepted { operation: ask.idempotency_key.clone(), request_id: None })
                }
            };
        }
        match operation.comes_to {
            Mood::Down => Err(Failure::new(FailureClass::Unusable, "the render failed")),
            Mood::Fussy => Err(Failure::new(FailureClass::Refused { category: None }, "filtered")),
            Mood::Silent => Err(Failure::new(FailureClass::UnknownOutcome, "no such operation any more")),
            Mood::Fine
            | Mood::Slow
            | Mood::Flaky
            | Mood::Limited
            | Mood::Broke
            | Mood::Useless
            | Mood::Puzzled
            | Mood::Locked => Ok(Answer::Output(words(ask, operation.long))),
        }
    }
}

impl SimVendors {
    async fn answer(
        &self,
        mood: Mood,
        provider: &ProviderName,
        ask: &Ask,
        time_left: Duration,
    ) -> Result<Answer, Failure> {
        let world = &self.world;
        let takes = match mood {
            Mood::Silent => time_left,
            Mood::Slow => world.millis(20_000, 200_000),
            Mood::Fine
            | Mood::Down
            | Mood::Flaky
            | Mood::Limited
            | Mood::Broke
            | Mood::Useless
            | Mood::Fussy
            | Mood::Puzzled
            | Mood::Locked => world.millis(5, 3_000),
        };
        tokio::time::sleep(takes.min(time_left)).await;
        if takes >= time_left {
            let why = "no answer in time";
            return Err(Failure::new(FailureClass::without_answer(repeat_of(provider)), why));
        }
        let class = match mood {
            Mood::Down => FailureClass::Transient,
            Mood::Limited => FailureClass::RateLimited { until: self.hint(2, 2_000) },
            Mood::Broke => FailureClass::Quota { until: self.hint(600, 20_000) },
            Mood::Fussy => FailureClass::Refused { category: None },
            Mood::Puzzled => FailureClass::Invalid,
            Mood::Locked => FailureClass::Auth,
            Mood::Useless => return Ok(Answer::Output(Output::plain(Body::Text("{}".to_owned())))),
            Mood::Fine | Mood::Slow | Mood::Flaky | Mood::Silent => return Ok(self.makes(provider, ask)),
        };
        Err(Failure::new(class, "as the seed wants it"))
    }

    fn makes(&self, provider: &ProviderName, ask: &Ask) -> Answer {
        if provider.as_str() != RENDERS {
            return Answer::Output(words(ask, self.world.likely(LONG)));
        }
        let world = &self.world;
        let seconds = if world.likely(0.08) { 3_600..3 * 3_600 } else { 5..400 };
        let ready_at = after(world.time(), Duration::from_secs(world.chance(|chance| chance.u64(seconds))));
        let comes_to = if world.likely(0.7) { Mood::Fine } else { world.mood(provider) };
        // The vendor's own name for it; the attempt's key makes it unique.
        let operation = ask.idempotency_key.clone();
        let long = world.likely(LONG);
        let made = Operation { provider: provider.clone(), ready_at, comes_to, long };
        world.facts(|facts| facts.operations.insert(operation.clone(), made));
        Answer::Accepted { operation, request_id: None }
    }

    fn hint(&self, from: u64, to: u64) -> Option<Timestamp> {
        let seconds = self.world.chance(|chance| chance.bool().then(|| chance.u64(from..to)))?;
        Some(after(self.world.now(), Duration::from_secs(seconds)))
    }
}

/// A text, or one that is so long that it becomes a file.
fn words(ask: &Ask, long: bool) -> Output {
    let text = if long { "A long text. ".repeat(6_000) } else { format!("Words for {}.", ask.slug) };
    Output { cost_micros: 5, ..Output::plain(Body::Text(text)) }
}

fn spoken(answer: &Result<Answer, Failure>) -> String {
    match answer {
        Ok(Answer::Output(_)) => "an output".to_owned(),
        Ok(Answer::Accepted { operation, .. }) => format!("accepted as {operation}"),
        Err(failure) => failure.class.to_string(),
    }
}

/// A vault whose disk is full now and then.
pub(super) struct SimVault {
    pub(super) world: Arc<World>,
    pub(super) life: Arc<Life>,
}

#[async_trait]
impl Vault for SimVault {
    async fn keep(&self, key: &VaultKey, bytes: Bytes) -> Result<Kept, VaultError> {
        let world = &self.world;
        self.life.goes_on().await;
        tokio::time::sleep(world.millis(1, 50)).await;
        self.life.goes_on().await;
        let now = world.time();
        if world.facts(|facts| facts.vault_fails_until.is_some_and(|until| until > now)) {
            return Err(VaultError::Full { path: key.to_string().into() });
        }
        let size = bytes.len() as u64;
        let before = world.facts(|facts| facts.files.insert(key.to_string(), bytes.clone()));
        world.law(before.is_none_or(|before| before == bytes), || format!("the file {key} was overwritten"));
        Ok(Kept { url: format!("file:///vault/{key}"), bytes: size })
    }

    async fn find(&self, key: &VaultKey) -> Result<Option<Bytes>, VaultError> {
        self.life.goes_on().await;
        Ok(self.world.facts(|facts| facts.files.get(&key.to_string()).cloned()))
    }

    async fn remove(&self, key: &VaultKey) -> Result<(), VaultError> {
        self.life.goes_on().await;
        self.world.facts(|facts| facts.files.remove(&key.to_string()));
        Ok(())
    }
}

/// The folder beside the database where outputs wait for the vault. It outlives its processes.
pub(super) struct SimSpool {
    pub(super) world: Arc<World>,
    pub(super) life: Arc<Life>,
}

#[async_trait]
impl Vault for SimSpool {
    async fn keep(&self, key: &VaultKey, bytes: Bytes) -> Result<Kept, VaultError> {
        self.life.goes_on().await;
        let size = bytes.len() as u64;
        self.world.facts(|facts| facts.spool.insert(key.to_string(), bytes));
        self.world.tell(format!("{} puts {key} beside the database", self.life.name));
        Ok(Kept { url: format!("file:///in-hand/{key}"), bytes: size })
    }

    async fn find(&self, key: &VaultKey) -> Result<Option<Bytes>, VaultError> {
        self.life.goes_on().await;
        Ok(self.world.facts(|facts| facts.spool.get(&key.to_string()).cloned()))
    }

    async fn remove(&self, key: &VaultKey) -> Result<(), VaultError> {
        self.life.goes_on().await;
        self.world.facts(|facts| facts.spool.remove(&key.to_string()));
        Ok(())
    }
}
