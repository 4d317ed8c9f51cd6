//! A walk that goes on where a dead worker, or trouble of our own, left it.

use super::super::failure::FailureClass;
use super::super::plan::Decision;
use super::super::skip::SkipReason;
use super::super::time::Timestamp;
use super::{Outcome, Walk};

impl Walk {
    /// Takes up an open run where a dead worker, or trouble of our own, left it: `calls` finished calls of the
    /// link at `position`, of which the last came to `last`. To be told in order of position.
    pub fn take_up(&mut self, position: usize, calls: u32, last: Outcome, now: Timestamp) {
        if self.stop.is_some() {
            return;
        }
        self.resume_at(position, now);
        let Some(link) = self.links.get_mut(position).filter(|_| self.at == position) else { return };
        match last {
            // This is the coming back that the trouble asked for: the link is due again, not the trouble.
            Outcome::Failed(FailureClass::Internal, why) => {
                link.calls = calls;
                link.last = Some((FailureClass::Internal, why));
            }
            Outcome::Delivered | Outcome::Failed(..) | Outcome::Skipped(_) | Outcome::NoRoom(_) => {
                link.calls = calls.saturating_sub(1);
                self.tell(last, now, 0.0);
            }
        }
    }

    /// What the open run has bought at this link cannot be had yet, by trouble of our own: the job comes back for it.
    pub fn wait_for(&mut self, position: usize, calls: u32, why: String, now: Timestamp, jitter: f64) {
        if self.stop.is_some() {
            return;
        }
        self.resume_at(position, now);
        let Some(link) = self.links.get_mut(position).filter(|_| self.at == position) else { return };
        link.calls = calls;
        link.last = Some((FailureClass::Internal, why));
        self.stop_here(now, jitter);
    }

    /// Goes on at the link at `position`, where an open run stopped; the links before it are not gone back to.
    pub fn resume_at(&mut self, position: usize, now: Timestamp) {
        while self.at < position {
            // The run is past this link already and does not go back.
            let Some(link) = self.links.get(self.at) else { return };
            let reason = match &link.decision {
                Decision::Skip(reason) => reason.clone(),
                Decision::Call(_) => SkipReason::PassedBefore,
            };
            self.skip(reason, now);
        }
    }

    /// Goes on with the last of so many `calls` of the link at `position`, which the open run has not ended yet: a repeat
    /// after it has a number of its own.
    pub fn go_on_with(&mut self, position: usize, calls: u32, now: Timestamp) {
        self.resume_at(position, now);
        if let Some(link) = self.links.get_mut(position).filter(|_| self.at == position) {
            link.calls = calls.saturating_sub(1);
        }
    }
}
