//! What can go wrong with the database.

/// Trouble with the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Anything.
    #[error("database: {0}")]
    Other(#[from] sqlx::Error),
}
