//! The verbs, one file each, and the one place where everything is wired.
