//! Permissions as types, so that a handler cannot forget the one it demands.

use tenantry_core::access::Permission;

/// A type that stands for a permission.
pub trait Permit: 'static {
    /// Which.
    const PERMISSION: Permission;
}

/// One marker for each permission. A macro because they are all the same; the match in it does not
/// compile when a permission has no marker.
macro_rules! permits {
    ($($name:ident),+ $(,)?) => {
        /// The markers, each named as its permission.
        pub mod permits {
            use tenantry_core::access::Permission;
            use super::Permit;

            $(
                #[doc = concat!("Demands `Permission::", stringify!($name), "`.")]
                #[derive(Debug)]
                pub enum $name {}

                impl Permit for $name {
                    const PERMISSION: Permission = Permission::$name;
                }
            )+

            #[expect(dead_code, reason = "fails to compile when a permission has no marker")]
            const fn all_have_a_marker(permission: Permission) {
                match permission {
                    $(Permission::$name => {})+
                    // What open routes show beyond: `OptionalCaller` asks for these.
                    Permission::MetricsRead | Permission::ReadinessDetails => {}
                }
            }
        }
    };
}

permits! {
    TenantsConnect,
    TenantsRead,
    TenantsWrite,
    TenantsRevoke,
    InventoryRead,
    SyncStart,
    SyncCancel,
    CustomersRead,
    CustomersWrite,
    AuditRead,
}
