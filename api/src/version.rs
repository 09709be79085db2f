//! Which build this is.

use std::sync::LazyLock;

/// The version of the product.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit it was built from, where the build knew it: `TENANTRY_BUILD_COMMIT` of that time.
pub const COMMIT: Option<&str> = option_env!("TENANTRY_BUILD_COMMIT");

/// What `tenantry --version` prints after the name.
pub static LONG: LazyLock<String> = LazyLock::new(|| {
    let schema = tenantry_core::store::schema_version();
    match COMMIT {
        Some(commit) => format!("{VERSION} (commit {commit}, schema {schema})"),
        None => format!("{VERSION} (schema {schema})"),
    }
});
