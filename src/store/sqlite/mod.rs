//! The store on one SQLite file.

mod claim;
mod ledger;
pub mod migrate;
pub mod mirror;
pub mod open;
