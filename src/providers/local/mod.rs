//! The local makers: they need no network and no key.

mod command;
mod design;
mod group;
mod lettering;
mod template;
mod title_card;

pub use command::Command;
pub use group::Group;
pub use template::TextTemplate;
pub use title_card::TitleCard;

use crate::domain::provider::Provider;

/// The text of an option; `None` when it is not set.
fn text_option<'a>(provider: &'a Provider, key: &str) -> Result<Option<&'a str>, String> {
    match provider.options.get(key) {
        None => Ok(None),
        Some(value) => match value.as_str() {
            Some(text) => Ok(Some(text)),
            None => Err(format!("providers.{}.{key} must be a text", provider.name)),
        },
    }
}
