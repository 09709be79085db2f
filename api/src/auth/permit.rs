//! Permissions as types, so that a handler cannot forget the one it demands.

use tenantry_core::access::Permission;

/// A type that stands for a permission.
pub trait Permit: 'static {
    /// Which.
    const PERMISSION: Permission;
}

/// One marker for each permission that a handler demands by its type. A macro because they are all the
/// same. What a handler only asks about (metrics, details of readiness) needs none.
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
    PsaRead,
    PsaWrite,
    AuditRead,
}
