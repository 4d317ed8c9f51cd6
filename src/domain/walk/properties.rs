//! What holds for every walk, whatever happens.
