//! Access tokens of connections, kept in memory only and shared by all who read one (V12).

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use tokio::time::Instant;

use crate::{
    clock::Clock,
    ids::ConnectionId,
    microsoft::{
        aadsts::MicrosoftError,
        client_credential::CredentialError,
        consent_doctor::{self, Retry},
        credential_source::SourceError,
        token_answer::TokenAnswer,
    },
    outbound::OutboundError,
    secrets::SecretText,
};

/// How long a token is used whose answer names no lifetime.
const UNTOLD_LIFETIME: Duration = Duration::from_secs(300);
/// Ended tokens are swept out when the cache has grown to this size, and at each doubling.
const FIRST_SWEEP: usize = 256;

/// A token for Microsoft Graph of one connection.
#[derive(Debug)]
pub struct AccessToken {
    text: SecretText,
    permissions: Option<Vec<String>>,
    renew_at: DateTime<Utc>,
}

impl AccessToken {
    /// The token, for the Authorization header.
    pub(crate) fn text(&self) -> &SecretText {
        &self.text
    }

    /// The permissions the token says it carries, app roles or delegated scopes, for display only:
    /// `None` when it cannot be read, empty when it names none, as right after a consent.
    pub fn permissions(&self) -> Option<&[String]> {
        self.permissions.as_deref()
    }

    /// What an answer of the token endpoint gave at this moment.
    pub(super) fn of(answer: TokenAnswer, now: DateTime<Utc>) -> Self {
        let lifetime = answer.expires_in.unwrap_or(UNTOLD_LIFETIME);
        // At four fifths of its life, so that no request is sent with a token about to end.
        let usable = chrono::TimeDelta::from_std(lifetime.mul_f64(0.8)).unwrap_or_default();
        let text = SecretText::new(answer.access_token.into_secret());
        // An answer about a person names the scopes; what a token itself names comes second.
        let scopes = answer.scopes.map(|scopes| {
            let names = scopes.iter().map(|scope| scope.as_str().to_owned());
            names.collect::<Vec<_>>()
        });
        let scopes = scopes.filter(|scopes| !scopes.is_empty());
        Self {
            permissions: scopes.or_else(|| named_permissions(text.expose())),
            text,
            renew_at: now + usable,
        }
    }
}

/// Why there is no access token.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TokenError {
    /// Microsoft refused; the consent doctor knows more.
    #[error("token refused: {0}")]
    Refused(#[source] Box<MicrosoftError>),
    /// The token endpoint could not be reached or did not answer.
    #[error("token endpoint unavailable")]
    Unavailable(#[source] Arc<OutboundError>),
    /// The token endpoint took too long.
    #[error("token endpoint took too long")]
    TimedOut,
    /// An answer that is no token.
    #[error("token answer could not be read")]
    UnexpectedAnswer,
    /// The certificate does not sign.
    #[error("client credential cannot be used")]
    Credential(#[source] CredentialError),
    /// The stored credential of the connection cannot be had.
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl TokenError {
    /// Whether the same may succeed later with nothing changed.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Refused(error) => consent_doctor::diagnose(error).retry == Retry::Automatic,
            Self::Unavailable(_)
            | Self::TimedOut
            | Self::Source(SourceError::Unavailable(_) | SourceError::Busy) => true,
            Self::UnexpectedAnswer
            | Self::Credential(_)
            | Self::Source(SourceError::Gone | SourceError::Unreadable) => false,
        }
    }
}

/// One slot for each connection. The slot's lock makes the minting single-flight.
pub(crate) struct AccessTokenCache {
    clock: Clock,
    slots: Mutex<Slots>,
}

struct Slots {
    by_connection: HashMap<ConnectionId, Arc<tokio::sync::Mutex<Slot>>>,
    sweep_at: usize,
}

#[derive(Default)]
struct Slot {
    token: Option<Arc<AccessToken>>,
    /// When minting failed last, so that those who waited for it share its outcome.
    failure: Option<(Instant, TokenError)>,
}

impl AccessTokenCache {
    pub(crate) fn new(clock: Clock) -> Self {
        let slots = Slots {
            by_connection: HashMap::new(),
            sweep_at: FIRST_SWEEP,
        };
        Self {
            clock,
            slots: Mutex::new(slots),
        }
    }

    /// The cached token, or a fresh one by `mint` when there is none, it is due, or it is `refused`.
    pub(crate) async fn get<F>(
        &self,
        connection: ConnectionId,
        refused: Option<&Arc<AccessToken>>,
        mint: impl FnOnce() -> F,
    ) -> Result<Arc<AccessToken>, TokenError>
    where
        F: Future<Output = Result<TokenAnswer, TokenError>>,
    {
        let asked_at = Instant::now();
        let slot = self.slot(connection);
        let mut slot = slot.lock().await;
        if let Some(token) = &slot.token {
            let is_refused = refused.is_some_and(|refused| Arc::ptr_eq(refused, token));
            if !is_refused && self.clock.now() < token.renew_at {
                return Ok(Arc::clone(token));
            }
        }
        if let Some((failed_at, error)) = &slot.failure
            && *failed_at >= asked_at
        {
            return Err(error.clone());
        }
        slot.token = None;
        slot.failure = None;
        match mint().await {
            Ok(answer) => {
                let token = Arc::new(AccessToken::of(answer, self.clock.now()));
                slot.token = Some(Arc::clone(&token));
                Ok(token)
            }
            Err(error) => {
                slot.failure = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    /// Drops a connection's token.
    pub(crate) fn forget(&self, connection: ConnectionId) {
        self.locked().by_connection.remove(&connection);
    }

    fn slot(&self, connection: ConnectionId) -> Arc<tokio::sync::Mutex<Slot>> {
        let now = self.clock.now();
        let mut slots = self.locked();
        if slots.by_connection.len() >= slots.sweep_at {
            slots.by_connection.retain(|_connection, slot| {
                let in_use = Arc::strong_count(slot) > 1;
                in_use || slot.try_lock().is_ok_and(|slot| slot.is_live(now))
            });
            slots.sweep_at = slots.by_connection.len().saturating_mul(2).max(FIRST_SWEEP);
        }
        Arc::clone(slots.by_connection.entry(connection).or_default())
    }

    fn locked(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    fn is_live(&self, now: DateTime<Utc>) -> bool {
        self.token
            .as_ref()
            .is_some_and(|token| now < token.renew_at)
    }
}

/// The `roles` or the `scp` of a token's payload. Graph's tokens are Microsoft's own business and may
/// change their form: nothing is decided by what stands here but what people are told, and whether a
/// registration of the customer's own can do more than read.
fn named_permissions(token: &str) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Payload {
        #[serde(default)]
        roles: Vec<String>,
        #[serde(default)]
        scp: String,
    }
    let payload = token.split('.').nth(1)?;
    let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let mut payload: Payload = serde_json::from_slice(&payload).ok()?;
    let scopes = payload.scp.split_whitespace().map(str::to_owned);
    payload.roles.extend(scopes);
    Some(payload.roles)
}
