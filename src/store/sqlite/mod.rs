//! SQLite: the default database, one file.
