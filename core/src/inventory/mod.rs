//! What a sync found, in Microsoft's own words.
//!
//! One row an object, with the object as JSON under Microsoft Graph's own names, so that a further
//! collection needs no table of its own. Owns writing pages, believing absence only after a complete
//! read, and listing. Knows nothing of where the pages come from.

mod absence;
pub mod documents;
mod kind;
pub mod license_names;
mod purposes;
mod queries;
mod service;
mod service_plans;

pub use self::{
    absence::{Absence, sweep_members, sweep_objects, unseen, unseen_members},
    kind::{ObjectKind, text_key},
    service::{InventoryError, InventoryService, Listing, ListingQuery, Summary},
};
pub(crate) use crate::store::dialect::upsert_members;
pub use crate::store::dialect::{MemberRow, ObjectRow};
pub(crate) use purposes::set_purposes;
pub(crate) use queries::{
    as_of, large_groups, live_among, live_documents, mark_removed, most_members, name_members,
    organization_documents, remove_members, store_objects, stored_documents, unnamed_members,
};
pub(crate) use service_plans::{Plans, read_plans};
