//! Resource units: what requests cost and what tenants may use.

/// What a tenant may use, as a token bucket.
#[derive(Clone, Debug)]
pub struct Budget {}
