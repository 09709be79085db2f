//! The link that an administrator opens: `{PUBLIC_URL}/connect/{token}`.
//!
//! It may be opened again until the tenant is proven or the link ends; each time it begins a flow of
//! its own. Afterwards it shows what became of it.

use chrono::{DateTime, Utc};
use url::Url;

use super::{
    authorization::Binding,
    error::ConsentError,
    model::{Connection, ConnectionState, NextStep, Outcome},
    queries::{self, Flow, FlowKind},
    service::ConsentService,
    token::{FlowHash, FlowToken, Purpose},
};
use crate::{
    access::OrgScope,
    credentials,
    ids::{OrgId, TenantId},
    microsoft::permissions::{self, Permission, PermissionKind},
    organizations,
    store::{Scoped, StoreError},
    sync::queue::{self, WorkKind},
    tenants::{self, TenantStatus},
};

/// What a link leads to at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// It can begin a flow.
    Open,
    /// Consent was given and is being proven.
    Proving,
    /// The tenant is proven through it.
    Proven,
    /// Its time is over.
    Expired,
    /// A newer link or connection took its place, or the tenant was revoked.
    Void,
}

/// What a page about a link shows, to whoever holds the link.
#[derive(Debug, Clone)]
pub struct LinkView {
    /// What it leads to.
    pub state: LinkState,
    /// The name of the MSP.
    pub organization: String,
    /// Whether the installation serves more than one MSP.
    pub is_shared: bool,
    /// The tenant.
    pub tenant: TenantId,
    /// The tenant's name as far as it is known.
    pub tenant_name: String,
    /// The domain or id the technician typed.
    pub entered_tenant: String,
    /// What the tenant is now.
    pub status: TenantStatus,
    /// What the proven token said it holds; nothing where it named nothing.
    pub granted: Vec<String>,
    /// What the proven token lacks.
    pub missing: Vec<String>,
    /// What is asked for.
    pub permissions: Vec<&'static Permission>,
    /// Whether the tenant is read by an application, or as the administrator who signs in.
    pub permission_kind: PermissionKind,
    /// How the last flow ended.
    pub last_outcome: Option<Outcome>,
    /// Where the administrator goes at the end, when that is not our result page.
    pub return_url: Option<Url>,
    /// When the link ends.
    pub expires_at: DateTime<Utc>,
}

impl ConsentService {
    /// What a link leads to.
    ///
    /// # Errors
    /// [`ConsentError::LinkUnknown`], or when the store fails.
    pub async fn link(&self, token: &str) -> Result<LinkView, ConsentError> {
        let (scope, flow) = self.flow_of_link(token).await?;
        let (organization, is_shared) = self.who_asks(flow.org).await?;
        let permissions = permissions::required(self.authorizer.identity.profile());
        let (connection, tenant) = self
            .store
            .read(&scope, move |tx| {
                let connection = find(tx, &flow)?;
                let tenant = tenants::find(tx, connection.tenant)?.ok_or(StoreError::NotFound)?;
                Ok::<_, ConsentError>((connection, tenant))
            })
            .await?;
        let state = state(&connection, self.store.clock().now());
        Ok(LinkView {
            state,
            organization,
            is_shared,
            tenant: connection.tenant,
            tenant_name: tenant.display_name,
            entered_tenant: connection.entered_tenant,
            status: tenant.status,
            granted: tenant.granted_permissions,
            missing: tenant.missing_permissions,
            permissions,
            permission_kind: connection.connection_type.permission_kind(),
            last_outcome: connection.last_outcome,
            return_url: connection.return_url,
            expires_at: connection.expires_at,
        })
    }

    /// Begins a flow for a browser and returns Microsoft's page; `None` when the link cannot begin one.
    ///
    /// # Errors
    /// [`ConsentError::LinkUnknown`], or a failure of store or vault.
    pub async fn open(&self, token: &str, cookie: FlowHash) -> Result<Option<Url>, ConsentError> {
        let (scope, flow) = self.flow_of_link(token).await?;
        let connection = self.store.read(&scope, move |tx| find(tx, &flow)).await?;
        let now = self.store.clock().now();
        if !connection.may_begin(now) {
            return Ok(None);
        }
        let request =
            self.authorizer
                .sign_in(flow.org, &connection, Binding::Browser(cookie), now)?;
        let url = request.url.clone();
        let began = self
            .store
            .write(&scope, move |tx| {
                let connection = find(tx, &flow)?;
                if !connection.may_begin(tx.now()) {
                    return Ok(false);
                }
                give_up_old_proof(tx, &connection)?;
                request.store(tx)?;
                Ok::<_, ConsentError>(true)
            })
            .await?;
        Ok(began.then_some(url))
    }

    async fn flow_of_link(&self, token: &str) -> Result<(OrgScope, Flow), ConsentError> {
        let token = FlowToken::parse(token).ok_or(ConsentError::LinkUnknown)?;
        let hash = token.hash(Purpose::Link);
        let flow = self
            .store
            .read_global(move |tx| queries::flow_across_orgs(tx, FlowKind::Link, hash))
            .await?
            .ok_or(ConsentError::LinkUnknown)?;
        Ok((OrgScope::for_administrator(flow.org, None, None), flow))
    }

    async fn who_asks(&self, org: OrgId) -> Result<(String, bool), ConsentError> {
        let (name, count) = self
            .store
            .read_global(move |tx| {
                let name = organizations::name_of(tx, org)?;
                Ok::<_, StoreError>((name, organizations::count(tx)?))
            })
            .await?;
        Ok((name.ok_or(ConsentError::LinkUnknown)?, count > 1))
    }
}

fn find(tx: &mut Scoped<'_>, flow: &Flow) -> Result<Connection, ConsentError> {
    queries::connection(tx, flow.connection)?.ok_or(ConsentError::LinkUnknown)
}

/// A finished consent whose proof nobody came to within its time makes way for a new flow.
fn give_up_old_proof(tx: &mut Scoped<'_>, connection: &Connection) -> Result<(), StoreError> {
    if connection.next_step != NextStep::Proof {
        return Ok(());
    }
    // The queue first, as every transaction of a worker does: so that the two never wait for each other.
    let id = connection.id;
    queue::remove(&mut tx.global(), WorkKind::Proof, id.as_uuid())?;
    if queries::take_step(tx, id, &[NextStep::Proof], NextStep::SignIn, None)? {
        credentials::erase(tx, &[id])?;
    }
    Ok(())
}

fn state(connection: &Connection, now: DateTime<Utc>) -> LinkState {
    match connection.state {
        ConnectionState::Proven => LinkState::Proven,
        ConnectionState::Superseded | ConnectionState::Voided | ConnectionState::Revoked => {
            LinkState::Void
        }
        ConnectionState::Pending if connection.is_being_proven(now) => LinkState::Proving,
        ConnectionState::Pending if connection.may_begin(now) => LinkState::Open,
        ConnectionState::Pending => LinkState::Expired,
    }
}
