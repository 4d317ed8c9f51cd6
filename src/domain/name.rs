//! Names a person types: assets in any spelling, provider labels in one.

use std::fmt;

use serde::Serialize;

/// The longest name of an asset or a provider, in bytes.
pub const MAX_NAME_LEN: usize = 64;

/// What is wrong with a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was written.
    #[error("a name must not be empty")]
    Empty,
    /// Longer than [`MAX_NAME_LEN`].
    #[error("a name must not be longer than {MAX_NAME_LEN} characters")]
    TooLong,
    /// A character that no name has.
    #[error("'{0}' is not allowed in a name; use letters, digits and hyphens")]
    BadCharacter(char),
    /// Starts or ends with something else than a letter or a digit.
    #[error("a name begins and ends with a letter or a digit")]
    BadEdge,
}

/// The name of an asset, kebab-case: `hero-image`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct AssetName(String);

impl AssetName {
    /// Reads any spelling: `heroImage`, `HeroImage`, `hero_image`, `Hero image` and `hero-image`
    /// all name `hero-image`.
    ///
    /// # Errors
    /// When nothing a name could be made of was written.
    pub fn parse(typed: &str) -> Result<Self, NameError> {
        let mut kebab = String::with_capacity(typed.len() + 4);
        let mut previous_is_word = false;
        let mut chars = typed.trim().chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '-' | '_' | ' ' => {
                    if !kebab.ends_with('-') {
                        kebab.push('-');
                    }
                    previous_is_word = false;
                }
                'A'..='Z' => {
                    // `heroImage` breaks before I; `HTMLPage` breaks before P only.
                    let next_is_lower = chars.peek().is_some_and(char::is_ascii_lowercase);
                    let in_capitals =
                        kebab.ends_with(|k: char| k.is_ascii_alphanumeric()) && !previous_is_word;
                    if previous_is_word || (in_capitals && next_is_lower) {
                        kebab.push('-');
                    }
                    kebab.push(c.to_ascii_lowercase());
                    previous_is_word = false;
                }
                'a'..='z' | '0'..='9' => {
                    kebab.push(c);
                    previous_is_word = true;
                }
                other => return Err(NameError::BadCharacter(other)),
            }
        }
        checked(kebab).map(Self)
    }

    /// The kebab-case text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As it opens a sentence: `Hero image`.
    #[must_use]
    pub fn title(&self) -> String {
        let mut words = self.0.replace('-', " ");
        if let Some(first) = words.get_mut(0..1) {
            first.make_ascii_uppercase();
        }
        words
    }

    /// The other spellings a person may type for this asset in SQL: `heroImage` and `hero_image`.
    #[must_use]
    pub fn aliases(&self) -> Vec<String> {
        let snake = self.0.replace('-', "_");
        let mut camel = String::with_capacity(self.0.len());
        let mut raise = false;
        for c in self.0.chars() {
            match c {
                '-' => raise = true,
                c if raise => {
                    camel.push(c.to_ascii_uppercase());
                    raise = false;
                }
                c => camel.push(c),
            }
        }
        let mut spellings: Vec<String> = [camel, snake].into_iter().filter(|s| *s != self.0).collect();
        spellings.dedup();
        spellings
    }
}

impl fmt::Display for AssetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The label of a provider in a chain: `gemini-3.1-flash-image`. A label is data; what stands behind it is
/// configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ProviderName(String);

impl ProviderName {
    /// Reads a label: lower-case letters, digits, `-`, `_` and `.`. Capital letters are lowered, because
    /// environment overrides cannot carry them.
    ///
    /// # Errors
    /// When the label is empty, too long, or has other characters.
    pub fn parse(typed: &str) -> Result<Self, NameError> {
        let lowered = typed.trim().to_ascii_lowercase();
        let bad = lowered.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-' | '_' | '.'));
        match bad {
            Some(c) => Err(NameError::BadCharacter(c)),
            None => checked(lowered).map(Self),
        }
    }

    /// The label's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn checked(name: String) -> Result<String, NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > MAX_NAME_LEN {
        return Err(NameError::TooLong);
    }
    let edge = |c: char| c.is_ascii_alphanumeric();
    if !name.starts_with(edge) || !name.ends_with(edge) {
        return Err(NameError::BadEdge);
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_names_the_same_asset() {
        let check = |typed: &str, expected: &str| {
            assert_eq!(AssetName::parse(typed).expect(typed).as_str(), expected, "{typed}");
        };
        for typed in
            ["hero-image", "heroImage", "HeroImage", "hero_image", "HERO_IMAGE", "Hero image", " hero-image "]
        {
            check(typed, "hero-image");
        }
        check("video", "video");
        check("og2Image", "og2-image");
        check("HTMLPage", "html-page");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let check =
            |typed: &str, expected: NameError| assert_eq!(AssetName::parse(typed), Err(expected), "{typed}");
        check("", NameError::Empty);
        check("   ", NameError::Empty);
        check("hero/image", NameError::BadCharacter('/'));
        check("bild-für", NameError::BadCharacter('ü'));
        check("-", NameError::BadEdge);
        check("hero-", NameError::BadEdge);
        check(&"a".repeat(65), NameError::TooLong);
    }

    #[test]
    fn a_title_and_the_aliases_come_from_the_name() {
        let name = AssetName::parse("hero-image").expect("valid");
        assert_eq!(name.title(), "Hero image");
        assert_eq!(name.aliases(), ["heroImage", "hero_image"]);
        assert!(AssetName::parse("video").expect("valid").aliases().is_empty());
    }

    #[test]
    fn provider_labels_have_one_spelling() {
        assert_eq!(ProviderName::parse("Gemini-3.1").map(|n| n.to_string()), Ok("gemini-3.1".to_owned()));
        assert_eq!(ProviderName::parse("a b"), Err(NameError::BadCharacter(' ')));
        assert_eq!(ProviderName::parse(".."), Err(NameError::BadEdge));
    }
}
