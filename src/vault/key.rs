//! The names files are kept under, which no slug can escape from.

use std::fmt;

use crate::domain::job::JobId;
use crate::domain::name::AssetName;

/// The most characters of a slug that a name keeps.
const MAX_SLUG: usize = 80;

/// The most characters of a file's ending.
const MAX_EXTENSION: usize = 8;

/// The name of one file in the vault: `hero-image/my-article-7-1f3a90bc.png`.
///
/// Always one folder and one file, of lower-case ASCII letters, digits, hyphens and one dot, whatever the
/// slug was. The job and the attempt make it the file's own; the same attempt always gets the same name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VaultKey {
    folder: String,
    file: String,
}

impl VaultKey {
    /// The name for what an attempt made. `attempt` is the attempt's own token, the same for every keeping
    /// of its output; `extension` comes from the media checks.
    #[must_use]
    pub fn new(asset: &AssetName, slug: &str, job: JobId, attempt: &str, extension: &str) -> Self {
        let words = readable(slug);
        let words = if words.is_empty() { asset.as_str() } else { words.as_str() };
        let digest =
            blake3::Hasher::new().update(slug.as_bytes()).update(b"\0").update(attempt.as_bytes()).finalize();
        let [a, b, c, d, ..] = *digest.as_bytes();
        let unique = u32::from_be_bytes([a, b, c, d]);
        let extension: String = extension
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_lowercase())
            .take(MAX_EXTENSION)
            .collect();
        let extension = if extension.is_empty() { "bin" } else { extension.as_str() };
        let file = format!("{words}-{}-{unique:08x}.{extension}", job.0.unsigned_abs());
        Self { folder: asset.as_str().to_owned(), file }
    }

    /// The asset's folder.
    #[must_use]
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// The file's name in it.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }
}

impl fmt::Display for VaultKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.folder, self.file)
    }
}

/// What of a slug can stand in a file name: letters and digits, everything else as single hyphens between
/// them. Empty for a slug that has none.
fn readable(slug: &str) -> String {
    let mut name = String::with_capacity(slug.len().min(MAX_SLUG));
    for c in slug.chars() {
        if name.len() >= MAX_SLUG {
            break;
        }
        if c.is_ascii_alphanumeric() {
            name.push(c.to_ascii_lowercase());
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    name.truncate(name.trim_end_matches('-').len());
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(slug: &str, attempt: &str, extension: &str) -> VaultKey {
        VaultKey::new(&AssetName::parse("hero-image").expect("valid"), slug, JobId(7), attempt, extension)
    }

    #[test]
    fn slugs_become_names_that_people_recognise() {
        let check = |slug: &str, expected: &str| {
            let file = key(slug, "t", "png").file().to_owned();
            let (words, unique) = file.rsplit_once("-7-").expect("has its job");
            assert_eq!(words, expected, "{slug:?}");
            assert_eq!(unique.len(), "1f3a90bc.png".len(), "{slug:?}");
        };
        check("my-article", "my-article");
        check("My Article!", "my-article");
        check("2026/11/my-article", "2026-11-my-article");
        check("../../etc/passwd", "etc-passwd");
        check("über-uns", "ber-uns");
        check("日本語", "hero-image");
        check("..", "hero-image");
        check("", "hero-image");
        check("a\0b\nc\\d", "a-b-c-d");
        check(&"x".repeat(500), &"x".repeat(80));
    }

    #[test]
    fn every_attempt_has_a_name_of_its_own_and_keeps_it() {
        assert_eq!(key("a", "t1", "png"), key("a", "t1", "png"));
        assert_ne!(key("a", "t1", "png"), key("a", "t2", "png"));
        assert_ne!(key("日本", "t1", "png"), key("中国", "t1", "png"), "slugs that read alike stay apart");
    }

    #[test]
    fn an_ending_is_a_few_letters() {
        let ending = |extension: &str| {
            key("a", "t", extension).file().rsplit_once('.').map(|(_, end)| end.to_owned()).expect("has one")
        };
        assert_eq!(ending("PNG"), "png");
        assert_eq!(ending("/../sh"), "sh");
        assert_eq!(ending("..."), "bin");
        assert_eq!(ending("abcdefghijk"), "abcdefgh");
    }
}
