//! Typed configuration: a TOML file, then the environment; all mistakes reported at once.
