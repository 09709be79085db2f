//! The contents of a tenant, with a log of changes.

/// Everything in a tenant but who can sign in.
#[derive(Default)]
pub struct Directory {}
