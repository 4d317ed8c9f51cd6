//! The catalog, one file per protocol, the local makers, and the one HTTP driver.

pub mod local;
pub mod prompt;
