//! The daemon from within, with a vendor, a vault and a database that misbehave on demand.
