//! The caller of a handler.

use std::{
    future::{Ready, ready},
    marker::PhantomData,
};

use actix_web::{
    FromRequest, HttpMessage as _, HttpRequest,
    dev::Payload,
    http::header::{self, HeaderValue},
};
use tenantry_core::{
    access::{OrgScope, Permission, Role, keys::ValidKey},
    ids::{OrgId, RequestId},
};

use super::Permit;
use crate::problem::{Problem, catalogue};

/// Who was recognised by the header Authorization of a request.
#[derive(Debug, Clone)]
pub struct Identity {
    scope: OrgScope,
    role: Role,
}

impl Identity {
    /// The holder of a valid key.
    pub fn new(key: ValidKey, request: RequestId) -> Self {
        Self {
            scope: OrgScope::for_api_key(key.org, key.id, request),
            role: key.role,
        }
    }

    /// The organisation and who acts in it.
    pub fn scope(&self) -> &OrgScope {
        &self.scope
    }

    /// One text for who acts: what an Idempotency-Key is bound to.
    pub fn principal(&self) -> String {
        let actor = self.scope.actor();
        format!("{}:{}", actor.kind(), actor.id().unwrap_or_default())
    }
}

/// Why a request has no identity although it tried to have one.
#[derive(Debug)]
pub(super) struct NotIdentified(pub(super) std::cell::RefCell<Option<Problem>>);

/// A caller whose role allows `P`. As an argument of a handler it is the demand.
pub struct Caller<P> {
    identity: Identity,
    permit: PhantomData<P>,
}

impl<P> Caller<P> {
    /// The organisation and who acts in it: what every service wants to see.
    pub fn scope(&self) -> &OrgScope {
        self.identity.scope()
    }

    /// The organisation.
    pub fn org(&self) -> OrgId {
        self.identity.scope().org()
    }

    /// Who it is, whatever was demanded.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }
}

impl<P: Permit> FromRequest for Caller<P> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(allowed::<P>(request).map(|identity| Self {
            identity,
            permit: PhantomData,
        }))
    }
}

/// A caller who may be there: for routes that are open and show an owner more.
pub struct OptionalCaller(pub Option<Identity>);

impl OptionalCaller {
    /// Whether there is a caller whose role allows it.
    pub fn may(&self, permission: Permission) -> bool {
        self.0
            .as_ref()
            .is_some_and(|identity| identity.role.allows(permission))
    }
}

impl FromRequest for OptionalCaller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(Ok(Self(request.extensions().get::<Identity>().cloned())))
    }
}

fn allowed<P: Permit>(request: &HttpRequest) -> Result<Identity, Problem> {
    let extensions = request.extensions();
    let Some(identity) = extensions.get::<Identity>() else {
        let failure = extensions
            .get::<NotIdentified>()
            .and_then(|failure| failure.0.take());
        return Err(failure.unwrap_or_else(unauthorized));
    };
    if identity.role.allows(P::PERMISSION) {
        return Ok(identity.clone());
    }
    let detail = format!(
        "The role {} does not allow {}.",
        identity.role,
        P::PERMISSION.as_str()
    );
    Err(Problem::new(&catalogue::FORBIDDEN).detail(detail))
}

/// No valid key.
pub fn unauthorized() -> Problem {
    Problem::new(&catalogue::UNAUTHORIZED).header(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static("Bearer realm=\"tenantry\""),
    )
}
