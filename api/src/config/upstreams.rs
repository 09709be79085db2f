//! Which addresses that a user can name may be called beyond public ones.

use tenantry_core::outbound::{PrivateUpstream, TargetPolicy};

use super::reader::Reader;

/// The rules about addresses, from the settings.
pub fn read(reader: &mut Reader) -> TargetPolicy {
    let loopback = reader.parsed("ALLOW_LOOPBACK_UPSTREAMS", |text| {
        text.parse::<bool>()
            .map_err(|_neither| "expected true or false")
    });
    let private = reader.list("PRIVATE_UPSTREAMS", str::parse::<PrivateUpstream>);
    TargetPolicy::new(loopback.unwrap_or(false), private)
}
