//! Minting: how a connection comes to its access token.
//!
//! By client credentials where an application reads, by exchanging the refresh token where an
//! administrator does. A refresh token is exchanged by one process at a time, and the one that comes
//! back is stored before the access token is used (V14).

use std::{future::Future, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use openidconnect::{RefreshToken, Scope};
use serde::Deserialize;
use tokio::{sync::watch, time::Instant};

use crate::{
    ids::{ConnectionId, TenantId},
    microsoft::{
        access_tokens::{AccessToken, TokenError},
        client_credential::{ClientCredential, Mark},
        connection::{ConnectionHandle, Grant},
        credential_source::{HeldRefreshToken, SourceError},
        identity::{Carrier, IdentityClient, token_error},
        token_answer::TokenAnswer,
    },
    secrets::SecretText,
};

/// How often a request is sent again at once with another certificate of the registration.
const MOST_OTHER_PROOFS: u32 = 5;
/// How long the exchange of a refresh token may take: less than it is held.
pub(crate) const EXCHANGE_TIME: Duration = Duration::from_secs(15);
/// How long to wait for a process that exchanges the same token.
const HELD_PATIENCE: Duration = Duration::from_secs(40);
/// Between two looks whether it is done.
const HELD_LOOK: Duration = Duration::from_millis(250);
/// How long the new token is offered to a store that fails, and the wait between.
const KEEP_PATIENCE: Duration = Duration::from_secs(300);
const KEEP_WAIT: Duration = Duration::from_secs(1);

/// The form fields that prove a registration.
type Proof = Vec<(&'static str, String)>;

impl IdentityClient {
    /// The access token of a connection: from memory, or minted when there is none or it is due. Many
    /// callers at once cause one request. This is the one function that mints for a connection (C2).
    ///
    /// # Errors
    /// See [`TokenError`]; passing failures have been met again by then.
    pub async fn access_token(
        &self,
        handle: &ConnectionHandle,
    ) -> Result<Arc<AccessToken>, TokenError> {
        self.access_token_unlike(handle, None).await
    }

    /// The same, but not the token that Graph has just refused.
    pub(crate) async fn access_token_unlike(
        &self,
        handle: &ConnectionHandle,
        refused: Option<&Arc<AccessToken>>,
    ) -> Result<Arc<AccessToken>, TokenError> {
        let mint = || Box::pin(self.patiently(|| self.ask_for_token(handle)));
        self.inner
            .tokens
            .get(handle.connection(), refused, mint)
            .await
    }

    /// An app-only token by a registration that a person has just entered, to see what it can do. It
    /// is the entered secret that lets in here, never the installation's.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub(crate) async fn try_registration(
        &self,
        tenant: TenantId,
        registration: &ClientCredential,
    ) -> Result<Arc<AccessToken>, TokenError> {
        let answer = self
            .patiently(|| self.by_own_application(tenant, registration))
            .await?;
        Ok(Arc::new(AccessToken::of(answer, self.inner.clock.now())))
    }

    /// Returns when no refresh token is out for exchange: a process that ends before might take the only
    /// good one along.
    pub async fn finish_exchanges(&self) {
        self.inner.exchanges.finished().await;
    }

    /// Drops the token of a connection, so that the next one carries what was granted since; at
    /// revoke, so that nothing is left.
    pub fn forget(&self, connection: ConnectionId) {
        self.inner.tokens.forget(connection);
    }

    /// Asks again where a failure may pass.
    async fn patiently<F>(&self, ask: impl Fn() -> F) -> Result<TokenAnswer, TokenError>
    where
        F: Future<Output = Result<TokenAnswer, TokenError>>,
    {
        let mut attempt = 0;
        loop {
            let error = match ask().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if !error.is_passing() || !self.backoff.allows_after(attempt) {
                return Err(error);
            }
            tokio::time::sleep(self.backoff.wait(attempt)).await;
            attempt += 1;
        }
    }

    async fn ask_for_token(&self, handle: &ConnectionHandle) -> Result<TokenAnswer, TokenError> {
        match handle.grant() {
            Grant::AdminConsent => {
                let (tenant, client_id) = (handle.tenant(), self.client_id());
                self.as_installation(tenant, |proof| self.app_only(tenant, client_id, proof))
                    .await
            }
            Grant::OwnApplication => {
                let registration = self.source.registration(handle).await?;
                self.by_own_application(handle.tenant(), &registration)
                    .await
            }
            Grant::Delegated => {
                // On a task of its own: whoever asked may be gone while the new refresh token is on
                // its way into the store.
                let (client, handle) = (self.clone(), *handle);
                let under_way = self.inner.exchanges.begin();
                let exchange = tokio::spawn(async move {
                    let outcome = client.exchange(&handle).await;
                    drop(under_way);
                    outcome
                });
                exchange
                    .await
                    .unwrap_or_else(|ended| Err(SourceError::Unavailable(Arc::new(ended)).into()))
            }
        }
    }

    /// An app-only token by a registration of somebody else's.
    async fn by_own_application(
        &self,
        tenant: TenantId,
        registration: &ClientCredential,
    ) -> Result<TokenAnswer, TokenError> {
        let endpoint = self.inner.profile.token_endpoint(tenant);
        let proof = registration
            .proof(endpoint.as_str(), self.inner.clock.now())
            .map_err(TokenError::Credential)?;
        self.app_only(tenant, registration.client_id(), proof).await
    }

    async fn app_only(
        &self,
        tenant: TenantId,
        client_id: &str,
        proof: Proof,
    ) -> Result<TokenAnswer, TokenError> {
        let client = self.protocol(tenant, client_id);
        let mut request = client
            .exchange_client_credentials()
            .add_scope(Scope::new(self.inner.profile.default_scope()));
        for (name, value) in proof {
            request = request.add_extra_param(name, value);
        }
        let carrier = Carrier(&self.inner.http);
        let answer = request.request_async(&carrier).await.map_err(token_error)?;
        // An application's permissions stand in the token; a scope beside it would say something else.
        Ok(TokenAnswer {
            scopes: None,
            ..answer
        })
    }

    /// Sends a request with a proof of the installation's registration, and once more for each other
    /// certificate while the newest one is refused.
    async fn as_installation<F>(
        &self,
        tenant: TenantId,
        send: impl Fn(Proof) -> F,
    ) -> Result<TokenAnswer, TokenError>
    where
        F: Future<Output = Result<TokenAnswer, TokenError>>,
    {
        let endpoint = self.inner.profile.token_endpoint(tenant);
        let credential = &self.inner.credential;
        let mut left = MOST_OTHER_PROOFS;
        loop {
            let now = self.inner.clock.now();
            let proof = credential
                .proof(endpoint.as_str(), now)
                .map_err(TokenError::Credential)?;
            let mark = Mark::of(&proof);
            let outcome = send(proof).await;
            match &outcome {
                Ok(_) => credential.accepted(mark),
                Err(TokenError::Refused(error)) => {
                    if credential.refused(mark, error, now) && left > 0 {
                        left -= 1;
                        continue;
                    }
                }
                Err(_) => {}
            }
            return outcome;
        }
    }

    /// Exchanges the refresh token of a connection. A refused one is looked up once more before it is
    /// given up: another process may have stored a newer one meanwhile.
    async fn exchange(&self, handle: &ConnectionHandle) -> Result<TokenAnswer, TokenError> {
        let mut refused: Option<(i64, TokenError)> = None;
        loop {
            let held = self.hold(handle).await?;
            let again = refused.take();
            if let Some((generation, error)) = again
                && generation == held.generation
            {
                self.let_go(handle, &held).await;
                return Err(error);
            }
            let error = match self
                .redeem_refresh_token(handle.tenant(), &held.token)
                .await
            {
                Ok(answer) => return self.keep(handle, &held, answer).await,
                Err(error) => error,
            };
            self.let_go(handle, &held).await;
            if error.is_passing() {
                return Err(error);
            }
            refused = Some((held.generation, error));
        }
    }

    /// Waits for the right to exchange.
    async fn hold(&self, handle: &ConnectionHandle) -> Result<HeldRefreshToken, TokenError> {
        let began = Instant::now();
        loop {
            if let Some(held) = self.source.hold(handle).await? {
                return Ok(held);
            }
            if began.elapsed() >= HELD_PATIENCE {
                return Err(SourceError::Busy.into());
            }
            tokio::time::sleep(HELD_LOOK).await;
        }
    }

    async fn redeem_refresh_token(
        &self,
        tenant: TenantId,
        token: &SecretText,
    ) -> Result<TokenAnswer, TokenError> {
        let client = self.protocol(tenant, self.client_id());
        let token = RefreshToken::new(token.expose().to_owned());
        let (client, token) = (&client, &token);
        // A refused certificate leaves the refresh token unused.
        let redeemed = self.as_installation(tenant, |proof| async move {
            let mut request = client.exchange_refresh_token(token);
            for (name, value) in proof {
                request = request.add_extra_param(name, value);
            }
            let carrier = Carrier(&self.inner.http);
            request.request_async(&carrier).await.map_err(token_error)
        });
        tokio::time::timeout(EXCHANGE_TIME, redeemed)
            .await
            .unwrap_or(Err(TokenError::TimedOut))
    }

    /// Stores the new refresh token, and only then gives the access token out.
    async fn keep(
        &self,
        handle: &ConnectionHandle,
        held: &HeldRefreshToken,
        answer: TokenAnswer,
    ) -> Result<TokenAnswer, TokenError> {
        crate::failpoint::failpoint!("refresh-answered");
        let is_foreign = answer
            .id_token
            .as_ref()
            .is_some_and(|id_token| named_tenant(id_token) != Some(handle.tenant()));
        if is_foreign {
            self.let_go(handle, held).await;
            return Err(TokenError::UnexpectedAnswer);
        }
        let rotated = answer
            .refresh_token
            .as_ref()
            .map(|token| SecretText::new(token.secret().clone()));
        let began = Instant::now();
        while let Err(error) = self.source.keep(handle, held, rotated.as_ref()).await {
            // The old token may be void by now, so the new one is not given up lightly.
            let error = TokenError::from(error);
            if began.elapsed() >= KEEP_PATIENCE || !error.is_passing() {
                return Err(error);
            }
            tokio::time::sleep(KEEP_WAIT).await;
        }
        crate::failpoint::failpoint!("refresh-stored");
        Ok(answer)
    }

    /// Lets go of a token that stays as it is. Where the store fails, its time runs out by itself.
    async fn let_go(&self, handle: &ConnectionHandle, held: &HeldRefreshToken) {
        if let Err(error) = self.source.keep(handle, held, None).await {
            tracing::debug!(%error, tenantId = %handle.tenant(), "a refresh token stays held until its time runs out");
        }
    }
}

/// The exchanges of refresh tokens that are under way in this process.
pub(super) struct Exchanges(watch::Sender<usize>);

/// One of them, until it is dropped.
struct UnderWay(watch::Sender<usize>);

impl Default for Exchanges {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl Exchanges {
    fn begin(&self) -> UnderWay {
        self.0.send_modify(|count| *count += 1);
        UnderWay(self.0.clone())
    }

    async fn finished(&self) {
        let mut count = self.0.subscribe();
        // The sender is this very value: it cannot be gone.
        drop(count.wait_for(|count| *count == 0).await);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// The tenant that an id token names. It came straight from the token endpoint, over TLS, for a tenant
/// that was proven before: a second look that nothing was mixed up, and no proof (C18).
fn named_tenant(id_token: &SecretText) -> Option<TenantId> {
    #[derive(Deserialize)]
    struct Payload {
        tid: String,
    }
    let payload = id_token.expose().split('.').nth(1)?;
    let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let payload: Payload = serde_json::from_slice(&payload).ok()?;
    payload.tid.parse().ok()
}

#[cfg(test)]
mod tests;
