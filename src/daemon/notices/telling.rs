//! One destination: what waits for it is told in order, and again where it was not taken.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Map, Value, json};

use crate::config::{Config, NoticeFormat, Token, Webhook, key_of};
use crate::daemon::book::Book;
use crate::daemon::desk::ask::headline;
use crate::daemon::shared::Shared;
use crate::domain::backoff::Backoff;
use crate::domain::notice::NoticeKind;
use crate::domain::time::{Timestamp, after, between, from_text};
use crate::providers::post::Poster;
use crate::store::{Notice, StoreError, Told};

use super::{BATCH, LOOK, command, webhook};

/// How long a notice that was not taken waits for the next try.
const RETRY: Backoff = Backoff { base: Duration::from_secs(2), cap: Duration::from_secs(3_600) };

/// So many tries take a day: 2 s, 4 s, ... 34 minutes, then an hour each.
const MOST_TRIES: u32 = 35;

/// A try that has begun belongs to its daemon for so long: more than any takes.
const TRY: Duration = Duration::from_secs(60);

/// After so many refusals in a row it is the destination that is broken, not what it is told.
const MOST_IN_A_ROW: u32 = 3;

/// How long a destination that seems to be broken is left alone.
const PAUSE: Duration = Duration::from_secs(5);

/// The command's name among the destinations.
pub(super) const ON_MANUAL: &str = "on_manual";

/// A destination of notices.
pub(in crate::daemon) struct Teller {
    /// Its name.
    pub(super) name: String,
    on: Vec<NoticeKind>,
    means: Means,
    /// Whether it is given up after a day. A command is not: who mends it finds everything told.
    gives_up: bool,
}

/// How a destination is told.
enum Means {
    Command(Vec<String>),
    Standard {
        url: SecretString,
        key: Vec<u8>,
        poster: Poster,
    },
    Text {
        url: SecretString,
        poster: Poster,
    },
    /// It cannot be told as things are, and why.
    Unready(String),
}

impl Teller {
    /// Every destination of a configuration.
    ///
    /// # Errors
    /// When no webhook can be posted at all.
    pub(in crate::daemon) fn all(config: &Config) -> Result<Vec<Self>, String> {
        let command = config.on_manual.clone().map(|command| Self {
            name: ON_MANUAL.to_owned(),
            on: vec![NoticeKind::Manual],
            means: Means::Command(command),
            gives_up: false,
        });
        let mut tellers: Vec<Self> = command.into_iter().collect();
        if config.notices.is_empty() {
            return Ok(tellers);
        }
        let poster = Poster::new()?;
        tellers.extend(config.notices.iter().map(|webhook| Self::webhook(webhook, &poster)));
        Ok(tellers)
    }

    fn webhook(webhook: &Webhook, poster: &Poster) -> Self {
        let missing =
            |what: &str, looked_in: &str| Means::Unready(format!("its {what} is missing: {looked_in}"));
        let means = match (&webhook.url, webhook.format, &webhook.secret) {
            (Token::Found { value, .. }, NoticeFormat::Text, _) => {
                Means::Text { url: value.clone(), poster: poster.clone() }
            }
            (Token::Found { value: url, .. }, NoticeFormat::Standard, Token::Found { value, .. }) => {
                match key_of(secrecy::ExposeSecret::expose_secret(value)) {
                    Some(key) => Means::Standard { url: url.clone(), key, poster: poster.clone() },
                    None => Means::Unready("its secret is none".to_owned()),
                }
            }
            (Token::Found { .. }, NoticeFormat::Standard, Token::Missing { looked_in }) => {
                missing("secret", looked_in)
            }
            (Token::Missing { looked_in }, _, _) => missing("address", looked_in),
            (Token::Unset, _, _) | (_, NoticeFormat::Standard, Token::Unset) => {
                Means::Unready("it is not configured".to_owned())
            }
        };
        Self { name: webhook.name.clone(), on: webhook.on.clone(), means, gives_up: true }
    }

    /// Whether it is told of this.
    pub(super) fn wants(&self, kind: NoticeKind) -> bool {
        self.on.contains(&kind)
    }

    /// Tells one notice; an error is worth another try unless it is final.
    async fn tell(&self, notice: &Notice, book: &Book, now: Timestamp) -> Result<(), Failed> {
        let again = |why: String| Failed { why, is_final: false };
        match &self.means {
            Means::Command(command) => command::tell(command, &body(notice, book)).await.map_err(again),
            Means::Standard { url, key, poster } => {
                let body = json!({
                    "type": notice.kind,
                    "timestamp": notice.created_at,
                    "data": body(notice, book),
                });
                webhook::standard(poster, url, key, &notice.name, &body, now).await
            }
            Means::Text { url, poster } => webhook::text(poster, url, &sentence(notice)).await,
            Means::Unready(why) => Err(again(why.clone())),
        }
    }
}

/// Why a notice was not taken.
pub(super) struct Failed {
    pub(super) why: String,
    /// Whether the receiver said that it will never take any.
    pub(super) is_final: bool,
}

/// Tells what comes, for as long as the configuration names this destination.
pub(super) async fn follow(shared: Arc<Shared>, name: String) -> String {
    let mut told = shared.told.subscribe();
    loop {
        let book = shared.book();
        let Some(teller) = book.tellers.iter().find(|teller| teller.name == name) else { return name };
        let looked = tell_due(&shared, teller).await.unwrap_or_else(|error| {
            tracing::warn!(%error, destination = name, "notices cannot be read; trying again");
            Looked { next: None, is_broken: true }
        });
        if looked.is_broken {
            // New notices do not hurry it.
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        let now = shared.now();
        let wait = looked.next.map_or(LOOK, |next| between(now, next).clamp(Duration::from_secs(1), LOOK));
        tokio::select! {
            biased;
            Ok(()) = told.changed() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// What a look at the outbox came to.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// When the next try of a notice is due.
    next: Option<Timestamp>,
    /// Whether the destination itself seems to be broken.
    is_broken: bool,
}

impl Looked {
    fn sooner(&mut self, at: Timestamp) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }
}

/// Tells every notice that waits for this destination, oldest first. One that is not taken waits longer and longer, and
/// the others do not wait for it.
pub(super) async fn tell_due(shared: &Shared, teller: &Teller) -> Result<Looked, StoreError> {
    let (mut last, mut in_a_row, mut looked) = (0, 0, Looked::default());
    loop {
        let waiting = shared.store.unsent_notices(last, BATCH).await?;
        let Some(newest) = waiting.last() else { return Ok(looked) };
        last = newest.id;
        for notice in waiting.iter().filter(|notice| teller.wants(notice.kind)) {
            let Some(told) = try_once(shared, teller, notice, &mut looked).await? else { continue };
            in_a_row = if told == Told::Taken { 0 } else { in_a_row + 1 };
            if in_a_row == MOST_IN_A_ROW {
                return Ok(Looked { is_broken: true, ..looked });
            }
        }
    }
}

/// Tells one notice, if its time has come; `None` where it was not tried.
async fn try_once(
    shared: &Shared,
    teller: &Teller,
    notice: &Notice,
    looked: &mut Looked,
) -> Result<Option<Told>, StoreError> {
    let now = shared.now();
    let send = notice.sends.iter().find(|send| send.destination == teller.name);
    if send.is_some_and(|send| send.is_over()) {
        return Ok(None);
    }
    if let Some(at) = send.and_then(|send| from_text(send.next_at.as_deref()?)).filter(|at| *at > now) {
        looked.sooner(at);
        return Ok(None);
    }
    if !shared.store.take_notice(notice.id, &teller.name, after(now, TRY), now).await? {
        return Ok(None);
    }
    let tries = send.map_or(1, |send| send.tries.saturating_add(1));
    let told = match teller.tell(notice, &shared.book(), now).await {
        Ok(()) => Told::Taken,
        Err(failed) => refused(shared, teller, notice, tries, failed),
    };
    shared.store.notice_told(notice.id, &teller.name, &told, shared.now()).await?;
    if let Told::NotYet { again, .. } = told {
        looked.sooner(again);
    }
    Ok(Some(told))
}

fn refused(shared: &Shared, teller: &Teller, notice: &Notice, tries: u32, failed: Failed) -> Told {
    let Failed { why, is_final } = failed;
    let destination = &teller.name;
    if is_final || (teller.gives_up && tries >= MOST_TRIES) {
        tracing::error!(
            notice = notice.id,
            destination,
            why,
            "a notice was given up; backstop notices shows it"
        );
        return Told::Never(why);
    }
    tracing::warn!(notice = notice.id, destination, why, tries, "a notice was not taken; trying again");
    // Without jitter: it would shorten the day, and a receiver has few senders.
    let wait = RETRY.ceiling(tries.saturating_sub(1));
    Told::NotYet { why, again: after(shared.now(), wait) }
}

/// What is told, for programs.
fn body(notice: &Notice, book: &Book) -> Value {
    let mut body = json!({ "id": notice.id, "kind": notice.kind, "sentence": sentence(notice) });
    let mut put = |key: &str, value: Value| {
        if let Some(fields) = body.as_object_mut() {
            fields.insert(key.to_owned(), value);
        }
    };
    if let Some(job) = &notice.job {
        let none = Map::new();
        let input = job.input.as_ref().and_then(Value::as_object).unwrap_or(&none);
        let page = book.assets.values().find(|page| page.asset.name.as_str() == job.asset);
        let made = || page?.prompt.render(&job.slug, &page?.asset.name, input, None).ok();
        put("prompt", json!(job.prompt.clone().or_else(made)));
        put("job", json!(job));
    }
    if let Some(provider) = &notice.provider {
        put("provider", json!(provider));
    }
    if let Some(detail) = &notice.detail {
        put("detail", json!(detail));
    }
    body
}

/// What is told, for people, in one line.
fn sentence(notice: &Notice) -> String {
    let detail = notice.detail.as_deref().unwrap_or_default();
    let provider = notice.provider.as_deref().unwrap_or("a provider");
    match (notice.kind, &notice.job) {
        (_, Some(job)) => {
            let place = job.url.as_ref().filter(|_| job.status == "done");
            let place = place.map(|url| format!(" {url}")).unwrap_or_default();
            format!("{}: {}{place}", headline(job), job.slug)
        }
        (NoticeKind::ProviderOpened, None) => format!("{provider} is not called for a while: {detail}"),
        (NoticeKind::ProviderClosed, None) => format!("{provider} is called again"),
        (NoticeKind::ProviderRetired, None) => format!("{provider} was shut down by its vendor: {detail}"),
        (
            NoticeKind::Manual
            | NoticeKind::Done
            | NoticeKind::Failed
            | NoticeKind::Budget80
            | NoticeKind::Budget100,
            None,
        ) => detail.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_is_tried_for_a_day() {
        let waits: Duration = (1..MOST_TRIES).map(|tries| RETRY.ceiling(tries - 1)).sum();
        let hour = Duration::from_secs(3_600);
        assert!((24 * hour..25 * hour).contains(&waits), "{waits:?}");
    }
}
