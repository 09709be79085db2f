//! Access tokens by client credentials (psa.md §C2).
//!
//! One is held, in memory only, for all calls of the connection; whoever finds it outdated renews it while
//! the others wait. Scopes are always named: a token without any is issued, and then refused everywhere.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{
    Method,
    header::{ACCEPT, CONTENT_TYPE, HeaderValue},
};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use url::{Url, form_urlencoded};
use zeroize::Zeroize;

use crate::{
    error::PsaError,
    secret::Secret,
    transport::{Reply, Request, Transport},
    wire,
};

use super::{
    address::{Address, token_url},
    errors,
};

/// What is asked for, the most first. An application that lacks a scope either does not get it, or gets
/// `invalid_scope` for all of them: then the next is tried.
const LADDER: [&str; 2] = ["read:customers edit:tickets", "read:customers"];
/// The scope that manages webhooks.
pub(super) const WEBHOOKS: &str = "admin:webhooks";

/// How long before its end a token is renewed.
const EARLY: i64 = 300;
/// How long a token holds that does not say.
const USUAL_LIFE: i64 = 3600;

/// The most bytes of an answer about sign-in.
const MOST_BYTES: usize = 1 << 20;

/// A token, and which of those that were issued it is.
#[derive(Clone)]
pub(super) struct Bearer {
    pub(super) token: Arc<Secret>,
    pub(super) number: u64,
}

/// The tokens of one connection.
pub(super) struct Tokens {
    client_id: String,
    client_secret: Secret,
    tenant: Option<String>,
    address: Address,
    transport: Arc<dyn Transport>,
    /// Held while a token is asked for, so that one call at a time does.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    authority: Option<Authority>,
    held: Option<Held>,
    issued: u64,
    /// Which step of the ladder was taken before.
    step: usize,
}

#[derive(Clone)]
struct Authority {
    url: Url,
    tenant: Option<String>,
}

struct Held {
    bearer: Bearer,
    until: DateTime<Utc>,
    granted: Vec<String>,
}

struct Issued {
    token: Secret,
    seconds: i64,
    granted: Vec<String>,
}

/// Why there is no token.
enum NoToken {
    /// The application lacks a scope that was asked for.
    Scope,
    Refused(PsaError),
}

impl From<PsaError> for NoToken {
    fn from(error: PsaError) -> Self {
        Self::Refused(error)
    }
}

#[derive(Deserialize)]
struct AuthInfo {
    #[serde(default, deserialize_with = "wire::text")]
    auth_url: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    tenant_id: Option<String>,
}

#[derive(Deserialize)]
struct TokenReply {
    access_token: Secret,
    #[serde(default, deserialize_with = "wire::text")]
    token_type: Option<String>,
    #[serde(default)]
    expires_in: Value,
    #[serde(default, deserialize_with = "wire::text")]
    scope: Option<String>,
}

#[derive(Deserialize)]
struct TokenRefusal {
    #[serde(default, deserialize_with = "wire::text")]
    error: Option<String>,
}

impl Tokens {
    pub(super) fn new(
        client_id: String,
        client_secret: Secret,
        tenant: Option<String>,
        address: Address,
        transport: Arc<dyn Transport>,
    ) -> Result<Self, PsaError> {
        let client_id = client_id.trim().to_owned();
        if client_id.is_empty() || client_secret.expose().is_empty() {
            return Err(PsaError::Config {
                what: "clientId and clientSecret are those of an API application in HaloPSA"
                    .to_owned(),
            });
        }
        let tenant = tenant
            .map(|tenant| tenant.trim().to_owned())
            .filter(|tenant| !tenant.is_empty());
        Ok(Self {
            client_id,
            client_secret,
            tenant,
            address,
            transport,
            state: Mutex::default(),
        })
    }

    /// The token for ordinary calls. `refused` is the number of one that was not accepted: another is
    /// asked for, unless somebody did so meanwhile.
    pub(super) async fn bearer(&self, refused: Option<u64>) -> Result<Bearer, PsaError> {
        let mut state = self.state.lock().await;
        let now = self.transport.now();
        if let Some(held) = &state.held
            && refused != Some(held.bearer.number)
            && now < held.until
        {
            return Ok(held.bearer.clone());
        }
        state.held = None;
        let issued = self.climb(&mut state).await?;
        state.issued += 1;
        // One that holds for less than ten minutes is used for half of its life.
        let use_for = (issued.seconds - EARLY).max(issued.seconds / 2);
        let bearer = Bearer {
            token: Arc::new(issued.token),
            number: state.issued,
        };
        state.held = Some(Held {
            bearer: bearer.clone(),
            until: now + TimeDelta::seconds(use_for),
            granted: issued.granted,
        });
        Ok(bearer)
    }

    /// Whether the present token has a scope, as far as HaloPSA said; one that includes it counts.
    pub(super) async fn grants(&self, scope: &str) -> Result<bool, PsaError> {
        self.bearer(None).await?;
        let state = self.state.lock().await;
        Ok(state
            .held
            .as_ref()
            .is_some_and(|held| includes(&held.granted, scope)))
    }

    /// Forgets token, scopes and authorisation server: a person wants to know what holds now.
    pub(super) async fn forget(&self) {
        let mut state = self.state.lock().await;
        let issued = state.issued;
        *state = State {
            issued,
            ..State::default()
        };
    }

    /// A token of its own for managing webhooks, not held; none where the application lacks the scope.
    pub(super) async fn for_webhooks(&self) -> Result<Option<Secret>, PsaError> {
        let authority = {
            let mut state = self.state.lock().await;
            self.authority(&mut state).await?
        };
        match self.request(&authority, WEBHOOKS).await {
            Ok(issued) if includes(&issued.granted, WEBHOOKS) => Ok(Some(issued.token)),
            Ok(_) | Err(NoToken::Scope) => Ok(None),
            Err(NoToken::Refused(error)) => Err(error),
        }
    }

    async fn climb(&self, state: &mut State) -> Result<Issued, PsaError> {
        let authority = self.authority(state).await?;
        for (step, scope) in LADDER.into_iter().enumerate().skip(state.step) {
            match self.request(&authority, scope).await {
                Ok(issued) => {
                    state.step = step;
                    return Ok(issued);
                }
                Err(NoToken::Scope) => {}
                Err(NoToken::Refused(error)) => {
                    // It may have moved.
                    state.authority = None;
                    return Err(error);
                }
            }
        }
        // A person will widen the application: begin with all of it then.
        state.step = 0;
        Err(PsaError::Permission {
            what: "the API application lacks the permission read:customers (Configuration, Integrations, \
                   Halo API, View Applications, tab Permissions)"
                .to_owned(),
        })
    }

    async fn authority(&self, state: &mut State) -> Result<Authority, PsaError> {
        if let Some(authority) = &state.authority {
            return Ok(authority.clone());
        }
        let entered = self.address.entered_authority().cloned();
        let authority = match (entered, self.tenant.clone()) {
            (Some(url), tenant @ Some(_)) => Authority { url, tenant },
            (entered, tenant) => {
                let info = self.auth_info().await?;
                let url =
                    match (entered, &info.auth_url) {
                        (Some(url), _) => url,
                        (None, None) => self.address.usual_authority(),
                        (None, Some(named)) => {
                            self.address.named_authority(named).ok_or_else(|| {
                                PsaError::Config {
                            what: "this HaloPSA names an authorisation server at another address; \
                                       if it is the right one, enter it as authUrl"
                                .to_owned(),
                        }
                            })?
                        }
                    };
                Authority {
                    url,
                    tenant: tenant.or(info.tenant_id),
                }
            }
        };
        state.authority = Some(authority.clone());
        Ok(authority)
    }

    /// What the instance says about its sign-in; nothing where it has no such page.
    async fn auth_info(&self) -> Result<AuthInfo, PsaError> {
        let reply = self.ask_auth_info().await?;
        match reply.status {
            429 => Err(errors::rate_limited(&*self.transport, &reply)),
            408 | 500..=599 => Err(PsaError::Transient {
                what: format!("HaloPSA failed (status {})", reply.status),
            }),
            200 => Ok(serde_json::from_slice(&reply.body).unwrap_or(AuthInfo {
                auth_url: None,
                tenant_id: None,
            })),
            _ => Ok(AuthInfo {
                auth_url: None,
                tenant_id: None,
            }),
        }
    }

    /// Asks for the page that needs no sign-in, whatever it answers.
    pub(super) async fn ask_auth_info(&self) -> Result<Reply, PsaError> {
        let url = self.address.api(&["authinfo"], &[]);
        let mut request = Request::new(Method::GET, url, "authinfo");
        request.most_bytes = MOST_BYTES;
        request
            .headers
            .insert(ACCEPT, HeaderValue::from_static("application/json"));
        self.transport
            .send(request)
            .await
            .map_err(PsaError::of_read)
    }

    async fn request(&self, authority: &Authority, scope: &str) -> Result<Issued, NoToken> {
        let url = token_url(&authority.url, authority.tenant.as_deref());
        let mut request = Request::new(Method::POST, url, "token");
        request.most_bytes = MOST_BYTES;
        request.headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        request
            .headers
            .insert(ACCEPT, HeaderValue::from_static("application/json"));
        request.body = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("client_id", &self.client_id)
            .append_pair("client_secret", self.client_secret.expose())
            .append_pair("scope", scope)
            .finish()
            .into_bytes();
        let mut reply = self
            .transport
            .send(request)
            .await
            .map_err(PsaError::of_read)?;
        let outcome = self.outcome(&reply, scope);
        reply.body.zeroize();
        outcome
    }

    fn outcome(&self, reply: &Reply, scope: &str) -> Result<Issued, NoToken> {
        match reply.status {
            200..=299 => issued(reply, scope).map_err(NoToken::Refused),
            429 => Err(errors::rate_limited(&*self.transport, reply).into()),
            400..=403 => Err(refusal(&reply.body)),
            404 | 405 => Err(PsaError::Config {
                what: "there is no authorisation server at the address; enter the one that HaloPSA's API \
                       page shows as authUrl"
                    .to_owned(),
            }
            .into()),
            408 | 500..=599 => Err(PsaError::Transient {
                what: format!("HaloPSA's authorisation server failed (status {})", reply.status),
            }
            .into()),
            status => Err(PsaError::Protocol {
                status,
                what: "no answer of an authorisation server".to_owned(),
            }
            .into()),
        }
    }
}

fn issued(reply: &Reply, scope: &str) -> Result<Issued, PsaError> {
    let unexpected = || PsaError::Protocol {
        status: reply.status,
        what: "the authorisation server's answer holds no bearer token".to_owned(),
    };
    let Ok(read) = serde_json::from_slice::<TokenReply>(&reply.body) else {
        return Err(unexpected());
    };
    let is_bearer = read
        .token_type
        .is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"));
    let text = read.access_token.expose();
    if !is_bearer || text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(unexpected());
    }
    let seconds = wire::id_of(&read.expires_in)
        .and_then(|seconds| seconds.0.parse::<i64>().ok())
        .unwrap_or(USUAL_LIFE)
        .clamp(0, 86_400);
    let granted = read.scope.as_deref().unwrap_or(scope);
    Ok(Issued {
        token: read.access_token,
        seconds,
        granted: granted.split_whitespace().map(str::to_owned).collect(),
    })
}

/// A refused sign-in. Of its body only an OAuth error code is told: the rest could repeat what was sent.
fn refusal(body: &[u8]) -> NoToken {
    let code = serde_json::from_slice::<TokenRefusal>(body)
        .ok()
        .and_then(|refusal| refusal.error)
        .filter(|code| {
            code.len() <= 40 && code.bytes().all(|b| b == b'_' || b.is_ascii_lowercase())
        });
    match code.as_deref() {
        Some("invalid_scope") => NoToken::Scope,
        Some(code) => NoToken::Refused(PsaError::Auth {
            what: format!("HaloPSA answered {code}"),
        }),
        None => NoToken::Refused(PsaError::Auth {
            what: "HaloPSA refused the sign-in".to_owned(),
        }),
    }
}

/// Whether scopes include one: `all` includes everything but administration, `edit:x` includes `read:x`.
fn includes(granted: &[String], scope: &str) -> bool {
    let edit = scope.strip_prefix("read:").map(|of| format!("edit:{of}"));
    granted.iter().any(|granted| {
        granted == scope
            || Some(granted) == edit.as_ref()
            || granted == "all"
            || (granted == "all:standard" && !scope.starts_with("admin:"))
    })
}
