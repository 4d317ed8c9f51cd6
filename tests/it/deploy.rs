//! To come: deploy.
