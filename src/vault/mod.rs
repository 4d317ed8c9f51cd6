//! Where delivered files are kept.
