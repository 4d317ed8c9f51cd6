//! The log of bounded calls in memory.

use super::tables::{CallRecord, JobRecord, Tables, whole};
use crate::domain::job::JobStatus;
use crate::domain::name::ProviderName;
use crate::domain::pace::{Begun, NoRoom, Pace, Usage, Window};
use crate::domain::time::Timestamp;
use crate::store::claim::LeaseToken;
use crate::store::ledger::{AttemptFacts, Recorded};

impl Tables {
    /// How much of its pace a provider has used. `owner` is whose calls are told apart.
    pub(crate) fn usage(&self, provider: &ProviderName, pace: &Pace, owner: &str, now: Timestamp) -> Usage {
        let now = whole(now);
        let holder = |call: &&CallRecord| -> Option<&JobRecord> {
            let job = self.jobs.get(&call.job).filter(|job| job.is_held_by(&call.token))?;
            let lasts = job.lease.as_ref().is_some_and(|lease| lease.until > now);
            (call.provider == *provider && call.ended_at.is_none() && lasts).then_some(job)
        };
        let owners: Vec<&str> = self
            .calls
            .values()
            .filter_map(|call| Some(holder(&call)?.lease.as_ref()?.owner.as_str()))
            .collect();
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let own = owners.iter().filter(|of| **of == owner).count();
        let begun = pace.windows().map(|(window, most)| self.begun(provider, window, most, now));
        Usage { under_way: count(owners.len()), own: count(own), begun: begun.collect() }
    }

    fn begun(&self, provider: &ProviderName, window: Window, most: u32, now: Timestamp) -> Begun {
        let (from, to) = window.around(now);
        let of = self.calls.values().filter(|call| call.provider == *provider);
        let mut starts: Vec<Timestamp> =
            of.map(|call| call.started_at).filter(|at| *at > whole(from) && *at <= whole(to)).collect();
        starts.sort_unstable_by(|a, b| b.cmp(a));
        starts.truncate(most as usize);
        let count = u32::try_from(starts.len()).unwrap_or(u32::MAX);
        Begun { window, most, count, oldest: starts.last().copied() }
    }

    /// Why one more call has no room.
    pub(super) fn no_room(&self, facts: &AttemptFacts, now: Timestamp) -> Option<NoRoom> {
        let slot = facts.slot.as_ref()?;
        slot.pace.no_room(&self.usage(&facts.provider, &slot.pace, "", now), now)
    }

    /// Writes a call down that is about to be made.
    pub(super) fn enter(&mut self, facts: &AttemptFacts, now: Timestamp) -> Recorded {
        let Some(slot) = &facts.slot else { return Recorded::Written };
        let (forgotten, _) = Window::LONGEST.around(now);
        let is_held =
            |call: &CallRecord| self.jobs.get(&call.job).is_some_and(|job| job.is_held_by(&call.token));
        let over = |call: &CallRecord| call.ended_at.is_some() || !is_held(call);
        let is_old = |call: &CallRecord| {
            call.provider == facts.provider && call.started_at <= whole(forgotten) && over(call)
        };
        let old: Vec<i64> = self.calls.iter().filter(|(_, call)| is_old(call)).map(|(id, _)| *id).collect();
        for id in old {
            self.calls.remove(&id);
        }
        if self.held(facts.job, &slot.token).is_none() {
            return Recorded::LeaseGone;
        }
        let id = self.calls.keys().next_back().map_or(1, |last| last + 1);
        let (provider, token) = (facts.provider.clone(), slot.token.clone());
        let call = CallRecord { provider, job: facts.job, token, started_at: whole(now), ended_at: None };
        self.calls.insert(id, call);
        Recorded::Written
    }

    /// Takes up a call that was begun under an earlier lease.
    pub(super) fn reenter(&mut self, facts: &AttemptFacts) {
        let Some(slot) = &facts.slot else { return };
        if self.held(facts.job, &slot.token).is_some()
            && let Some(call) = self.open_calls(facts, None).next_back()
        {
            call.token = slot.token.clone();
        }
    }

    /// A call has ended.
    pub(super) fn leave(&mut self, facts: &AttemptFacts, now: Timestamp) {
        let Some(slot) = &facts.slot else { return };
        for call in self.open_calls(facts, Some(&slot.token)) {
            call.ended_at = Some(whole(now));
        }
    }

    /// Forgets what is that old and over.
    pub(super) fn prune_calls(&mut self, before: Timestamp) {
        let jobs = &self.jobs;
        let is_running =
            |call: &CallRecord| jobs.get(&call.job).is_some_and(|job| job.status == JobStatus::Running);
        self.calls.retain(|_, call| call.started_at >= before || is_running(call));
    }

    fn open_calls(
        &mut self,
        facts: &AttemptFacts,
        token: Option<&LeaseToken>,
    ) -> impl DoubleEndedIterator<Item = &mut CallRecord> {
        self.calls.values_mut().filter(move |call| {
            let theirs = token.is_none_or(|token| call.token == *token);
            call.provider == facts.provider && call.job == facts.job && theirs && call.ended_at.is_none()
        })
    }
}
