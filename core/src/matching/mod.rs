//! Matching: which customer a tenant belongs to.
//!
//! Owns comparing what is known of a tenant with what customers and their PSAs say, what that is worth,
//! and when a match is certain enough to be used without asking. Owns the MSP's own domains, which tie
//! nothing to a customer. Proposes only: a person confirms, and what a person mapped is never overwritten.
//! Refuses to own customers and hints (`customers`), the mapping itself (`tenants`), and where hints come
//! from (`customer_sync`).
//!
//! Nothing of it is stored: a proposal is made when it is asked for, from a picture that holds only those
//! values that a tenant in question has. So it is always right, in every process.

mod domains;
mod names;
mod picture;
mod proposal;
mod queries;
mod score;
mod service;
mod source;

pub(crate) use self::proposal::{Proposal, note_used, propose};
pub use self::{
    domains::OwnDomainsService,
    names::folded,
    score::{Candidate, MOST_CANDIDATES, MatchEvidence, MatchKind},
    service::{
        ConfirmFault, Confirmed, MatchCursor, MatchError, MatchFilter, MatchPage, MatchingService,
        OrphanCursor, OrphanPage, TenantMatches, Wish,
    },
    source::{ConnectedTenants, TenantFacts, TenantSource},
};
