//! What the last sync found in a tenant, and how it is named to people.

pub mod license_names;
