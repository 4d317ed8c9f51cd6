//! The local makers by their protocols' names: the one place where a maker is plugged in.

use std::time::Duration;

use crate::domain::ask::{Ask, Output};
use crate::domain::failure::Failure;
use crate::domain::provider::Provider;

use super::local::{Command, TextTemplate, TitleCard};

/// A provider that works within this process, or runs a program of the operator's.
pub(super) enum Maker {
    /// Draws a picture from a title.
    TitleCard(TitleCard),
    /// Writes a text from a template.
    Template(Box<TextTemplate>),
    /// Runs a program.
    Command(Command),
}

/// The maker behind a provider; `None` where its protocol is no local one.
pub(super) fn maker(provider: &Provider) -> Result<Option<Maker>, String> {
    Ok(match provider.protocol.as_str() {
        "title-card" => Some(Maker::TitleCard(TitleCard::new(provider)?)),
        "template" => Some(Maker::Template(Box::new(TextTemplate::new(provider)?))),
        "command" => Some(Maker::Command(Command::new(provider)?)),
        _ => None,
    })
}

impl Maker {
    /// Makes the asset.
    pub(super) async fn make(&self, ask: &Ask, time_left: Duration) -> Result<Output, Failure> {
        match self {
            Self::TitleCard(maker) => maker.make(ask, time_left).await,
            Self::Template(maker) => maker.make(ask, time_left).await,
            Self::Command(maker) => maker.make(ask, time_left).await,
        }
    }
}
