//! The store on one SQLite file.

pub mod migrate;
pub mod mirror;
pub mod open;
