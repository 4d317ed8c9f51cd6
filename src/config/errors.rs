//! What is wrong with a configuration, collected whole and said in sentences.

use std::cell::RefCell;
use std::fmt;

/// One mistake: where it stands, what is wrong, what to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// The key's path, `assets.hero-image.chain[1]`; empty for the file as a whole.
    pub key: String,
    /// Where the value came from when it was not the file: the name of the environment variable, or
    /// `the command line`.
    pub from: Option<String>,
    /// What is wrong. Never holds a value that could be a secret.
    pub wrong: String,
    /// What to do about it.
    pub advice: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        if let Some(from) = &self.from {
            write!(f, " (from {from})")?;
        }
        let colon = if self.key.is_empty() { "" } else { ": " };
        write!(f, "{colon}{}; {}", self.wrong, self.advice)
    }
}

/// Every mistake of a configuration, in the order in which it is read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors {
    /// What was being read, for the headline: a path, or `the configuration`.
    pub subject: String,
    /// At least one mistake.
    pub mistakes: Vec<Mistake>,
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.mistakes.len();
        let noun = if count == 1 { "mistake" } else { "mistakes" };
        write!(f, "{} has {count} {noun}:", self.subject)?;
        self.mistakes.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

/// Gathers mistakes while everything is read to its end. Shared by reference between the readers of nested
/// tables, hence the cell; it is never borrowed across a call.
#[derive(Debug, Default)]
pub(super) struct Mistakes(RefCell<Vec<Mistake>>);

impl Mistakes {
    /// Notes a mistake at a key of the file.
    pub(super) fn add(&self, key: &str, wrong: impl Into<String>, advice: impl Into<String>) {
        self.add_from(key, None, wrong, advice);
    }

    /// Notes a mistake at a key whose value came from `from`.
    pub(super) fn add_from(
        &self,
        key: &str,
        from: Option<&str>,
        wrong: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.0.borrow_mut().push(Mistake {
            key: key.to_owned(),
            from: from.map(str::to_owned),
            wrong: wrong.into(),
            advice: advice.into(),
        });
    }

    /// How many there are, so that a reader can tell whether a part of it went well.
    pub(super) fn count(&self) -> usize {
        self.0.borrow().len()
    }

    /// All of them.
    pub(super) fn into_vec(self) -> Vec<Mistake> {
        self.0.into_inner()
    }
}

/// The advice for an unknown word: the known one it most resembles, else all of them.
pub(super) fn advice_for(word: &str, known: &[&str], otherwise: &str) -> String {
    nearest(word, known).map_or_else(|| otherwise.to_owned(), |near| format!("did you mean \"{near}\"?"))
}

/// The known word that `word` is a slip of, if it is near enough to be one.
pub(crate) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    // Distances cost the product of the lengths; nothing that long is a slip of a key.
    if word.len() > 100 {
        return None;
    }
    let lowered = word.to_lowercase();
    known
        .iter()
        .map(|candidate| (distance(&lowered, &candidate.to_lowercase()), *candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).clamp(1, 4))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance, with a swap of neighbours counted as one.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut previous_char = None;
    for (row, ca) in a.chars().enumerate() {
        let mut current = vec![row + 1];
        for (column, cb) in b.iter().enumerate() {
            let at = |line: &[usize], index: usize| line.get(index).copied().unwrap_or(usize::MAX / 2);
            let change = at(&last, column) + usize::from(ca != *cb);
            let mut best = change.min(at(&last, column + 1) + 1).min(at(&current, column) + 1);
            let swapped = column > 0 && b.get(column - 1) == Some(&ca) && previous_char == Some(*cb);
            if swapped {
                best = best.min(at(&before_last, column - 1) + 1);
            }
            current.push(best);
        }
        before_last = std::mem::replace(&mut last, current);
        previous_char = Some(ca);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_told_from_another_word() {
        let known = ["lummi", "gemini-3.1-flash-image", "template", "manual"];
        let check =
            |word: &str, expected: Option<&str>| assert_eq!(nearest(word, &known), expected, "{word}");
        check("lumi", Some("lummi"));
        check("lumim", Some("lummi"));
        check("Lummi", Some("lummi"));
        check("gemini-3-flash-image", Some("gemini-3.1-flash-image"));
        check("tmplate", Some("template"));
        check("unsplash", None);
        check("", None);
        check(&"l".repeat(10_000), None);
    }

    #[test]
    fn distances_count_swaps_once() {
        let check = |a: &str, b: &str, expected| assert_eq!(distance(a, b), expected, "{a} {b}");
        check("", "", 0);
        check("abc", "", 3);
        check("", "abc", 3);
        check("abc", "acb", 1);
        check("kitten", "sitting", 3);
    }
}
