//! The whole of Tenantry from outside: the stand-in for Microsoft's cloud, and the tools tests share.
//! The product binary contains none of it.

pub mod browser;
pub mod fake_microsoft;
