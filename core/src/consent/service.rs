//! Beginning to connect a tenant.

use chrono::{DateTime, Utc};
use serde_json::json;
use url::Url;
use uuid::Uuid;

use super::{
    administrator::Administrators,
    authorization::{Authorizer, Binding, Prepared},
    error::ConsentError,
    model::{Connection, ConnectionState, LINK_LIFETIME, NextStep},
    proof::Prover,
    queries::{self, Flow, FlowKind, NewConnection},
    rejection::{Rejection, RejectionCode},
    return_url::ReturnUrls,
    token::{FlowToken, Purpose},
};
use crate::{
    access::OrgScope,
    audit::{self, Action},
    credentials::{ConnectionKeys, Credential, Sealed},
    customers,
    ids::{ConnectionId, CustomerId, TenantId},
    matching::{self, MatchKind, Proposal},
    microsoft::{
        consent_doctor::DiagnosisCode,
        identity::IdentityClient,
        permissions::{self, Permission, PermissionKind},
        tenant_lookup::{self, LookupError, ResolvedTenant, TenantHint},
    },
    outbound::Outbound,
    secrets::Vault,
    store::{Scoped, Store, StoreError},
    sync::status,
    tenants::{self, ConnectStarted, ConnectWish, ConnectionType, TenantStatus},
};

/// What the flow needs to know of the installation.
#[derive(Debug, Clone)]
pub struct ConsentSettings {
    /// Where browsers reach the installation.
    pub public_url: Url,
    /// Where they may be sent at the end.
    pub return_urls: ReturnUrls,
}

/// How a tenant is to be read.
#[derive(Debug)]
pub enum WayIn {
    /// With application permissions that its administrator consents to.
    AdminConsent,
    /// As the administrator who signs in.
    Delegated,
    /// With a registration of the customer's own: its entered secret or certificate.
    ApplicationCredentials(Credential),
}

impl WayIn {
    /// Its public name.
    pub fn connection_type(&self) -> ConnectionType {
        match self {
            Self::AdminConsent => ConnectionType::AdminConsent,
            Self::Delegated => ConnectionType::Delegated,
            Self::ApplicationCredentials(_) => ConnectionType::ApplicationCredentials,
        }
    }
}

/// A wish to connect a tenant.
#[derive(Debug)]
pub struct StartConnect {
    /// For which customer.
    pub customer: Option<CustomerId>,
    /// A domain of the tenant or its id, as it was typed.
    pub tenant: String,
    /// How it is to be read.
    pub way: WayIn,
    /// Where the administrator goes at the end.
    pub return_url: Option<String>,
}

/// A connection attempt that has begun or, where no administrator is needed, has come to its end.
#[derive(Debug)]
pub struct Started {
    /// The tenant behind the domain.
    pub tenant: TenantId,
    /// The attempt.
    pub connection: ConnectionId,
    /// What the tenant is now.
    pub status: TenantStatus,
    /// For an administrator; none where nobody has to sign in.
    pub link: Option<ConnectLink>,
    /// What is asked for.
    pub requested_permissions: Vec<&'static Permission>,
    /// Whether as application permissions or as delegated ones.
    pub permission_kind: PermissionKind,
}

/// What an administrator opens.
#[derive(Debug)]
pub struct ConnectLink {
    /// Our own page. Whoever has it can take part in the flow.
    pub authorization_url: Url,
    /// Microsoft's page, for a front end that receives the redirect itself.
    pub microsoft_url: Url,
    /// When the link ends.
    pub expires_at: DateTime<Utc>,
}

/// Connects tenants.
#[derive(Clone)]
pub struct ConsentService {
    pub(super) store: Store,
    pub(super) http: Outbound,
    pub(super) authorizer: Authorizer,
    pub(super) administrators: Administrators,
    pub(super) prover: Prover,
    pub(super) settings: ConsentSettings,
}

impl ConsentService {
    /// The service of one installation.
    pub fn new(
        store: Store,
        vault: Vault,
        identity: IdentityClient,
        http: Outbound,
        prover: Prover,
        settings: ConsentSettings,
    ) -> Self {
        let administrators = Administrators::new(&identity, http.clone(), store.clock().clone());
        let authorizer = Authorizer {
            identity,
            keys: ConnectionKeys::new(vault),
        };
        Self {
            store,
            http,
            authorizer,
            administrators,
            prover,
            settings,
        }
    }

    /// Begins to connect a tenant: makes a link for its administrator, or proves entered credentials and
    /// connects it at once. The tenant is looked up before anything is stored; an older unused link of it
    /// ends; its status and its present connection stay until the new one is proven. Nothing here tells
    /// whether another organisation has the tenant before control of it is proven. `complete` runs in the
    /// same transaction at its end: for what must happen together with it, such as keeping the answer for
    /// a repetition.
    ///
    /// # Errors
    /// See [`ConsentError`].
    pub async fn start(
        &self,
        scope: &OrgScope,
        wish: StartConnect,
        complete: impl FnOnce(&mut Scoped<'_>, &Started) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<Started, ConsentError> {
        let return_url = wish
            .return_url
            .as_deref()
            .map(|url| self.settings.return_urls.check(url))
            .transpose()?;
        let target = match wish.customer {
            Some(customer) => {
                let is_active = self
                    .store
                    .read(scope, move |tx| customers::is_active(tx, customer))
                    .await?;
                if !is_active {
                    return Err(ConsentError::CustomerNotFound);
                }
                let (entered, resolved) = self.look_up(&wish.tenant).await?;
                Target {
                    tenant: resolved.tenant_id,
                    entered,
                    customer,
                    matched: None,
                }
            }
            None => {
                let (entered, resolved) = self.look_up(&wish.tenant).await?;
                self.matched(scope, entered, &resolved).await?
            }
        };
        let connection_type = wish.way.connection_type();
        if let WayIn::ApplicationCredentials(credential) = wish.way {
            return self
                .connect_own_application(scope, target, credential, complete)
                .await;
        }
        let attempt = self.attempt(scope, connection_type, target, return_url)?;
        let started = self
            .store
            .write(scope, move |tx| attempt.store(tx, complete))
            .await?;
        crate::failpoint::failpoint!("connect-started");
        Ok(started)
    }

    /// The target with the customer that the tenant certainly belongs to.
    async fn matched(
        &self,
        scope: &OrgScope,
        entered: String,
        resolved: &ResolvedTenant,
    ) -> Result<Target, ConsentError> {
        let (tenant, typed) = (resolved.tenant_id, resolved.domain.clone());
        let proposal = self
            .store
            .read(scope, move |tx| {
                matching::propose(tx, tenant, typed.as_deref())
            })
            .await?;
        let (customer, matched) = match proposal {
            Proposal::Mapped(customer) => (customer, Vec::new()),
            Proposal::Certain(candidate) => {
                let kinds = candidate.evidence.iter().map(|evidence| evidence.kind);
                (candidate.customer, kinds.collect())
            }
            Proposal::Open(candidates) => {
                return Err(ConsentError::CustomerRequired { candidates });
            }
        };
        Ok(Target {
            tenant,
            entered,
            customer,
            matched: Some(matched),
        })
    }

    /// The origin of Microsoft's sign-in pages.
    pub fn authority(&self) -> &str {
        self.authorizer.identity.profile().authority().as_str()
    }

    async fn look_up(&self, typed: &str) -> Result<(String, ResolvedTenant), ConsentError> {
        let Ok(hint) = TenantHint::parse(typed) else {
            let detail = "A tenant is named by one of its verified domains or by its tenant id.";
            let code = RejectionCode::Diagnosed(DiagnosisCode::InvalidTenant);
            return Err(ConsentError::Refused(Box::new(Rejection::new(
                code, detail,
            ))));
        };
        let profile = self.authorizer.identity.profile();
        let resolved = tenant_lookup::resolve(&hint, profile, &self.http)
            .await
            .map_err(|error| ConsentError::Refused(Box::new(of_lookup(error))))?;
        let entered = hint
            .domain()
            .map_or_else(|| resolved.tenant_id.to_string(), str::to_owned);
        Ok((entered, resolved))
    }

    /// Everything of a new attempt that needs no database.
    fn attempt(
        &self,
        scope: &OrgScope,
        connection_type: ConnectionType,
        target: Target,
        return_url: Option<Url>,
    ) -> Result<Attempt, ConsentError> {
        let Target {
            tenant,
            entered,
            customer,
            matched,
        } = target;
        let now = self.store.clock().now();
        let id = ConnectionId::from_uuid(Uuid::now_v7());
        let link = FlowToken::random()?;
        let (key, data_key) = self.authorizer.keys.new_key(scope.org(), id, tenant)?;
        let connection = Connection {
            id,
            tenant,
            connection_type,
            state: ConnectionState::Pending,
            next_step: NextStep::SignIn,
            entered_tenant: entered,
            customer: Some(customer),
            return_url,
            data_key: Some(data_key),
            sealed_link: Some(key.seal(Sealed::Link, link.secret())?),
            signed_in: None,
            last_outcome: None,
            proof_deadline: None,
            expires_at: now + LINK_LIFETIME,
        };
        let relayed = self
            .authorizer
            .sign_in(scope.org(), &connection, Binding::Relay, now)?;
        let authorization_url = self.link_url(&link);
        let requested = permissions::required(self.authorizer.identity.profile());
        Ok(Attempt {
            connection,
            customer,
            matched,
            link,
            relayed,
            authorization_url,
            requested,
        })
    }

    /// `{PUBLIC_URL}/connect/{token}`.
    pub(super) fn link_url(&self, link: &FlowToken) -> Url {
        at(
            &self.settings.public_url,
            &format!("connect/{}", link.expose()),
        )
    }
}

/// A page of the installation.
pub(super) fn at(public_url: &Url, path: &str) -> Url {
    let mut url = public_url.clone();
    url.set_path(&format!(
        "{}/{path}",
        public_url.path().trim_end_matches('/')
    ));
    url
}

/// Which tenant is to be connected, for whom.
pub(super) struct Target {
    pub(super) tenant: TenantId,
    /// The domain or id as it was typed.
    pub(super) entered: String,
    pub(super) customer: CustomerId,
    /// Where nobody named the customer: what made the match certain, nothing for a tenant that was mapped
    /// before.
    pub(super) matched: Option<Vec<MatchKind>>,
}

/// Puts a new attempt into the store, in the place of older unused ones. Returns the tenant's status.
pub(super) fn insert_attempt(
    tx: &mut Scoped<'_>,
    connection: &Connection,
    customer: CustomerId,
    is_matched: bool,
) -> Result<TenantStatus, ConsentError> {
    if !customers::hold_active(tx, customer)? {
        return Err(ConsentError::CustomerNotFound);
    }
    if is_matched && !may_be_for(tx, connection.tenant, customer)? {
        // A person mapped it in this very moment; what was found by itself does not overwrite that.
        return Err(ConsentError::CustomerRequired {
            candidates: Vec::new(),
        });
    }
    let wish = ConnectWish {
        tenant: connection.tenant,
        customer,
        connection_type: connection.connection_type,
        entered: &connection.entered_tenant,
    };
    let status = match tenants::note_connect_started(tx, &wish)? {
        ConnectStarted::Tenant(status) => status,
        ConnectStarted::AlreadyConnected(customer) => {
            return Err(ConsentError::TenantAlreadyConnected { customer });
        }
    };
    queries::void_pending(tx, connection.tenant, connection.id, false)?;
    let new = NewConnection {
        id: connection.id,
        tenant: connection.tenant,
        connection_type: connection.connection_type.as_str(),
        next_step: connection.next_step,
        entered_tenant: &connection.entered_tenant,
        customer,
        return_url: connection.return_url.as_ref().map(Url::as_str),
        data_key: connection.data_key.as_deref().unwrap_or_default(),
        sealed_link: connection.sealed_link.as_deref(),
        expires_at: connection.expires_at,
    };
    queries::insert_connection(tx, &new)?;
    Ok(status)
}

/// Whether the tenant belongs to nobody or to this customer, and stays so until the transaction ends.
fn may_be_for(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    customer: CustomerId,
) -> Result<bool, StoreError> {
    let present = tenants::find_locked(tx, tenant)?.and_then(|tenant| tenant.customer);
    Ok(present.is_none_or(|present| present == customer))
}

/// Records that a match was used without asking, where one was.
pub(super) fn record_match(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    customer: CustomerId,
    matched: Option<&[MatchKind]>,
) -> Result<(), StoreError> {
    match matched {
        Some([]) | None => Ok(()),
        Some(evidence) => matching::note_used(tx, tenant, customer, evidence),
    }
}

/// Records that an attempt has begun.
pub(super) fn record_started(
    tx: &mut Scoped<'_>,
    connection: &Connection,
) -> Result<(), StoreError> {
    let details = json!({
        "connectionId": connection.id,
        "customerId": connection.customer,
        "connectionType": connection.connection_type.as_str(),
        "enteredTenant": connection.entered_tenant,
    });
    let tenant = Some(connection.tenant);
    audit::record(tx, Action::TenantConnectStarted, tenant, details)
}

/// A new attempt, complete but for the database.
struct Attempt {
    connection: Connection,
    customer: CustomerId,
    matched: Option<Vec<MatchKind>>,
    link: FlowToken,
    relayed: Prepared,
    authorization_url: Url,
    requested: Vec<&'static Permission>,
}

impl Attempt {
    fn store(
        self,
        tx: &mut Scoped<'_>,
        complete: impl FnOnce(&mut Scoped<'_>, &Started) -> Result<(), StoreError>,
    ) -> Result<Started, ConsentError> {
        let connection = &self.connection;
        let status = insert_attempt(tx, connection, self.customer, self.matched.is_some())?;
        let link = Flow {
            kind: FlowKind::Link,
            org: tx.org(),
            connection: connection.id,
            request: None,
            expires_at: connection.expires_at,
        };
        queries::sweep_flows_across_orgs(&mut tx.global())?;
        queries::insert_flow(&mut tx.global(), self.link.hash(Purpose::Link), &link)?;
        self.relayed.store(tx)?;
        status::refresh(tx, connection.tenant)?;
        let started = Started {
            tenant: connection.tenant,
            connection: connection.id,
            status,
            link: Some(ConnectLink {
                authorization_url: self.authorization_url,
                microsoft_url: self.relayed.url,
                expires_at: connection.expires_at,
            }),
            requested_permissions: self.requested,
            permission_kind: connection.connection_type.permission_kind(),
        };
        complete(tx, &started)?;
        record_started(tx, connection)?;
        record_match(
            tx,
            connection.tenant,
            self.customer,
            self.matched.as_deref(),
        )?;
        Ok(started)
    }
}

/// What Microsoft's metadata said about a tenant that cannot be connected.
fn of_lookup(error: LookupError) -> Rejection {
    let own = |code, detail: &str| Rejection::new(RejectionCode::Diagnosed(code), detail);
    match error {
        LookupError::NotFound(error)
        | LookupError::Invalid(error)
        | LookupError::Refused(error) => Rejection::of_microsoft(*error),
        LookupError::PersonalAccounts => own(
            DiagnosisCode::InvalidTenant,
            "That is the directory of personal Microsoft accounts, which is no organization's tenant.",
        ),
        LookupError::WrongCloud { actual, source } => {
            let place = actual.map_or("another Microsoft cloud".to_owned(), |cloud| {
                format!("Microsoft's cloud {}", cloud.name())
            });
            let detail = format!("The tenant lives in {place}, not in this installation's.");
            Rejection {
                microsoft: source.map(|source| *source),
                ..own(DiagnosisCode::WrongCloud, &detail)
            }
        }
        LookupError::Unavailable(_) => Rejection::unavailable(
            "Microsoft's sign-in service did not answer the question which tenant this is.",
        ),
        LookupError::UnexpectedAnswer(_) => Rejection::unavailable(
            "Microsoft's sign-in service answered with metadata that cannot be used.",
        ),
    }
}
