//! An output is checked, staged and kept; and found again after a crash, or when the vault is back.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::ask::{Body, Checked, Output};
use crate::domain::asset::Medium;
use crate::domain::backoff::Backoff;
use crate::domain::failure::Failure;
use crate::domain::time::{Timestamp, after};
use crate::store::{AttemptResult, Entry, PastAttempt, Recorded, Staging};
use crate::vault::{Kept, VaultError, VaultKey};

use super::attempt::Begun;
use super::kill_point::KillPoint;
use super::run::{Interrupt, Run};

/// Text up to this size lives in `jobs.text`; longer text becomes a file.
const SHORT_TEXT: usize = 64 * 1024;

/// Between two tries of the vault with an output in hand.
const VAULT_PATIENCE: Backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(30) };

/// A run waits so long for the vault. Then the job comes back for it, and its place is another's.
const VAULT_STAY: Duration = Duration::from_secs(60);

/// An asset that is checked and kept.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) checked: Checked,
    /// Where its file is, and the name it was staged under.
    pub(super) file: Option<(String, VaultKey)>,
    pub(super) text: Option<String>,
    pub(super) metadata: Map<String, Value>,
    pub(super) model: Option<String>,
}

/// An output that was found again.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) key: VaultKey,
    pub(super) output: Output,
}

/// What is staged with a file: all of an output but its body.
#[derive(Debug, Serialize, Deserialize)]
struct Particulars {
    metadata: Map<String, Value>,
    model: Option<String>,
    cost_micros: i64,
    http_status: Option<u16>,
    request_id: Option<String>,
}

impl Run {
    /// Checks an output and keeps it.
    pub(super) async fn deliver(
        &mut self,
        begun: &Begun,
        output: Output,
        deadline: Timestamp,
    ) -> Result<Result<(), Failure>, Interrupt> {
        let particulars = Particulars {
            metadata: output.metadata,
            model: output.model,
            cost_micros: output.cost_micros,
            http_status: output.http_status,
            request_id: output.request_id,
        };
        let blamed = |failure: Failure, of: Particulars| Failure {
            cost_micros: of.cost_micros,
            http_status: of.http_status,
            request_id: of.request_id,
            ..failure
        };
        let checked = match self.page.checker.check(output.body).await {
            Ok(checked) => checked,
            Err(failure) => return Ok(Err(blamed(failure, particulars))),
        };
        let (file, text) = match &checked.body {
            Body::Text(text) if text.len() <= SHORT_TEXT => (None, Some(text.clone())),
            Body::Text(text) => (Some(Bytes::from(text.clone().into_bytes())), None),
            Body::File(bytes) => (Some(bytes.clone()), None),
        };
        let file = match file {
            None => None,
            Some(bytes) => match self.keep(begun, &checked, bytes, &particulars, deadline).await? {
                Ok(kept) => Some(kept),
                Err(failure) => return Ok(Err(blamed(failure, particulars))),
            },
        };
        let event = self.event(&begun.facts.provider, None);
        self.cost_micros = self.cost_micros.saturating_add(particulars.cost_micros);
        self.unsettled.push(AttemptResult {
            row: begun.row,
            facts: begun.facts.clone(),
            status: "delivered",
            class: None,
            error: None,
            http_status: particulars.http_status,
            request_id: particulars.request_id,
            finished_at: self.shared.now(),
            cost_micros: particulars.cost_micros,
            event,
        });
        let Particulars { metadata, model, .. } = particulars;
        self.delivery = Some(Delivery { checked, file, text, metadata, model });
        Ok(Ok(()))
    }

    /// Keeps a file, its name in the ledger first. Trouble of the vault is not the provider's: the output in hand is
    /// tried again, and where it was paid for, the job comes back for it rather than buy it a second time.
    async fn keep(
        &mut self,
        begun: &Begun,
        checked: &Checked,
        bytes: Bytes,
        particulars: &Particulars,
        deadline: Timestamp,
    ) -> Result<Result<(String, VaultKey), Failure>, Interrupt> {
        let job = &self.claim.job;
        let key = begun.key.clone().unwrap_or_else(|| {
            VaultKey::new(&job.asset, &job.slug, job.id, &self.ask.idempotency_key, checked.extension)
        });
        if !self.stage(begun, &key, particulars).await? {
            let why = "the job was cancelled or taken over before its file was kept";
            return Ok(Err(Failure::internal(why.to_owned())));
        }
        KillPoint::AfterStage.pass();
        let until = deadline.max(self.deadline).min(after(self.now(), VAULT_STAY));
        let mut tries = 0;
        loop {
            let error = match self.bring(&key, bytes.clone()).await {
                Ok(kept) => {
                    KillPoint::AfterKeep.pass();
                    return Ok(Ok((kept.url, key)));
                }
                Err(error) => error,
            };
            let patience = VAULT_PATIENCE.equal_jitter(tries, self.shared.jitter());
            // Where the job is gone, nobody waits for the file; what it cost is booked with this failure.
            let gone = self.hold.cancelled.is_cancelled();
            let stays = after(self.now(), patience) < until || !self.shared.hands.have_room_for(bytes.len());
            if gone || self.shared.stop.now.is_cancelled() || !stays {
                if begun.row.is_some() && !gone {
                    self.shared.hands.take(key, particulars.with(checked.body.clone())).await;
                    self.put_by = true;
                }
                return Ok(Err(Failure::internal(format!("the vault: {error}"))));
            }
            if tries == 0 {
                if begun.row.is_some() {
                    // Before the wait, and not only after it: a daemon that is killed meanwhile has no time for it.
                    self.shared.hands.copy(&key, bytes.clone()).await;
                    self.in_hand = Some(key.clone());
                }
                tracing::warn!(job.id = job.id.0, provider = %begun.facts.provider, %error, "the asset is in hand, but the vault cannot keep it; trying again");
            }
            tries = tries.saturating_add(1);
            // A stopping daemon goes on within its grace.
            tokio::select! {
                biased;
                () = tokio::time::sleep(patience) => {}
                () = self.hold.cancelled.cancelled() => {}
                () = self.shared.stop.now.cancelled() => {}
            }
        }
    }

    /// Uploads a file, unless nobody waits for it any more: a vault may hang, and what it has begun it may end.
    async fn bring(&self, key: &VaultKey, bytes: Bytes) -> Result<Kept, VaultError> {
        tokio::select! {
            biased;
            kept = self.book.vault.keep(key, bytes) => kept,
            () = self.hold.cancelled.cancelled() => Err(VaultError::Stopped("the job was cancelled".to_owned())),
            () = self.shared.stop.now.cancelled() => Err(VaultError::Stopped("the daemon stops".to_owned())),
        }
    }

    /// Writes the file's name down before it is uploaded; `false` where the lease is gone.
    async fn stage(
        &self,
        begun: &Begun,
        key: &VaultKey,
        particulars: &Particulars,
    ) -> Result<bool, Interrupt> {
        let staging = Staging {
            token: self.claim.token.clone(),
            job: self.claim.job.id,
            run: self.claim.run.id,
            attempt: begun.row,
            key: key.to_string(),
            output: serde_json::to_string(particulars).unwrap_or_else(|_| "{}".to_owned()),
        };
        let staged = self.shared.recorder.write(Entry::Stage(Box::new(staging))).await;
        match staged.map_err(Interrupt::Ledger)? {
            Recorded::Written | Recorded::Begun(_) => Ok(true),
            Recorded::LeaseGone | Recorded::OverBudget(_) | Recorded::NoRoom(_) => Ok(false),
        }
    }

    /// The output of an attempt without a verdict, where it is still to be had: in hand, in the vault, or beside the
    /// database.
    ///
    /// # Errors
    /// When the vault cannot be asked: it may be there.
    pub(super) async fn find_again(&self, past: &PastAttempt) -> Result<Option<Found>, VaultError> {
        if !matches!(past.status.as_str(), "started" | "accepted") {
            return Ok(None);
        }
        let Some((key, particulars)) = self.staged(past) else { return Ok(None) };
        if let Some(output) = self.shared.hands.give(&key) {
            return Ok(Some(Found { key, output }));
        }
        let bytes = match self.book.vault.find(&key).await? {
            Some(bytes) => bytes,
            None => match self.shared.hands.spooled(&key).await {
                Some(bytes) => bytes,
                None => return Ok(None),
            },
        };
        let body = match self.page.asset.medium {
            Medium::Text => Body::Text(String::from_utf8_lossy(&bytes).into_owned()),
            Medium::Image | Medium::Video | Medium::Audio => Body::File(bytes),
        };
        tracing::info!(job.id = self.claim.job.id.0, provider = %past.provider, file = %key, "what a run had paid for is found again");
        Ok(Some(Found { key, output: particulars.with(body) }))
    }

    /// What a row says was staged, where it can be this job's.
    fn staged(&self, past: &PastAttempt) -> Option<(VaultKey, Particulars)> {
        let staged = past.staged.as_ref()?;
        let key =
            VaultKey::parse(&staged.key).filter(|key| key.is_of(&self.claim.job.asset, self.claim.job.id))?;
        Some((key, serde_json::from_str(&staged.output).ok()?))
    }
}

impl Particulars {
    fn with(&self, body: Body) -> Output {
        Output {
            body,
            claimed_type: None,
            metadata: self.metadata.clone(),
            model: self.model.clone(),
            cost_micros: self.cost_micros,
            http_status: self.http_status,
            request_id: self.request_id.clone(),
        }
    }
}
