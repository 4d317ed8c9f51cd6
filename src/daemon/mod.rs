//! The moving parts, one duty per file.
