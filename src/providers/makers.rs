//! The local makers by their protocols' names: the one place where a maker is plugged in.

use std::time::Duration;

use crate::domain::ask::{Ask, Output};
use crate::domain::failure::Failure;
use crate::domain::provider::Provider;

/// A provider that works within this process.
pub(super) enum Maker {
    // PLUG A MAKER IN, 1 of 3: `TitleCard(TitleCard)`, `Template(Template)`, `Command(Command)`.
}

/// The maker behind a provider; `None` where its protocol is no local one.
pub(super) fn maker(_provider: &Provider) -> Result<Option<Maker>, String> {
    // PLUG A MAKER IN, 2 of 3: match the protocol's name,
    // `"title-card" => Some(Maker::TitleCard(TitleCard::new(provider)?))`, ..., `_ => None`.
    Ok(None)
}

impl Maker {
    /// Makes the asset.
    pub(super) async fn make(&self, _ask: &Ask, _time_left: Duration) -> Result<Output, Failure> {
        // PLUG A MAKER IN, 3 of 3: `Self::TitleCard(maker) => maker.make(ask, time_left).await`, ...
        match *self {}
    }
}
