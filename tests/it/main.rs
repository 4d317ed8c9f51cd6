//! Black-box tests: the real binary, real SQL clients, real files.

mod architecture;
mod browser;
mod cli;
mod config;
mod daemon;
mod deploy;
mod fake;
mod faults;
mod film;
mod kills;
mod labels;
mod makers;
mod media;
mod notices;
mod online;
mod readme;
mod sdk;
mod sound;
mod sql_contract;
mod support;
mod vault;
mod web;
mod wire;
