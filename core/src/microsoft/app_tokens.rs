//! App-only tokens, kept in memory only and shared by all who read a connection.

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
        aadsts::MicrosoftError, client_credential::CredentialError, token_answer::TokenAnswer,
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
pub struct AppToken {
    text: SecretText,
    roles: Option<Vec<String>>,
    renew_at: DateTime<Utc>,
}

impl AppToken {
    /// The token, for the Authorization header.
    pub(crate) fn text(&self) -> &SecretText {
        &self.text
    }

    /// The application permissions the token says it carries, for display only: `None` when it
    /// cannot be read, empty when it names none, as right after a consent.
    pub fn roles(&self) -> Option<&[String]> {
        self.roles.as_deref()
    }
}

/// Why there is no app-only token.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TokenError {
    /// Microsoft refused; the consent doctor knows more.
    #[error("token refused: {0}")]
    Refused(#[source] Box<MicrosoftError>),
    /// The token endpoint could not be reached or did not answer.
    #[error("token endpoint unavailable")]
    Unavailable(#[source] Arc<OutboundError>),
    /// An answer that is no token.
    #[error("token answer could not be read")]
    UnexpectedAnswer,
    /// Our own certificate does not sign.
    #[error("client credential cannot be used")]
    Credential(#[source] CredentialError),
}

/// One slot for each connection. The slot's lock makes the minting single-flight.
pub(crate) struct AppTokenCache {
    clock: Clock,
    slots: Mutex<Slots>,
}

struct Slots {
    by_connection: HashMap<ConnectionId, Arc<tokio::sync::Mutex<Slot>>>,
    sweep_at: usize,
}

#[derive(Default)]
struct Slot {
    token: Option<Arc<AppToken>>,
    /// When minting failed last, so that those who waited for it share its outcome.
    failure: Option<(Instant, TokenError)>,
}

impl AppTokenCache {
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
        refused: Option<&Arc<AppToken>>,
        mint: impl FnOnce() -> F,
    ) -> Result<Arc<AppToken>, TokenError>
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
                let token = Arc::new(self.token(answer));
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

    fn token(&self, answer: TokenAnswer) -> AppToken {
        let lifetime = answer.expires_in.unwrap_or(UNTOLD_LIFETIME);
        // At four fifths of its life, so that no request is sent with a token about to end.
        let usable = chrono::TimeDelta::from_std(lifetime.mul_f64(0.8)).unwrap_or_default();
        let text = SecretText::new(answer.access_token.into_secret());
        AppToken {
            roles: roles(text.expose()),
            text,
            renew_at: self.clock.now() + usable,
        }
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

/// The `roles` of a token's payload. Graph's tokens are Microsoft's own business and may change
/// their form: nothing is decided by what stands here.
fn roles(token: &str) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Payload {
        #[serde(default)]
        roles: Vec<String>,
    }
    let payload = token.split('.').nth(1)?;
    let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let payload: Payload = serde_json::from_slice(&payload).ok()?;
    Some(payload.roles)
}
