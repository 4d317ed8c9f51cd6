//! To come: vault.
