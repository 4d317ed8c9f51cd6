//! Where a configuration may come from; all of it is passed in, nothing is looked up here but files.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::errors::Mistake;

/// The name of the environment variable that names the file.
pub const FILE_VARIABLE: &str = "BACKSTOP_CONFIG";

/// The file looked for in the working directory.
pub const LOCAL_FILE: &str = "backstop.toml";

/// The file looked for last.
pub const SYSTEM_FILE: &str = "/etc/backstop/backstop.toml";

/// Everything a configuration is read from.
#[derive(Clone, Default)]
pub struct Sources {
    /// The file named on the command line (`--config`).
    pub file: Option<PathBuf>,
    /// The process's environment.
    pub environment: BTreeMap<String, String>,
    /// Flags that set a key: its path (`queue.schedule`, `assets.hero-image.chain`) and its text. They win over
    /// everything else.
    pub overrides: Vec<(String, String)>,
    /// Where relative paths start when no file was read, and those given by flags always.
    pub working_directory: PathBuf,
    /// `$STATE_DIRECTORY`, one folder: where the database and the vault go when their paths are relative.
    pub state_directory: Option<PathBuf>,
    /// `$CREDENTIALS_DIRECTORY`: where systemd puts what `LoadCredential=` names.
    pub credentials_directory: Option<PathBuf>,
    /// Whether [`SYSTEM_FILE`] is looked for; a test has no business there.
    pub search_system: bool,
}

impl Sources {
    /// The file to read: the named one, else `$BACKSTOP_CONFIG`, else `./backstop.toml`, else the system's, else
    /// none.
    ///
    /// # Errors
    /// When a file was named and is not there.
    pub fn find_file(&self) -> Result<Option<PathBuf>, Mistake> {
        if let Some(named) = &self.file {
            return self.named(named, "--config").map(Some);
        }
        if let Some(named) = self.environment.get(FILE_VARIABLE).filter(|text| !text.is_empty()) {
            return self.named(Path::new(named), FILE_VARIABLE).map(Some);
        }
        let local = self.working_directory.join(LOCAL_FILE);
        let system = self.search_system.then(|| PathBuf::from(SYSTEM_FILE));
        Ok([Some(local), system].into_iter().flatten().find(|path| path.is_file()))
    }

    fn named(&self, path: &Path, by: &str) -> Result<PathBuf, Mistake> {
        let path = self.working_directory.join(path);
        if path.is_file() {
            return Ok(path);
        }
        Err(Mistake {
            key: by.to_owned(),
            from: None,
            wrong: format!("there is no file {}", path.display()),
            advice: "name one that exists, or leave it out: without a file the defaults hold".to_owned(),
        })
    }
}

// The environment holds every key of the machine: names are shown, values never.
impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("file", &self.file)
            .field("environment", &self.environment.keys().collect::<Vec<_>>())
            .field("overrides", &self.overrides.iter().map(|(key, _)| key).collect::<Vec<_>>())
            .field("working_directory", &self.working_directory)
            .field("state_directory", &self.state_directory)
            .field("credentials_directory", &self.credentials_directory)
            .finish_non_exhaustive()
    }
}
