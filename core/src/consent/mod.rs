//! Consent: how a tenant comes to be connected by its administrator.
//!
//! Owns links, authorization requests, what comes back from Microsoft, and the proof that ends in a
//! connection. Refuses to own the tenant's row (`tenants`) and Microsoft's protocols (`microsoft`).
//! A tenant is bound to an organisation by a validated id token of the flow and by nothing that a
//! browser or a caller says; a proof is stored in the transaction that claims the tenant.

mod administrator;
mod authorization;
mod callback;
mod error;
mod evidence;
mod link;
mod model;
mod own_application;
mod proof;
mod purge;
mod queries;
mod rejection;
mod return_url;
mod service;
mod token;

pub use self::{
    authorization::Bearer,
    callback::{CallbackFields, Landing, NextPage, RejectedFlow, StepTaken},
    error::ConsentError,
    link::{LinkState, LinkView},
    model::{LINK_LIFETIME, Outcome, STATE_LIFETIME},
    proof::{ProofStep, Prover},
    purge::purge_flows,
    rejection::{Rejection, RejectionCode, diagnosis_title, microsoft_facts},
    return_url::{ReturnUrlNotAllowed, ReturnUrls},
    service::{ConnectLink, ConsentService, ConsentSettings, StartConnect, Started, WayIn},
    token::{FlowHash, FlowToken, Purpose},
};

use crate::{
    ids::{ConnectionId, TenantId},
    store::{Scoped, StoreError},
};

/// Erases every connection of a tenant with all that was sealed for it, and ends its flows. Returns
/// the connections whose tokens have to leave the memory.
pub(crate) fn erase_for_tenant(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
) -> Result<Vec<ConnectionId>, StoreError> {
    queries::revoke_all(tx, tenant)
}
