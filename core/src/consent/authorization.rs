//! Authorization requests: what is sent to Microsoft, and what may come back once.
//!
//! Each has a state of its own, stored hashed and used up by one delete, good for ten minutes, and
//! bound to the browser that was sent or to the organisation that relays (C6, C8). The nonce and the
//! PKCE verifier of a sign-in are sealed under the connection's data key (C7).

use chrono::{DateTime, Utc};
use serde_json::json;
use url::Url;
use uuid::Uuid;

use super::{
    error::ConsentError,
    model::{Connection, ConnectionState, Leg, STATE_LIFETIME},
    queries::{self, Flow, FlowKind, NewRequest, TakenRequest},
    token::{FlowHash, FlowToken, Purpose},
};
use crate::{
    access::OrgScope,
    audit::{self, Action},
    credentials::{ConnectionKey, ConnectionKeys, Sealed},
    ids::{AuthorizationRequestId, ConnectionId, OrgId, RequestId},
    microsoft::identity::{IdentityClient, SignInFor},
    secrets::SecretText,
    store::{Scoped, Store, StoreError},
    tenants::ConnectionType,
};

/// Who has to bring Microsoft's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// The browser that holds the cookie with this hash.
    Browser(FlowHash),
    /// The organisation that began the flow, with its own authorization.
    Relay,
}

/// Who brings an answer.
#[derive(Debug, Clone)]
pub enum Bearer {
    /// A browser.
    Browser {
        /// The hash of its cookie, where it has one.
        cookie: Option<FlowHash>,
        /// The HTTP request it comes with.
        request: Option<RequestId>,
    },
    /// A caller of the API.
    Caller(OrgScope),
}

/// An authorization request that is ready to be stored and sent.
pub(super) struct Prepared {
    /// Where the browser goes.
    pub url: Url,
    id: AuthorizationRequestId,
    connection: ConnectionId,
    leg: Leg,
    state: FlowHash,
    binding: Binding,
    sealed: Option<(Vec<u8>, Vec<u8>)>,
    expires_at: DateTime<Utc>,
}

/// A request whose answer has come from the one who may bring it.
pub(super) struct Arrived {
    pub connection: Connection,
    pub leg: Leg,
    pub binding: Binding,
    /// Nonce and verifier of a sign-in.
    pub sign_in: Option<(SecretText, SecretText)>,
}

/// Makes authorization requests.
#[derive(Clone)]
pub(super) struct Authorizer {
    pub identity: IdentityClient,
    pub keys: ConnectionKeys,
}

impl Authorizer {
    /// The data key of a connection attempt.
    pub fn key_of(
        &self,
        org: OrgId,
        connection: &Connection,
    ) -> Result<ConnectionKey<'_>, ConsentError> {
        let wrapped = connection
            .data_key
            .as_deref()
            .ok_or(ConsentError::InvalidState)?;
        Ok(self
            .keys
            .unwrap(org, connection.id, connection.tenant, wrapped)?)
    }

    /// The first leg: sign-in at the expected tenant. Where the tenant is to be read as the
    /// administrator, it is the only one.
    pub fn sign_in(
        &self,
        org: OrgId,
        connection: &Connection,
        binding: Binding,
        now: DateTime<Utc>,
    ) -> Result<Prepared, ConsentError> {
        let state = FlowToken::random()?;
        let wanted = match connection.connection_type {
            ConnectionType::Delegated => SignInFor::Access,
            ConnectionType::AdminConsent
            | ConnectionType::ApplicationCredentials
            | ConnectionType::Gdap => SignInFor::Proof,
        };
        let request = self
            .identity
            .begin_sign_in(connection.tenant, state.secret(), wanted);
        let prepared = prepared(
            connection.id,
            Leg::SignIn,
            &state,
            binding,
            request.url,
            now,
        );
        let key = self.key_of(org, connection)?;
        let nonce = key.seal(Sealed::Nonce(prepared.id), &request.nonce)?;
        let verifier = key.seal(Sealed::Verifier(prepared.id), &request.verifier)?;
        Ok(Prepared {
            sealed: Some((nonce, verifier)),
            ..prepared
        })
    }

    /// The second leg: Microsoft's admin-consent page of the same tenant.
    pub fn admin_consent(
        &self,
        connection: &Connection,
        binding: Binding,
        now: DateTime<Utc>,
    ) -> Result<Prepared, ConsentError> {
        let state = FlowToken::random()?;
        let url = self
            .identity
            .admin_consent_url(connection.tenant, state.secret());
        Ok(prepared(
            connection.id,
            Leg::AdminConsent,
            &state,
            binding,
            url,
            now,
        ))
    }

    /// Takes the request that a state stands for, if this bearer may answer it. Whoever presents a
    /// state uses it up.
    pub async fn take(
        &self,
        store: &Store,
        state: &str,
        bearer: &Bearer,
    ) -> Result<(OrgScope, Arrived), ConsentError> {
        let Some(state) = FlowToken::parse(state) else {
            return Err(ConsentError::InvalidState);
        };
        let hash = state.hash(Purpose::State);
        let flow = store
            .read_global(move |tx| queries::flow_across_orgs(tx, FlowKind::State, hash))
            .await?
            .ok_or(ConsentError::InvalidState)?;
        let (scope, presented) = match bearer {
            Bearer::Browser { cookie, request } => (
                OrgScope::for_administrator(flow.org, None, *request),
                Presented::Browser(*cookie),
            ),
            Bearer::Caller(caller) if caller.org() == flow.org => {
                (caller.clone(), Presented::Owner)
            }
            // Somebody else's caller is nobody in this organisation's audit.
            Bearer::Caller(caller) => (
                OrgScope::for_administrator(flow.org, None, caller.request_id()),
                Presented::Stranger,
            ),
        };
        let taken = store
            .write(&scope, move |tx| take_in(tx, hash, &flow, presented))
            .await?;
        crate::failpoint::failpoint!("consent-state-taken");
        let Taken::Request {
            request,
            connection,
            binding,
        } = taken
        else {
            return Err(ConsentError::InvalidState);
        };
        let sign_in = match (request.sealed_nonce, request.sealed_verifier) {
            (Some(nonce), Some(verifier)) => {
                let key = self.key_of(scope.org(), &connection)?;
                let nonce = key.open(Sealed::Nonce(request.id), &nonce)?;
                Some((nonce, key.open(Sealed::Verifier(request.id), &verifier)?))
            }
            (None | Some(_), None) | (None, Some(_)) => None,
        };
        Ok((
            scope,
            Arrived {
                connection: *connection,
                leg: request.leg,
                binding,
                sign_in,
            },
        ))
    }
}

fn prepared(
    connection: ConnectionId,
    leg: Leg,
    state: &FlowToken,
    binding: Binding,
    url: Url,
    now: DateTime<Utc>,
) -> Prepared {
    Prepared {
        url,
        id: AuthorizationRequestId::from_uuid(Uuid::now_v7()),
        connection,
        leg,
        state: state.hash(Purpose::State),
        binding,
        sealed: None,
        expires_at: now + STATE_LIFETIME,
    }
}

impl Prepared {
    /// Stores the request, so that its answer can be taken.
    pub(super) fn store(&self, tx: &mut Scoped<'_>) -> Result<(), StoreError> {
        let cookie = match self.binding {
            Binding::Browser(hash) => Some(hash),
            Binding::Relay => None,
        };
        let new = NewRequest {
            id: self.id,
            connection: self.connection,
            leg: self.leg,
            state: self.state,
            cookie,
            sealed_nonce: self
                .sealed
                .as_ref()
                .map(|(nonce, _verifier)| nonce.as_slice()),
            sealed_verifier: self
                .sealed
                .as_ref()
                .map(|(_nonce, verifier)| verifier.as_slice()),
            expires_at: self.expires_at,
        };
        queries::insert_request(tx, &new)
    }
}

/// Who stands before us with a state.
#[derive(Debug, Clone, Copy)]
enum Presented {
    /// A caller of the organisation that began the flow.
    Owner,
    /// A caller of another organisation.
    Stranger,
    /// A browser with this cookie.
    Browser(Option<FlowHash>),
}

/// What using up a state gave.
enum Taken {
    /// The request, for the right bearer and in time.
    Request {
        request: TakenRequest,
        connection: Box<Connection>,
        binding: Binding,
    },
    /// Nothing: used, ended, or brought by somebody else.
    Nothing,
}

/// Uses a state up, whoever brings it, and gives the request out only to the one it is bound to.
fn take_in(
    tx: &mut Scoped<'_>,
    hash: FlowHash,
    flow: &Flow,
    presented: Presented,
) -> Result<Taken, StoreError> {
    if !queries::delete_state(&mut tx.global(), hash)? {
        return Ok(Taken::Nothing);
    }
    let Some(id) = flow.request else {
        return Ok(Taken::Nothing);
    };
    let Some(request) = queries::take_request(tx, id)? else {
        return Ok(Taken::Nothing);
    };
    let Some(connection) = queries::connection(tx, request.connection)? else {
        return Ok(Taken::Nothing);
    };
    let binding = match (&request.cookie_hash, presented) {
        (None, Presented::Owner) => Ok(Binding::Relay),
        (Some(expected), Presented::Browser(Some(cookie))) if expected == cookie.as_bytes() => {
            Ok(Binding::Browser(cookie))
        }
        (_, Presented::Stranger) => Err("brought by another organization"),
        (Some(_), Presented::Owner) => Err("sent to a browser, but relayed"),
        (None, Presented::Browser(_)) => Err("sent to be relayed, but brought by a browser"),
        (Some(_), Presented::Browser(_)) => Err("brought by another browser"),
    };
    let refusal = match binding {
        Ok(binding)
            if tx.now() < request.expires_at && connection.state == ConnectionState::Pending =>
        {
            return Ok(Taken::Request {
                request,
                connection: Box::new(connection),
                binding,
            });
        }
        Ok(_) if connection.state == ConnectionState::Pending => "expired",
        Ok(_) => "connection is not pending",
        Err(reason) => reason,
    };
    let details = json!({
        "connectionId": connection.id,
        "code": "invalidState",
        "reason": refusal,
        "leg": request.leg.as_str(),
    });
    audit::record(
        tx,
        Action::ConsentRejected,
        Some(connection.tenant),
        details,
    )?;
    Ok(Taken::Nothing)
}
