//! The names files are kept under, which no slug can escape from.

use std::fmt;

use crate::domain::job::JobId;
use crate::domain::name::AssetName;

/// The most characters of a slug that a name keeps.
const MAX_SLUG: usize = 80;

/// The most characters of a file's ending.
const MAX_EXTENSION: usize = 8;

/// The most characters of a name before its ending: slug or asset, job and digest.
const LONGEST_WORDS: usize = 160;

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

    /// Reads a name back from a row of the ledger; `None` for anything that [`VaultKey::new`] does not write.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (folder, file) = text.split_once('/')?;
        let (words, extension) = file.rsplit_once('.')?;
        let folder = AssetName::parse(folder).ok().filter(|asset| asset.as_str() == folder)?;
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let named = !words.is_empty() && words.chars().all(|c| is_plain(c) || c == '-');
        let ends = (1..=MAX_EXTENSION).contains(&extension.len()) && extension.chars().all(is_plain);
        (named && ends && words.len() <= LONGEST_WORDS)
            .then(|| Self { folder: folder.as_str().to_owned(), file: file.to_owned() })
    }

    /// Whether it can be the name of something that was made for this job.
    #[must_use]
    pub fn is_of(&self, asset: &AssetName, job: JobId) -> bool {
        let mut parts = self.file.rsplitn(3, '-');
        let (_, number) = (parts.next(), parts.next());
        self.folder == asset.as_str()
            && number.is_some_and(|number| *number == job.0.unsigned_abs().to_string())
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
    fn a_name_is_read_back_and_nothing_else_is() {
        for slug in ["my-article", "../../etc/passwd", "日本語", &"x".repeat(500)] {
            let written = key(slug, "t", "png");
            assert_eq!(VaultKey::parse(&written.to_string()), Some(written), "{slug:?}");
        }
        for hostile in [
            "",
            "/",
            "hero-image/",
            "hero-image/.png",
            "hero-image/a",
            "hero-image/a.",
            "../a-7-1f3a90bc.png",
            "hero-image/../a.png",
            "hero-image/a/b.png",
            "/etc/passwd.png",
            "heroImage/a-7-1f3a90bc.png",
            "hero-image/A.png",
            "hero-image/a b.png",
            "hero-image/.keeping-a.part",
            "hero-image/a.p/g",
            "hero-image/a.verylongext",
            "hero-image/a\0.png",
        ] {
            assert_eq!(VaultKey::parse(hostile), None, "{hostile:?}");
        }
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
