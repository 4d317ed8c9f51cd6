//! Backstop makes every scheduled AI generation end in an asset.
//!
//! ARCHITECTURE.md has the map: the rooms below depend on each other in one direction only, and a test holds
//! them to it.

pub mod cli;
pub mod config;
pub mod daemon;
pub mod domain;
pub mod media;
pub mod providers;
pub mod store;
pub mod vault;
pub mod web;
