//! The ordered list of providers an asset falls back along.

use std::fmt;

use serde::Serialize;

use super::name::{NameError, ProviderName};

/// The sentinel end of a chain, as it is spelled.
pub const MANUAL: &str = "manual";

/// The most links a chain may have; a longer list is a mistake, not a wish.
pub const MAX_LINKS: usize = 32;

/// What is wrong with a chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// No link at all.
    #[error("a chain needs at least one provider, or \"manual\"")]
    Empty,
    /// More than [`MAX_LINKS`] links.
    #[error("a chain has at most {MAX_LINKS} links")]
    TooLong,
    /// The same provider twice.
    #[error("provider \"{0}\" stands in the chain twice")]
    Twice(ProviderName),
    /// `manual` before the end.
    #[error("\"manual\" ends a chain; nothing may follow it")]
    ManualNotLast,
    /// A label that no provider can have.
    #[error("\"{label}\": {why}")]
    BadLabel {
        /// As it was written.
        label: String,
        /// What is wrong with it.
        why: NameError,
    },
}

/// An asset's fallback chain: distinct providers in order, with or without the sentinel spelled out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    providers: Vec<ProviderName>,
    ends_manual: bool,
}

impl Chain {
    /// Reads a chain from its labels.
    ///
    /// # Errors
    /// When it is empty, repeats a provider, names something after `manual`, or holds no label.
    pub fn parse<S: AsRef<str>>(labels: &[S]) -> Result<Self, ChainError> {
        if labels.is_empty() {
            return Err(ChainError::Empty);
        }
        if labels.len() > MAX_LINKS {
            return Err(ChainError::TooLong);
        }
        let mut chain = Self { providers: Vec::with_capacity(labels.len()), ends_manual: false };
        for label in labels {
            let label = label.as_ref();
            if chain.ends_manual {
                return Err(ChainError::ManualNotLast);
            }
            if label.trim().eq_ignore_ascii_case(MANUAL) {
                chain.ends_manual = true;
                continue;
            }
            let name = ProviderName::parse(label)
                .map_err(|why| ChainError::BadLabel { label: label.to_owned(), why })?;
            if chain.providers.contains(&name) {
                return Err(ChainError::Twice(name));
            }
            chain.providers.push(name);
        }
        Ok(chain)
    }

    /// The providers in order, without the sentinel.
    #[must_use]
    pub fn providers(&self) -> &[ProviderName] {
        &self.providers
    }

    /// Whether the sentinel is spelled out.
    #[must_use]
    pub fn ends_manual(&self) -> bool {
        self.ends_manual
    }

    /// The first provider; `None` for a chain that is `manual` alone.
    #[must_use]
    pub fn primary(&self) -> Option<&ProviderName> {
        self.providers.first()
    }

    /// Every link as it is spelled, sentinel included.
    #[must_use]
    pub fn labels(&self) -> Vec<&str> {
        let sentinel = self.ends_manual.then_some(MANUAL);
        self.providers.iter().map(ProviderName::as_str).chain(sentinel).collect()
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.labels().join(", "))
    }
}

impl Serialize for Chain {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.labels())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_keeps_its_order_and_knows_its_sentinel() {
        let chain = Chain::parse(&["gemini-3.1-flash-image", "lummi", "manual"]).expect("valid");
        assert_eq!(chain.to_string(), "gemini-3.1-flash-image, lummi, manual");
        assert_eq!(chain.primary().map(ProviderName::as_str), Some("gemini-3.1-flash-image"));
        assert!(chain.ends_manual());
        assert!(!Chain::parse(&["lummi"]).expect("valid").ends_manual());
        assert_eq!(Chain::parse(&["manual"]).expect("valid").primary(), None);
    }

    #[test]
    fn what_is_no_chain_is_refused() {
        let check = |labels: &[&str], expected: ChainError| assert_eq!(Chain::parse(labels), Err(expected));
        check(&[], ChainError::Empty);
        check(&["manual", "lummi"], ChainError::ManualNotLast);
        check(&["manual", "manual"], ChainError::ManualNotLast);
        let lummi = ProviderName::parse("lummi").expect("valid");
        check(&["lummi", "Lummi"], ChainError::Twice(lummi));
        check(&["a b"], ChainError::BadLabel { label: "a b".to_owned(), why: NameError::BadCharacter(' ') });
        check(&vec!["x"; 33], ChainError::TooLong);
    }
}
