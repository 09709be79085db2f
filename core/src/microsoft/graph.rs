//! The client of Microsoft Graph.
//!
//! A [`GraphSession`] reads one tenant through one connection. It can only read: GET, `$batch` of
//! GETs, and `directoryObjects/getByIds` (G3). It waits when Microsoft says so, repeats what may pass,
//! renews a refused token once, and counts what it did in the caller's [`Meter`].

use std::{sync::Arc, time::Duration};

use reqwest::{
    Method, Request, Response, StatusCode,
    header::{
        ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, LOCATION,
        RETRY_AFTER,
    },
};
use serde::Serialize;
use tracing::debug;
use uuid::Uuid;

use crate::{
    clock::Clock,
    ids::{OrgId, TenantId},
    microsoft::{
        backoff::Backoff,
        cloud::CloudProfile,
        connection::{ConnectionHandle, Grant},
        graph_error::GraphError,
        identity::{AccessToken, IdentityClient},
        meter::Meter,
        retry_after,
        throttle::{Asker, Budgets, Cost, Governor, Limiter, Permit, Priority, Workload},
    },
    outbound::{Outbound, OutboundError, Upstream, read_capped},
};

pub use crate::microsoft::{
    graph_report::ReportBody,
    graph_url::{GraphPath, GraphUrl, odata_text},
};

/// Largest answer that is read whole, decompressed.
const ANSWER_LIMIT: usize = 32 * 1024 * 1024;
/// Largest error body that is read.
const ERROR_LIMIT: usize = 1024 * 1024;
/// Most ids that one `getByIds` takes.
pub const MOST_IDS: usize = 1000;

const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("client-request-id");
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const CONSISTENCY_LEVEL: HeaderName = HeaderName::from_static("consistencylevel");
const THROTTLE_PRIORITY: HeaderName = HeaderName::from_static("x-ms-throttle-priority");
const THROTTLE_SCOPE: HeaderName = HeaderName::from_static("x-ms-throttle-scope");
const THROTTLE_PERCENTAGE: HeaderName = HeaderName::from_static("x-ms-throttle-limit-percentage");
const RESOURCE_UNIT: HeaderName = HeaderName::from_static("x-ms-resource-unit");

/// How patient a client is.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Towards failures that may pass, and throttling without a `Retry-After`.
    pub backoff: Backoff,
    /// How often one request is sent again after 429 before it is given up.
    pub throttled_attempts: u32,
    /// How long the download of one report may take.
    pub report_time: Duration,
    /// Largest report, decompressed, in bytes.
    pub report_limit: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            backoff: Backoff::default(),
            throttled_attempts: 50,
            report_time: Duration::from_secs(30 * 60),
            report_limit: 1 << 30,
        }
    }
}

/// Microsoft Graph for one app registration. Cheap to clone; clones share all limits.
#[derive(Clone)]
pub struct GraphClient(Arc<Inner>);

struct Inner {
    identity: IdentityClient,
    http: Outbound,
    clock: Clock,
    patience: Patience,
    governor: Governor,
}

impl GraphClient {
    /// A client that reads with the tokens of `identity`, in the only process there is.
    pub fn new(identity: IdentityClient, http: Outbound, clock: Clock, patience: Patience) -> Self {
        let application = identity.client_id().to_owned();
        let governor = Governor::alone(application, Budgets::default());
        Self::governed(identity, http, clock, patience, governor)
    }

    /// The same within the limits of `governor`.
    pub fn governed(
        identity: IdentityClient,
        http: Outbound,
        clock: Clock,
        patience: Patience,
        governor: Governor,
    ) -> Self {
        Self(Arc::new(Inner {
            identity,
            http,
            clock,
            patience,
            governor,
        }))
    }

    /// A session that reads one tenant through one connection.
    pub fn session(&self, handle: &ConnectionHandle) -> GraphSession {
        GraphSession {
            client: self.clone(),
            tenant: handle.tenant(),
            org: handle.org(),
            access: Access::Connection(*handle),
            priority: Priority::Low,
        }
    }

    /// A session that reads a tenant with a token that somebody's own registration has just given to
    /// this organisation, to see whether it does.
    pub(crate) fn trial(
        &self,
        org: OrgId,
        tenant: TenantId,
        token: Arc<AccessToken>,
    ) -> GraphSession {
        GraphSession {
            client: self.clone(),
            tenant,
            org,
            access: Access::Token(token),
            priority: Priority::Normal,
        }
    }
}

/// Reads one tenant. Cheap to clone, to be used by many tasks at once.
#[derive(Clone)]
pub struct GraphSession {
    client: GraphClient,
    tenant: TenantId,
    org: OrgId,
    access: Access,
    priority: Priority,
}

/// What a session reads with.
#[derive(Clone)]
enum Access {
    /// Tokens minted for a connection.
    Connection(ConnectionHandle),
    /// This one token.
    Token(Arc<AccessToken>),
}

/// A request before its token.
pub(crate) struct Ask<'a> {
    pub url: &'a GraphUrl,
    /// A body makes it a POST; only the queries of this room pass one.
    pub body: Option<&'a [u8]>,
    pub workload: Workload,
    pub cost: Cost,
    pub meter: &'a Meter,
    /// Whether a success's body is left to the caller.
    pub leave_open: bool,
}

/// What came back.
pub(crate) enum Reply {
    /// A success, read whole.
    Body(Vec<u8>),
    /// A success whose body is still to be read.
    Open(Response),
    /// A redirect that was not followed.
    Redirect(Option<String>),
}

/// Why an attempt gave no answer.
enum Setback {
    /// 429: wait as told.
    Throttled {
        wait: Option<Duration>,
        scope: Option<String>,
    },
    /// It may pass.
    Passing {
        wait: Option<Duration>,
        error: GraphError,
    },
    /// The token was not accepted.
    TokenRefused(GraphError),
    /// It will not pass.
    Final(GraphError),
}

impl GraphSession {
    /// The same for somebody who waits: served before background work.
    #[must_use]
    pub fn for_a_person(self) -> Self {
        let priority = Priority::Normal;
        Self { priority, ..self }
    }

    /// How the tenant is read; `None` in a trial.
    pub fn grant(&self) -> Option<Grant> {
        match &self.access {
            Access::Connection(handle) => Some(handle.grant()),
            Access::Token(_) => None,
        }
    }

    /// The installation's cloud.
    pub fn profile(&self) -> &CloudProfile {
        self.inner().identity.profile()
    }

    /// An address below `/v1.0/`.
    pub fn v1(&self, path: impl Into<GraphPath>) -> GraphUrl {
        GraphUrl::of_path(&path.into(), self.profile())
    }

    /// The address of a link that Graph returned, followed as it is.
    ///
    /// # Errors
    /// [`GraphError::ForeignLink`] unless it has the origin of the configured Graph.
    pub fn link(&self, link: &str) -> Result<GraphUrl, GraphError> {
        GraphUrl::of_link(link, self.profile())
    }

    /// Tells how many users the tenant has: Microsoft grants larger tenants a larger budget.
    pub fn tenant_has_users(&self, users: u64) {
        self.inner().governor.tenant_has_users(self.tenant, users);
    }

    /// Reads an address whole, at most 32 MiB of it.
    ///
    /// # Errors
    /// See [`GraphError`]; waiting and repeating are over by then.
    pub async fn get(
        &self,
        url: &GraphUrl,
        workload: Workload,
        meter: &Meter,
    ) -> Result<Vec<u8>, GraphError> {
        let ask = Ask {
            url,
            body: None,
            workload,
            cost: Cost::of(url.units()),
            meter,
            leave_open: false,
        };
        body_of(self.ask(ask).await?)
    }

    /// Reads directory objects by their ids, at most [`MOST_IDS`] of them, as a collection of
    /// whatever types they are. Ids that do not exist are missing from the answer.
    ///
    /// # Errors
    /// See [`GraphError`].
    pub async fn directory_objects_by_ids(
        &self,
        ids: &[Uuid],
        meter: &Meter,
    ) -> Result<Vec<u8>, GraphError> {
        #[derive(Serialize)]
        struct Query<'a> {
            ids: &'a [Uuid],
        }
        let url = self.v1("directoryObjects/getByIds?$select=id,displayName");
        let body = serde_json::to_vec(&Query { ids }).map_err(GraphError::unreadable)?;
        let cost = Cost::of(url.units());
        self.post_query(&url, &body, Workload::Identity, cost, meter)
            .await
    }

    /// Sends one of the queries that are written as POST.
    pub(crate) async fn post_query(
        &self,
        url: &GraphUrl,
        body: &[u8],
        workload: Workload,
        cost: Cost,
        meter: &Meter,
    ) -> Result<Vec<u8>, GraphError> {
        let ask = Ask {
            url,
            body: Some(body),
            workload,
            cost,
            meter,
            leave_open: false,
        };
        body_of(self.ask(ask).await?)
    }

    /// Sends a request until it is answered or hopeless.
    pub(crate) async fn ask(&self, ask: Ask<'_>) -> Result<Reply, GraphError> {
        let patience = self.patience();
        let limiter = self.limiter(ask.workload);
        let asker = Asker {
            org: self.org,
            priority: self.priority,
        };
        let mut passing = 0;
        let mut throttled = 0;
        let mut refused_token: Option<Arc<AccessToken>> = None;
        loop {
            let governor = self.governor();
            let mut permit = governor.admit(&limiter, asker, ask.cost, ask.meter).await;
            self.http()
                .count_throttled(Upstream::Graph, permit.waited());
            let token = self.token(refused_token.as_ref()).await?;
            ask.meter.count_request();
            let setback = match Box::pin(self.attempt(&ask, &token, &mut permit)).await {
                Ok(reply) => return Ok(reply),
                Err(setback) => setback,
            };
            match setback {
                Setback::Final(error) => return Err(error),
                Setback::TokenRefused(error) if refused_token.is_some() => return Err(error),
                Setback::TokenRefused(_) => refused_token = Some(token),
                Setback::Throttled { wait, scope } => {
                    let wait = wait.unwrap_or_else(|| {
                        patience.backoff.wait(throttled).max(patience.backoff.base)
                    });
                    self.governor()
                        .refused(&limiter, ask.cost, wait, scope.as_deref());
                    throttled += 1;
                    if throttled > patience.throttled_attempts {
                        return Err(GraphError::Throttled { retry_after: wait });
                    }
                }
                Setback::Passing { wait, error } => {
                    drop(permit);
                    if !patience.backoff.allows_after(passing) {
                        return Err(error);
                    }
                    tokio::time::sleep(wait.unwrap_or_else(|| patience.backoff.wait(passing)))
                        .await;
                    passing += 1;
                }
            }
            ask.meter.count_retry();
        }
    }

    async fn token(
        &self,
        refused: Option<&Arc<AccessToken>>,
    ) -> Result<Arc<AccessToken>, GraphError> {
        match &self.access {
            Access::Connection(handle) => self
                .inner()
                .identity
                .access_token_unlike(handle, refused)
                .await
                .map_err(GraphError::Token),
            Access::Token(token) => Ok(Arc::clone(token)),
        }
    }

    async fn attempt(
        &self,
        ask: &Ask<'_>,
        token: &AccessToken,
        permit: &mut Permit,
    ) -> Result<Reply, Setback> {
        let request = self.request(ask, token).map_err(Setback::Final)?;
        let response = self
            .inner()
            .http
            .execute(Upstream::Graph, request)
            .await
            .map_err(Setback::of_outbound)?;
        let status = response.status();
        let headers = response.headers().clone();
        debug!(
            tenantId = %self.tenant,
            workload = ?ask.workload,
            status = status.as_u16(),
            microsoftRequestId = text(&headers, &REQUEST_ID),
            "microsoft graph answered"
        );
        // A batch's own header says nothing about its items.
        let cost = ask.body.is_none().then(|| number(&headers, &RESOURCE_UNIT));
        permit.answered(cost.flatten(), number(&headers, &THROTTLE_PERCENTAGE));
        if status.is_redirection() {
            return Ok(Reply::Redirect(
                text(&headers, &LOCATION).map(str::to_owned),
            ));
        }
        if status.is_success() {
            if ask.leave_open {
                return Ok(Reply::Open(response));
            }
            return read_capped(response, ANSWER_LIMIT)
                .await
                .map(Reply::Body)
                .map_err(Setback::of_outbound);
        }
        let wait = self.wait_of(&headers);
        if status == StatusCode::TOO_MANY_REQUESTS {
            let scope = text(&headers, &THROTTLE_SCOPE).map(str::to_owned);
            return Err(Setback::Throttled { wait, scope });
        }
        // The status alone decides when its explanation cannot be read.
        let body = read_capped(response, ERROR_LIMIT).await.unwrap_or_default();
        let error = GraphError::from_answer(status.as_u16(), &body, ask.url.is_delta_link());
        let of_token = matches!(
            error,
            GraphError::Unauthorized(_) | GraphError::ClaimsChallenge(_)
        );
        Err(if matches!(error, GraphError::Unavailable { .. }) {
            Setback::Passing { wait, error }
        } else if of_token && status == StatusCode::UNAUTHORIZED {
            Setback::TokenRefused(error)
        } else {
            Setback::Final(error)
        })
    }

    /// The request with its token: the one place that attaches it, after looking where it goes (N4).
    fn request(&self, ask: &Ask<'_>, token: &AccessToken) -> Result<Request, GraphError> {
        let url = ask.url.url();
        if !self.profile().graph().covers(url) {
            return Err(GraphError::ForeignLink);
        }
        let Ok(mut bearer) = HeaderValue::from_str(&format!("Bearer {}", token.text().expose()))
        else {
            return Err(GraphError::Token(
                super::identity::TokenError::UnexpectedAnswer,
            ));
        };
        bearer.set_sensitive(true);
        let method = if ask.body.is_some() {
            Method::POST
        } else {
            Method::GET
        };
        let mut request = Request::new(method, url.clone());
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, bearer);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(
            THROTTLE_PRIORITY,
            HeaderValue::from_static(self.priority.as_str()),
        );
        if let Ok(id) = HeaderValue::from_str(&Uuid::new_v4().to_string()) {
            headers.insert(CLIENT_REQUEST_ID, id);
        }
        if ask.url.is_eventual() {
            headers.insert(CONSISTENCY_LEVEL, HeaderValue::from_static("eventual"));
        }
        if let Some(body) = ask.body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *request.body_mut() = Some(body.to_vec().into());
        }
        Ok(request)
    }

    fn wait_of(&self, headers: &HeaderMap) -> Option<Duration> {
        let now = self.inner().clock.now();
        retry_after::parse(text(headers, &RETRY_AFTER), text(headers, &DATE), now)
    }

    pub(crate) fn limiter(&self, workload: Workload) -> Arc<Limiter> {
        self.governor().limiter(self.tenant, workload)
    }

    pub(crate) fn governor(&self) -> &Governor {
        &self.inner().governor
    }

    pub(crate) fn patience(&self) -> Patience {
        self.inner().patience
    }

    pub(crate) fn http(&self) -> &Outbound {
        &self.inner().http
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.inner().clock
    }

    fn inner(&self) -> &Inner {
        &self.client.0
    }
}

impl Setback {
    fn of_outbound(error: OutboundError) -> Self {
        match error {
            OutboundError::TooLarge { limit } => Self::Final(GraphError::TooLarge { limit }),
            OutboundError::TargetRefused => Self::Final(GraphError::ForeignLink),
            OutboundError::Build(_) => Self::Final(unavailable(error)),
            OutboundError::NotConnected(_)
            | OutboundError::TimedOut(_)
            | OutboundError::Interrupted(_) => Self::Passing {
                wait: None,
                error: unavailable(error),
            },
        }
    }
}

pub(crate) fn unavailable(source: OutboundError) -> GraphError {
    GraphError::Unavailable {
        status: None,
        source: Some(source),
    }
}

fn body_of(reply: Reply) -> Result<Vec<u8>, GraphError> {
    match reply {
        Reply::Body(body) => Ok(body),
        Reply::Open(_) | Reply::Redirect(_) => Err(GraphError::unexpected("a redirect")),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn number<T: std::str::FromStr>(headers: &HeaderMap, name: &HeaderName) -> Option<T> {
    text(headers, name).and_then(|text| text.trim().parse().ok())
}

#[cfg(test)]
mod tests;
