//! To come: media.
