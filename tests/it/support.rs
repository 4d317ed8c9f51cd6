//! To come: support.
