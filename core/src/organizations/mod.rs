//! Organisations: the MSPs of this installation.
//!
//! Owns creating and naming them. What belongs to an organisation is kept by the other rooms; the
//! table here is one of the few global ones. The nil organisation is the installation itself and is
//! no MSP: nothing here lists or counts it.

mod queries;
mod service;

pub(crate) use self::queries::{count, exists, ids, insert_installation, name_of};
pub use self::service::{NewOrganization, Organization, OrganizationError, OrganizationService};
