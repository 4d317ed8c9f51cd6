//! What can go wrong between the daemon and its database, in the few kinds a caller can act on.

use std::io;
use std::path::{Path, PathBuf};

use crate::domain::job::JobId;

/// Trouble with the database. Every text is a sentence an operator can act on.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else held the database for longer than we wait.
    #[error("the database is busy: {0}; it is tried again")]
    Busy(String),
    /// The schema refused a row or a change; the sentence is the schema's own.
    #[error("{sentence}")]
    Refused {
        /// What is wrong, in the words of the migrations.
        sentence: String,
    },
    /// Nobody has enqueued this job, or it was pruned.
    #[error("no job {job}; backstop jobs lists them")]
    NoSuchJob {
        /// As it was asked for.
        job: JobId,
    },
    /// No space is left where the database lives.
    #[error("the disk that holds the database is full; free some space")]
    Full,
    /// The disk under the database, or the right to write there, fails.
    #[error("the disk that holds the database does not read or write: {0}; it is tried again")]
    Disk(String),
    /// The file was moved away, deleted or replaced while it was in use.
    #[error("{} was moved, deleted or replaced while it was in use; what is there now is opened at the next start", path.display())]
    Moved {
        /// Where it was.
        path: PathBuf,
    },
    /// The file is damaged, or was never a database.
    #[error("the database cannot be read: {0}; restore it from a backup")]
    Corrupt(String),
    /// The file's schema is not one this program can work with.
    #[error("{sentence}")]
    Schema {
        /// What is wrong and what to do.
        sentence: String,
    },
    /// The file or a file beside it cannot be used.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Anything else; its text is for the log.
    #[error("the database: {0}")]
    Other(String),
}

/// How the refusal of a second live job of one dedupe key ends; no other sentence does.
const TAKEN: &str = "already; cancel it, or use another key";

/// `SQLITE_READONLY_DBMOVED`.
const MOVED: i64 = 1_032;

impl StoreError {
    /// Whether the same call may well succeed later, with nothing changed but the world.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Busy(_) | Self::Full | Self::Disk(_) => true,
            Self::Refused { .. }
            | Self::NoSuchJob { .. }
            | Self::Moved { .. }
            | Self::Corrupt(_)
            | Self::Schema { .. }
            | Self::File { .. }
            | Self::Other(_) => false,
        }
    }

    /// A live job of this asset has the dedupe key that another one should get.
    pub(crate) fn taken(other: &str, asset: &str, key: &str) -> Self {
        Self::Refused { sentence: format!("{other} of {asset} has dedupe key \"{key}\" {TAKEN}") }
    }

    /// Whether it is a [`StoreError::taken`].
    #[must_use]
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::Refused { sentence } if sentence.ends_with(TAKEN))
    }

    /// A schema this program cannot work with.
    pub(crate) fn schema(sentence: impl Into<String>) -> Self {
        Self::Schema { sentence: sentence.into() }
    }

    /// Trouble with a file.
    pub(crate) fn file(path: &Path, source: io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }

    /// The kind of one of SQLite's result codes, extended ones included (<https://sqlite.org/rescode.html>).
    fn from_sqlite(code: i64, message: String) -> Self {
        if code == MOVED {
            return Self::Moved { path: "the database".into() };
        }
        // The low byte of an extended code is its primary code.
        match code & 0xff {
            5 | 6 => Self::Busy(message),
            // Read-only, I/O error, cannot open: a disk, a mount or a permission, and a person may mend it.
            8 | 10 | 14 => Self::Disk(format!("{message} (SQLite code {code})")),
            11 | 26 => Self::Corrupt(message),
            13 => Self::Full,
            19 => Self::Refused { sentence: message },
            _ => Self::Other(format!("{message} (SQLite code {code})")),
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if let sqlx::Error::PoolTimedOut = error {
            return Self::Busy("no connection became free in time".to_owned());
        }
        let code = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .and_then(|code| code.parse::<i64>().ok());
        match (code, error.as_database_error()) {
            (Some(code), Some(database)) => Self::from_sqlite(code, database.message().to_owned()),
            (None, _) | (_, None) => Self::Other(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_codes_become_kinds() {
        let kind = |code: i64| match StoreError::from_sqlite(code, "m".to_owned()) {
            StoreError::Busy(_) => "busy",
            StoreError::Refused { .. } => "refused",
            StoreError::NoSuchJob { .. } => "no such job",
            StoreError::Full => "full",
            StoreError::Disk(_) => "disk",
            StoreError::Moved { .. } => "moved",
            StoreError::Corrupt(_) => "corrupt",
            StoreError::Schema { .. } => "schema",
            StoreError::File { .. } => "file",
            StoreError::Other(_) => "other",
        };
        let check = |code, expected| assert_eq!(kind(code), expected, "{code}");
        check(5, "busy");
        check(517, "busy");
        check(6, "busy");
        check(13, "full");
        check(11, "corrupt");
        check(779, "corrupt");
        check(26, "corrupt");
        check(1811, "refused");
        check(275, "refused");
        check(10, "disk");
        check(266, "disk");
        check(8, "disk");
        check(14, "disk");
        check(1_032, "moved");
        check(21, "other");
    }

    #[test]
    fn a_taken_key_is_told_from_other_refusals() {
        assert!(StoreError::taken("job 1", "hero-image", "k").is_taken());
        assert!(!StoreError::Refused { sentence: "slug must not be empty".to_owned() }.is_taken());
    }

    #[test]
    fn only_trouble_that_passes_by_itself_is_passing() {
        assert!(StoreError::from_sqlite(5, String::new()).is_passing());
        assert!(StoreError::from(sqlx::Error::PoolTimedOut).is_passing());
        assert!(StoreError::Full.is_passing());
        assert!(StoreError::from_sqlite(10, String::new()).is_passing());
        assert!(!StoreError::from_sqlite(1_032, String::new()).is_passing());
        assert!(!StoreError::from_sqlite(1811, String::new()).is_passing());
        assert!(!StoreError::schema("x").is_passing());
    }
}
