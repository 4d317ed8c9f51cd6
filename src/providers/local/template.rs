//! `template`: a text made from a template over the job's input.

use std::time::Duration;

use super::text_option;
use crate::domain::ask::{Ask, Body, Output};
use crate::domain::asset::Medium;
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::provider::Provider;
use crate::providers::prompt::Template;

/// What is made when the operator gives no template.
const DEFAULT_TEMPLATE: &str = "New on the site: {{ input.title or slug }}";

/// The maker. Its option `template` is minijinja source over `input`, `slug`, `asset` and `prompt`.
#[derive(Debug)]
pub struct TextTemplate {
    template: Template,
}

impl TextTemplate {
    /// Compiles the provider's template.
    ///
    /// # Errors
    /// A sentence naming the option and what is wrong with it.
    pub fn new(provider: &Provider) -> Result<Self, String> {
        let source = text_option(provider, "template")?.unwrap_or(DEFAULT_TEMPLATE);
        let template = Template::compile(source)
            .map_err(|why| format!("providers.{}.template cannot be used: {why}", provider.name))?;
        Ok(Self { template })
    }

    /// Writes the text. It takes microseconds and never waits.
    ///
    /// # Errors
    /// `invalid` when the template cannot be rendered over this input, or the asset is no text.
    #[expect(clippy::unused_async, reason = "the makers are called alike")]
    pub async fn make(&self, ask: &Ask, _time_left: Duration) -> Result<Output, Failure> {
        if ask.medium != Medium::Text {
            let why = format!("a template writes text, not {}", ask.medium);
            return Err(Failure::new(FailureClass::Invalid, why));
        }
        self.template
            .render(&ask.slug, &ask.asset, &ask.input, Some(&ask.prompt))
            .map(|text| Output::plain(Body::Text(text)))
            .map_err(|why| {
                Failure::new(FailureClass::Invalid, format!("the template cannot be rendered: {why}"))
            })
    }
}
