//! Idempotency-Key: a creating call that is repeated gives the first one's answer.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderName},
    },
};
use aws_lc_rs::digest;
use serde::Serialize;
use tenantry_core::{
    access::OrgScope,
    idempotency::{Idempotency, IdempotencyKey, Reservation, Ticket},
    store::{Scoped, StoreError},
};

use crate::{
    auth::Identity,
    problem::{Problem, catalogue},
    state::AppState,
};

/// Seconds after which it is worth looking at what was accepted.
pub const ACCEPTED_RETRY_AFTER: &str = "1";

/// What a creating call does next.
pub enum Attempt {
    /// Have its effect.
    First(Pending),
    /// Give the answer that was given before.
    Repeated(HttpResponse),
}

/// A call whose answer is still to come, with its reserved key if it has one.
#[derive(Clone)]
pub struct Pending {
    ticket: Option<Ticket>,
    idempotency: Idempotency,
    scope: OrgScope,
}

/// Reserves the key of a call. `route` is its method and pattern; `body` the hash of its body.
///
/// # Errors
/// A problem when the key is malformed, in use, or was used for another call.
pub async fn attempt(
    state: &AppState,
    request: &HttpRequest,
    caller: &Identity,
    route: &str,
    body: [u8; 32],
) -> Result<Attempt, Problem> {
    let scope = caller.scope();
    let pending = |ticket| Pending {
        ticket,
        idempotency: state.idempotency.clone(),
        scope: scope.clone(),
    };
    let Some(key) = key(request)? else {
        return Ok(Attempt::First(pending(None)));
    };
    let hash = hash_of(request.path(), body);
    match state
        .idempotency
        .reserve(scope, &caller.principal(), route, &key, hash)
        .await?
    {
        Reservation::New(ticket) => Ok(Attempt::First(pending(Some(ticket)))),
        Reservation::InFlight => Err(Problem::new(&catalogue::IDEMPOTENCY_KEY_IN_USE)
            .retry_after(std::time::Duration::from_secs(1))),
        Reservation::BodyDiffers => Err(Problem::new(&catalogue::IDEMPOTENCY_KEY_REUSED)),
        Reservation::Replay(answer) => {
            let status = StatusCode::from_u16(answer.status).map_err(Problem::internal)?;
            let mut response = HttpResponse::build(status);
            if let Some(location) = answer.location {
                response.insert_header((header::LOCATION, location));
            }
            if status == StatusCode::ACCEPTED {
                response.insert_header((header::RETRY_AFTER, ACCEPTED_RETRY_AFTER));
            }
            response.insert_header((HeaderName::from_static("idempotency-replayed"), "true"));
            Ok(Attempt::Repeated(
                response
                    .content_type("application/json")
                    .body(answer.body.expose().to_owned()),
            ))
        }
    }
}

impl Pending {
    /// Stores the answer in the transaction of the effect.
    ///
    /// # Errors
    /// The store's.
    pub fn complete(
        &self,
        tx: &mut Scoped<'_>,
        status: StatusCode,
        location: &str,
        body: &impl Serialize,
    ) -> Result<(), StoreError> {
        let Some(ticket) = &self.ticket else {
            return Ok(());
        };
        let body = serde_json::to_string(body).or(Err(StoreError::Corrupt { what: "answer" }))?;
        self.idempotency
            .complete(tx, ticket, status.as_u16(), Some(location), &body)
    }

    /// Gives the key back when the call had no effect, so that it can be repeated at once.
    ///
    /// # Errors
    /// The call's own.
    pub async fn settle<T>(&self, outcome: Result<T, Problem>) -> Result<T, Problem> {
        if let (Err(_), Some(ticket)) = (&outcome, &self.ticket)
            && let Err(error) = self.idempotency.release(&self.scope, ticket).await
        {
            // It is taken over in a minute anyway.
            tracing::debug!(%error, "idempotency key not released");
        }
        outcome
    }
}

fn key(request: &HttpRequest) -> Result<Option<IdempotencyKey>, Problem> {
    let invalid = || Problem::new(&catalogue::INVALID_IDEMPOTENCY_KEY);
    let mut values = request.headers().get_all("idempotency-key");
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(invalid());
    }
    let text = value.to_str().or(Err(invalid()))?;
    text.parse().map(Some).or(Err(invalid()))
}

fn hash_of(path: &str, body: [u8; 32]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&body);
    context.update(path.as_bytes());
    let mut hash = [0; 32];
    for (byte, from) in hash.iter_mut().zip(context.finish().as_ref()) {
        *byte = *from;
    }
    hash
}
