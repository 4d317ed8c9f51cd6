//! What is remembered: one trait, and SQLite behind it.
