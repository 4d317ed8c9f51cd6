//! What is remembered: one trait, and SQLite behind it.

pub mod error;
pub mod sqlite;
