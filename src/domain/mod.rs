//! The rules, pure: no I/O, no clock, no async, no SQL, no HTTP.

pub mod accept;
pub mod address;
pub mod ask;
pub mod asset;
pub mod backoff;
pub mod breaker;
pub mod budget;
pub mod chain;
pub mod failure;
pub mod health;
pub mod job;
pub mod name;
pub mod pace;
pub mod plan;
pub mod provider;
pub mod sentence;
pub mod skip;
pub mod time;
pub mod vitals;
pub mod walk;
