//! To come: architecture.
