//! Microsoft's identity platform: authorize URLs and the exchange of codes. [`mint`](super) makes the
//! tokens that tenants are read with.
//!
//! The `openidconnect` crate builds the protocol's messages; our own [`Outbound`] carries them, and
//! errors are read by [`MicrosoftError`]. Every endpoint is that of one concrete tenant.

use std::{future::Future, pin::Pin, sync::Arc};

use openidconnect::{
    AsyncHttpClient, AuthUrl, AuthenticationFlow, AuthorizationCode, ClientId, CsrfToken,
    EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, IssuerUrl, JsonWebKeySet, Nonce,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope, TokenUrl,
    core::{CoreAuthPrompt, CoreErrorResponseType, CoreResponseType},
    http,
};
use url::Url;

use crate::{
    clock::Clock,
    ids::TenantId,
    microsoft::{
        aadsts::MicrosoftError,
        access_tokens::AccessTokenCache,
        backoff::Backoff,
        client_credential::{ClientCredential, CredentialError, Mark},
        cloud::CloudProfile,
        credential_source::NoStoredCredentials,
        mint::Exchanges,
        permissions,
        token_answer::ProtocolClient,
    },
    outbound::{Outbound, OutboundError, Upstream, read_capped},
    secrets::SecretText,
};

pub use crate::microsoft::{
    access_tokens::{AccessToken, TokenError},
    credential_source::{CredentialSource, HeldRefreshToken, SourceError},
};

/// Token answers are a few kilobytes.
const ANSWER_LIMIT: usize = 256 * 1024;

/// The client of Microsoft's identity platform for one app registration. Cheap to clone.
#[derive(Clone)]
pub struct IdentityClient {
    pub(super) inner: Arc<Inner>,
    pub(super) backoff: Backoff,
    pub(super) source: Arc<dyn CredentialSource>,
}

pub(super) struct Inner {
    pub(super) profile: CloudProfile,
    pub(super) credential: ClientCredential,
    redirect_uri: RedirectUrl,
    pub(super) http: Outbound,
    pub(super) clock: Clock,
    pub(super) tokens: AccessTokenCache,
    pub(super) exchanges: Exchanges,
}

/// Why an identity client cannot be made from the settings.
#[derive(Debug, thiserror::Error)]
pub enum IdentityConfigError {
    /// The redirect URI is no URL.
    #[error("redirect uri is not a url")]
    RedirectUri(#[source] url::ParseError),
}

/// What a sign-in is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignInFor {
    /// It proves the tenant and an administrator, and reads nothing else.
    Proof,
    /// It also consents to reading as this administrator from now on.
    Access,
}

/// A sign-in about to happen: send the browser to `url` and keep the rest until it returns.
#[derive(Debug)]
pub struct SignInRequest {
    /// Microsoft's authorize page, with `state`, `nonce` and PKCE challenge in it.
    pub url: Url,
    /// What the id token must repeat.
    pub nonce: SecretText,
    /// What the code is redeemed with.
    pub verifier: SecretText,
}

/// What a code was worth.
#[derive(Debug)]
pub struct SignedIn {
    /// Not validated yet: give it to [`IdTokenVerifier`](super::id_token::IdTokenVerifier).
    pub id_token: SecretText,
    /// A delegated token for Microsoft Graph.
    pub access_token: SecretText,
    /// The scopes of the access token, without the resource prefix; `None` when not told.
    pub scopes: Option<Vec<String>>,
    /// For access tokens later on; only where `offline_access` was granted.
    pub refresh_token: Option<SecretText>,
}

/// Why a code gave no tokens. In no case is the same code sent again (C19).
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// Microsoft refused.
    #[error("code refused: {0}")]
    Refused(#[source] Box<MicrosoftError>),
    /// Our own certificate does not sign. The code was not sent.
    #[error("client credential cannot be used")]
    Credential(#[source] CredentialError),
    /// No connection: the code was not sent and is still good for its ten minutes.
    #[error("code was not sent")]
    NotSent(#[source] OutboundError),
    /// Sent, but the answer never came whole: the code may be spent.
    #[error("outcome of the code exchange is unknown")]
    OutcomeUnknown(#[source] OutboundError),
    /// A success without what a sign-in must bring. The code is spent.
    #[error("token answer lacks {0}")]
    Incomplete(&'static str),
}

impl IdentityClient {
    /// The client for one app registration.
    ///
    /// # Errors
    /// When the redirect URI is no URL.
    pub fn new(
        profile: CloudProfile,
        credential: ClientCredential,
        redirect_uri: String,
        http: Outbound,
        clock: Clock,
    ) -> Result<Self, IdentityConfigError> {
        let redirect_uri =
            RedirectUrl::new(redirect_uri).map_err(IdentityConfigError::RedirectUri)?;
        let tokens = AccessTokenCache::new(clock.clone());
        let inner = Arc::new(Inner {
            profile,
            credential,
            redirect_uri,
            http,
            clock,
            tokens,
            exchanges: Exchanges::default(),
        });
        Ok(Self {
            inner,
            backoff: Backoff::default(),
            source: Arc::new(NoStoredCredentials),
        })
    }

    /// The same client with another patience towards passing failures of the token endpoint.
    pub fn with_backoff(self, backoff: Backoff) -> Self {
        Self { backoff, ..self }
    }

    /// The same client with the credentials of connections that read with another registration than
    /// the installation's, or as a person.
    pub fn with_source(self, source: Arc<dyn CredentialSource>) -> Self {
        Self { source, ..self }
    }

    /// The installation's cloud.
    pub fn profile(&self) -> &CloudProfile {
        &self.inner.profile
    }

    /// The registration's application (client) id.
    pub fn client_id(&self) -> &str {
        self.inner.credential.client_id()
    }

    /// Begins the sign-in that proves a tenant and an administrator. `state` is the caller's: stored
    /// hashed, used once. PKCE verifier and nonce are made fresh by each call.
    pub fn begin_sign_in(
        &self,
        tenant: TenantId,
        state: &SecretText,
        wanted: SignInFor,
    ) -> SignInRequest {
        let client = self.protocol(tenant, self.client_id());
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let state = state.expose().to_owned();
        let mut request = client.authorize_url(
            AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
            move || CsrfToken::new(state.clone()),
            || Nonce::new_random_len(32),
        );
        let (scopes, prompt) = self.scopes_and_prompt(wanted);
        for scope in scopes {
            request = request.add_scope(Scope::new(scope));
        }
        let (url, _state, nonce) = request
            .set_pkce_challenge(challenge)
            .add_prompt(prompt)
            .add_extra_param("response_mode", "query")
            .url();
        SignInRequest {
            url,
            nonce: SecretText::new(nonce.secret().clone()),
            verifier: SecretText::new(verifier.into_secret()),
        }
    }

    /// What a sign-in asks for, beside `openid`, which the crate adds.
    fn scopes_and_prompt(&self, wanted: SignInFor) -> (Vec<String>, CoreAuthPrompt) {
        let profile = &self.inner.profile;
        let mut scopes = vec!["profile".to_owned()];
        match wanted {
            SignInFor::Proof => {
                scopes.push(profile.scope("User.Read"));
                (scopes, CoreAuthPrompt::SelectAccount)
            }
            SignInFor::Access => {
                scopes.push("offline_access".to_owned());
                let permissions = permissions::required(profile);
                scopes.extend(permissions.iter().map(|wanted| profile.scope(wanted.name)));
                (scopes, CoreAuthPrompt::Consent)
            }
        }
    }

    /// Microsoft's v2 admin-consent page of a tenant, for everything the registration lists.
    pub fn admin_consent_url(&self, tenant: TenantId, state: &SecretText) -> Url {
        let mut url = self
            .inner
            .profile
            .authority()
            .at(&format!("/{tenant}/v2.0/adminconsent"), None);
        url.query_pairs_mut()
            .append_pair("client_id", self.client_id())
            .append_pair("scope", &self.inner.profile.default_scope())
            .append_pair("redirect_uri", self.inner.redirect_uri.as_str())
            .append_pair("state", state.expose());
        url
    }

    /// Redeems an authorization code at the tenant it was asked for. Sent once, whatever happens.
    ///
    /// # Errors
    /// See [`ExchangeError`].
    pub async fn redeem_code(
        &self,
        tenant: TenantId,
        code: &SecretText,
        verifier: &SecretText,
    ) -> Result<SignedIn, ExchangeError> {
        let endpoint = self.inner.profile.token_endpoint(tenant);
        let proof = self
            .inner
            .credential
            .proof_sent_once(endpoint.as_str(), self.inner.clock.now())
            .map_err(ExchangeError::Credential)?;
        let mark = Mark::of(&proof);
        let client = self.protocol(tenant, self.client_id());
        let mut request = client
            .exchange_code(AuthorizationCode::new(code.expose().to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(verifier.expose().to_owned()));
        for (name, value) in proof {
            request = request.add_extra_param(name, value);
        }
        let carrier = Carrier(&self.inner.http);
        let answer = request
            .request_async(&carrier)
            .await
            .map_err(exchange_error);
        // The code is not sent again (C19): what Microsoft says of the credential counts from the next
        // request on.
        if let Err(ExchangeError::Refused(error)) = &answer {
            let now = self.inner.clock.now();
            let _another_is_there = self.inner.credential.refused(mark, error, now);
        } else if answer.is_ok() {
            self.inner.credential.accepted(mark);
        }
        let answer = answer?;
        let id_token = answer
            .id_token
            .ok_or(ExchangeError::Incomplete("id_token"))?;
        let prefix = self.inner.profile.graph_resource();
        let scopes = answer.scopes.map(|scopes| {
            scopes
                .iter()
                .map(|scope| scope.strip_prefix(&prefix).unwrap_or(scope).to_owned())
                .collect()
        });
        Ok(SignedIn {
            id_token,
            access_token: SecretText::new(answer.access_token.into_secret()),
            scopes,
            refresh_token: answer
                .refresh_token
                .map(|token| SecretText::new(token.into_secret())),
        })
    }

    /// The crate's client for one tenant. The client id goes into the body, with the proof as
    /// further fields; keys are ours to check, so the crate gets none.
    pub(super) fn protocol(
        &self,
        tenant: TenantId,
        client_id: &str,
    ) -> ProtocolClient<EndpointSet, EndpointSet> {
        let profile = &self.inner.profile;
        let blank: ProtocolClient<EndpointNotSet, EndpointNotSet> = ProtocolClient::new(
            ClientId::new(client_id.to_owned()),
            IssuerUrl::from_url(profile.authority().at(&format!("/{tenant}/v2.0"), None)),
            JsonWebKeySet::default(),
        );
        blank
            .set_auth_uri(AuthUrl::from_url(profile.authorization_endpoint(tenant)))
            .set_token_uri(TokenUrl::from_url(profile.token_endpoint(tenant)))
            .set_redirect_uri(self.inner.redirect_uri.clone())
    }
}

/// Carries the crate's requests by our own client, and reads refusals before the crate does.
pub(super) struct Carrier<'a>(pub(super) &'a Outbound);

/// Why the crate got no success from its carrier.
#[derive(Debug, thiserror::Error)]
pub(super) enum CarrierError {
    #[error("refused: {0}")]
    Refused(Box<MicrosoftError>),
    #[error("not carried")]
    Outbound(#[source] OutboundError),
    #[error("answer could not be rebuilt")]
    Http(#[source] http::Error),
}

impl<'c> AsyncHttpClient<'c> for Carrier<'_> {
    type Error = CarrierError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, CarrierError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let request = reqwest::Request::try_from(request)
                .map_err(|error| CarrierError::Outbound(OutboundError::Build(error)))?;
            let response = self
                .0
                .execute(Upstream::Login, request)
                .await
                .map_err(CarrierError::Outbound)?;
            let status = response.status();
            let body = read_capped(response, ANSWER_LIMIT)
                .await
                .map_err(CarrierError::Outbound)?;
            if status != http::StatusCode::OK {
                let error = MicrosoftError::from_answer(status.as_u16(), &body);
                return Err(CarrierError::Refused(Box::new(error)));
            }
            http::Response::builder()
                .status(status)
                .body(body)
                .map_err(CarrierError::Http)
        })
    }
}

pub(super) type CrateError =
    RequestTokenError<CarrierError, openidconnect::StandardErrorResponse<CoreErrorResponseType>>;

fn exchange_error(error: CrateError) -> ExchangeError {
    match error {
        RequestTokenError::Request(CarrierError::Refused(error)) => ExchangeError::Refused(error),
        RequestTokenError::Request(CarrierError::Outbound(error)) if error.nothing_was_sent() => {
            ExchangeError::NotSent(error)
        }
        RequestTokenError::Request(CarrierError::Outbound(error)) => {
            ExchangeError::OutcomeUnknown(error)
        }
        RequestTokenError::Request(CarrierError::Http(_))
        | RequestTokenError::ServerResponse(_)
        | RequestTokenError::Parse(_, _)
        | RequestTokenError::Other(_) => ExchangeError::Incomplete("a readable token"),
    }
}

pub(super) fn token_error(error: CrateError) -> TokenError {
    match error {
        RequestTokenError::Request(CarrierError::Refused(error)) => TokenError::Refused(error),
        RequestTokenError::Request(CarrierError::Outbound(error)) => {
            TokenError::Unavailable(Arc::new(error))
        }
        RequestTokenError::Request(CarrierError::Http(_))
        | RequestTokenError::ServerResponse(_)
        | RequestTokenError::Parse(_, _)
        | RequestTokenError::Other(_) => TokenError::UnexpectedAnswer,
    }
}

#[cfg(test)]
mod tests;
