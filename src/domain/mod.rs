//! The rules, pure: no I/O, no clock, no async, no SQL, no HTTP.

pub mod accept;
pub mod ask;
pub mod asset;
pub mod chain;
pub mod failure;
pub mod job;
pub mod name;
pub mod provider;
pub mod sentence;
pub mod time;
