//! The desk: what people ask of the database and tell it.
