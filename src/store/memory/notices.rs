//! The outbox in memory.

use super::desk::job_row;
use super::tables::{NoticeRecord, Tables, whole};
use crate::domain::time::{Timestamp, from_text, to_text};
use crate::store::{NewNotice, Notice, NoticeSend, Told};

impl Tables {
    /// Notices after this one that somebody is still to be told of.
    pub(super) fn unsent_notices(&self, after: i64, limit: u32) -> Vec<Notice> {
        let unsent =
            self.notices.range(after.saturating_add(1)..).filter(|(_, notice)| notice.sent_at.is_none());
        let told = unsent.map(|(id, notice)| (notice, self.notice(*id, notice)));
        let has_something =
            |(record, told): &(&NoticeRecord, Notice)| record.job.is_none() || told.job.is_some();
        told.filter(has_something).map(|(_, told)| told).take(limit as usize).collect()
    }

    /// Notices, newest first.
    pub(super) fn notices(&self, before: Option<i64>, limit: u32) -> Vec<Notice> {
        let listed = self.notices.range(..before.unwrap_or(i64::MAX)).rev();
        listed.map(|(id, notice)| self.notice(*id, notice)).take(limit as usize).collect()
    }

    /// Takes a try.
    pub(super) fn take_notice(
        &mut self,
        id: i64,
        destination: &str,
        again: Timestamp,
        now: Timestamp,
    ) -> bool {
        let Some(notice) = self.notices.get_mut(&id).filter(|notice| notice.sent_at.is_none()) else {
            return false;
        };
        self.version += 1;
        let send = notice.sends.entry(destination.to_owned()).or_insert_with(|| NoticeSend {
            destination: destination.to_owned(),
            tries: 0,
            next_at: None,
            sent_at: None,
            gave_up_at: None,
            error: None,
        });
        let waits = send.next_at.as_deref().and_then(from_text).is_some_and(|at| at > whole(now));
        if send.is_over() || waits {
            return false;
        }
        send.tries += 1;
        send.next_at = Some(to_text(again));
        true
    }

    /// Writes what a try came to.
    pub(super) fn notice_told(&mut self, id: i64, destination: &str, told: &Told, now: Timestamp) {
        self.version += 1;
        let Some(send) = self.notices.get_mut(&id).and_then(|notice| notice.sends.get_mut(destination))
        else {
            return;
        };
        (send.sent_at, send.gave_up_at, send.next_at, send.error) = match told {
            Told::Taken => (Some(to_text(now)), None, None, None),
            Told::NotYet { why, again } => (None, None, Some(to_text(*again)), Some(why.clone())),
            Told::Never(why) => (None, Some(to_text(now)), None, Some(why.clone())),
        };
    }

    /// Marks a notice as one that nobody needs to be told of any more.
    pub(super) fn notice_sent(&mut self, id: i64, now: Timestamp) {
        if let Some(notice) = self.notices.get_mut(&id) {
            notice.sent_at = Some(whole(now));
        }
        self.version += 1;
    }

    /// Writes into the outbox, once for a topic.
    pub(super) fn announce(&mut self, new: &NewNotice, now: Timestamp) -> bool {
        let topic = Some(new.topic.clone());
        if self.notices.values().any(|notice| notice.topic == topic) {
            return false;
        }
        self.version += 1;
        self.put_notice(NoticeRecord {
            topic,
            detail: Some(new.detail.clone()),
            ..NoticeRecord::new(new.kind, now)
        });
        true
    }

    /// Has a notice told once more.
    pub(super) fn tell_again(&mut self, id: i64) -> bool {
        self.version += 1;
        let Some(notice) = self.notices.get_mut(&id) else { return false };
        notice.sent_at = None;
        notice.sends.clear();
        true
    }

    fn notice(&self, id: i64, notice: &NoticeRecord) -> Notice {
        Notice {
            id,
            name: format!("msg_{id}"),
            kind: notice.kind,
            created_at: to_text(notice.created_at),
            job: notice.job.and_then(|job| self.jobs.get(&job)).map(job_row),
            provider: notice.provider.as_ref().map(ToString::to_string),
            detail: notice.detail.clone(),
            sent_at: notice.sent_at.map(to_text),
            sends: notice.sends.values().cloned().collect(),
        }
    }
}
