//! A process group that does not outlive whoever waits for it.

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Child;

/// The process group that a program leads which was started with `process_group(0)`: dropped, everything in it is
/// killed. To be dropped before its leader is reaped, or after [`Group::release`] not at all.
pub struct Group(Option<Pid>);

impl Group {
    /// The group of a program that has just been started; `None` where it has ended already.
    #[must_use]
    pub fn of(leader: &Child) -> Option<Self> {
        let id = leader.id().and_then(|id| i32::try_from(id).ok())?;
        Pid::from_raw(id).map(|pid| Self(Some(pid)))
    }

    /// Lets what is left in the group live on.
    pub fn release(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // An error means that nobody is left in the group, which is what is wanted.
            kill_process_group(group, Signal::KILL).ok();
        }
    }
}
