//! The store on one SQLite file.

mod claim;
mod decode;
mod desk;
mod health;
mod ledger;
pub mod migrate;
pub mod mirror;
pub mod open;
pub mod ticks;
