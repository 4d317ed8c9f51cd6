//! The store on one SQLite file.

mod decode;
pub mod desk;
pub mod health;
pub mod migrate;
pub mod mirror;
pub mod open;
pub mod ticks;
