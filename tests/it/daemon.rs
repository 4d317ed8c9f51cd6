//! To come: daemon.
