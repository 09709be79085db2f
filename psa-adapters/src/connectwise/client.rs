//! Calls to ConnectWise: headers, code base, and one look for a newer code base when there is a 404.

use std::sync::{Arc, Mutex, PoisonError};

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::{
    Method,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use url::Url;

use super::{
    address::{Address, CodeBase},
    refusal::{Right, error_of, wait_of},
};
use crate::{
    contract::ExternalId,
    credentials::ConnectWiseCredentials,
    error::PsaError,
    secret::Secret,
    transport::{Reply, Request, Transport},
    wire,
};

/// The API's version that the cloud is asked for. Servers of one's own may be older than it and are not.
const VERSIONED: &str = "application/vnd.connectwise.com+json; version=2025.16";

/// The most bytes of an answer that holds one small object.
const SMALL: usize = 64 << 10;

/// One call of the API.
pub(super) struct Call {
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    forward_only: bool,
    changes: bool,
    right: Right,
}

impl Call {
    fn new(method: Method, right: Right, path: &str) -> Self {
        Self {
            changes: method != Method::GET,
            method,
            path: path.to_owned(),
            query: Vec::new(),
            body: None,
            forward_only: false,
            right,
        }
    }

    /// Reads something.
    pub fn get(right: Right, path: &str) -> Self {
        Self::new(Method::GET, right, path)
    }

    /// Reads a list whose conditions are too long for an address.
    pub fn search(right: Right, path: &str, body: Value) -> Self {
        let mut call = Self::post(right, path, body);
        call.changes = false;
        call
    }

    /// Makes something.
    pub fn post(right: Right, path: &str, body: Value) -> Self {
        let mut call = Self::new(Method::POST, right, path);
        call.body = Some(body);
        call
    }

    /// Changes something; the body is an array of operations.
    pub fn patch(right: Right, path: &str, body: Value) -> Self {
        let mut call = Self::new(Method::PATCH, right, path);
        call.body = Some(body);
        call
    }

    /// Takes something away.
    pub fn delete(right: Right, path: &str) -> Self {
        Self::new(Method::DELETE, right, path)
    }

    /// Adds a parameter to the address.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// Asks for pages that only go forward.
    pub fn forward_only(mut self) -> Self {
        self.forward_only = true;
        self
    }

    /// Its address. Spaces as `%20`: a plus sign means a plus sign to some servers (psa.md §A3).
    fn url(&self, address: &Address, code_base: &CodeBase) -> Url {
        let mut url = address.resource(code_base, &self.path);
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
            let encoded = url.query().map(|query| query.replace('+', "%20"));
            url.set_query(encoded.as_deref());
        }
        url
    }
}

/// The page that tells the code base. `IsCloud` is a text.
#[derive(Deserialize)]
struct CompanyInfo {
    #[serde(rename = "Codebase", default, deserialize_with = "wire::text")]
    code_base: Option<String>,
    #[serde(rename = "IsCloud", default, deserialize_with = "wire::flag")]
    is_cloud: Option<bool>,
}

/// The way to one company's PSA.
pub(super) struct Client {
    address: Address,
    company: String,
    authorization: Secret,
    client_id: HeaderValue,
    transport: Arc<dyn Transport>,
    code_base: Mutex<Option<CodeBase>>,
}

impl Client {
    /// A client; asks nothing yet.
    ///
    /// # Errors
    /// [`PsaError::Config`] where the address or a credential cannot be used.
    pub fn new(
        base_url: &str,
        credentials: &ConnectWiseCredentials,
        transport: Arc<dyn Transport>,
    ) -> Result<Self, PsaError> {
        let address = Address::parse(base_url)?;
        let company = credentials.company_id.trim().to_owned();
        if company.is_empty() || company.contains([':', '+', '/']) {
            return Err(PsaError::Config {
                what: "the company ID is not one; enter it as at the sign-in page".to_owned(),
            });
        }
        let client_id = credentials.client_id.trim();
        let client_id = HeaderValue::from_str(client_id)
            .ok()
            .filter(|_| !client_id.is_empty() && client_id.bytes().all(|b| b.is_ascii_graphic()))
            .ok_or_else(|| PsaError::Config {
                what: "the client ID is not one; enter the GUID from the vendor's developer site"
                    .to_owned(),
            })?;
        let (public, private) = (
            credentials.public_key.trim(),
            credentials.private_key.expose().trim(),
        );
        let pair = Secret::new(format!("{company}+{public}:{private}"));
        let authorization = Secret::new(format!("Basic {}", STANDARD.encode(pair.expose())));
        Ok(Self {
            code_base: Mutex::new(address.fixed()),
            address,
            company,
            authorization,
            client_id,
            transport,
        })
    }

    /// The address.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The company's id.
    pub fn company(&self) -> &str {
        &self.company
    }

    /// What is sent through, and the clock.
    pub fn transport(&self) -> &dyn Transport {
        self.transport.as_ref()
    }

    /// Headers of each call: `clientId` is asked for on all of them (psa.md §A2).
    pub fn headers(&self) -> Result<HeaderMap, PsaError> {
        let mut authorization =
            HeaderValue::from_str(self.authorization.expose()).or(Err(PsaError::Config {
                what: "the keys cannot be sent".to_owned(),
            }))?;
        authorization.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, authorization);
        headers.insert("clientid", self.client_id.clone());
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        Ok(headers)
    }

    /// The code base, looked up where it is not known yet.
    pub async fn code_base(&self) -> Result<CodeBase, PsaError> {
        match self.known_code_base() {
            Some(code_base) => Ok(code_base),
            None => self.look_up_code_base().await,
        }
    }

    fn known_code_base(&self) -> Option<CodeBase> {
        let known = self.code_base.lock();
        known.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks the sign-in host, without our credentials.
    async fn look_up_code_base(&self) -> Result<CodeBase, PsaError> {
        let url = self.address.company_info(&self.company);
        let mut request = Request::new(Method::GET, url, Right::SignedIn.endpoint());
        request.most_bytes = SMALL;
        request
            .headers
            .insert(ACCEPT, HeaderValue::from_static("application/json"));
        let reply = self.send(request, false).await?;
        let found = self.code_base_of(&reply)?;
        let mut known = self
            .code_base
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *known = Some(found.clone());
        Ok(found)
    }

    fn code_base_of(&self, reply: &Reply) -> Result<CodeBase, PsaError> {
        let unknown = || {
            PsaError::Config {
            what: "ConnectWise PSA does not know this company ID; enter it as at the sign-in page, with the same upper and lower case".to_owned(),
        }
        };
        if reply.status == 404 {
            return self.address.unsaid().ok_or_else(unknown);
        }
        // An unknown company is told by `null` (psa.md §A1).
        let info: Option<CompanyInfo> = self.read(reply, Right::SignedIn)?;
        let info = info.ok_or_else(unknown)?;
        let is_cloud = self.address.is_shared() || info.is_cloud == Some(true);
        info.code_base
            .and_then(|said| CodeBase::named(&said, is_cloud))
            .ok_or_else(|| PsaError::Protocol {
                status: reply.status,
                what: "the company's page names no code base".to_owned(),
            })
    }

    /// Makes a call; the answer comes whatever its status. A 404 may mean that the server was upgraded and
    /// the code base with it, so the code base is looked up once, and the call repeated if it changed.
    pub async fn reply(&self, call: &Call) -> Result<Reply, PsaError> {
        let code_base = self.code_base().await?;
        let reply = self.exchange(call, &code_base).await?;
        if reply.status != 404 || self.address.fixed().is_some() {
            return Ok(reply);
        }
        let newer = self.look_up_code_base().await?;
        if newer == code_base {
            return Ok(reply);
        }
        self.exchange(call, &newer).await
    }

    async fn exchange(&self, call: &Call, code_base: &CodeBase) -> Result<Reply, PsaError> {
        let url = call.url(&self.address, code_base);
        let mut request = Request::new(call.method.clone(), url, call.right.endpoint());
        request.headers = self.headers()?;
        if code_base.is_cloud {
            request
                .headers
                .insert(ACCEPT, HeaderValue::from_static(VERSIONED));
        }
        if call.forward_only {
            request
                .headers
                .insert("pagination-type", HeaderValue::from_static("forward-only"));
        }
        if let Some(body) = &call.body {
            request
                .headers
                .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            request.body = body.to_string().into_bytes();
        }
        self.send(request, call.changes).await
    }

    /// Sends, and has everybody wait where ConnectWise says so.
    pub async fn send(&self, request: Request, changes: bool) -> Result<Reply, PsaError> {
        let of_failure = if changes {
            PsaError::of_write
        } else {
            PsaError::of_read
        };
        let reply = self.transport.send(request).await.map_err(of_failure)?;
        if reply.status == 429
            && let Some(seconds) = wait_of(&reply, self.transport.now())
        {
            self.transport.pause(seconds);
        }
        Ok(reply)
    }

    /// The error that an answer without success is.
    pub fn error_of(&self, call: &Call, reply: &Reply) -> PsaError {
        error_of(reply, call.right, call.changes, self.transport.now())
    }

    /// Makes a call that must succeed.
    pub async fn call(&self, call: &Call) -> Result<Reply, PsaError> {
        let reply = self.reply(call).await?;
        if (200..=299).contains(&reply.status) {
            Ok(reply)
        } else {
            Err(self.error_of(call, &reply))
        }
    }

    /// Makes a call that reads, and decodes its answer.
    pub async fn fetch<T: DeserializeOwned>(&self, call: &Call) -> Result<T, PsaError> {
        let reply = self.call(call).await?;
        self.read(&reply, call.right)
    }

    /// Decodes an answer to a read. Success may come with HTML or nothing in it.
    pub fn read<T: DeserializeOwned>(&self, reply: &Reply, right: Right) -> Result<T, PsaError> {
        if !(200..=299).contains(&reply.status) {
            return Err(error_of(reply, right, false, self.transport.now()));
        }
        let body = reply.body.strip_prefix(b"\xef\xbb\xbf");
        serde_json::from_slice(body.unwrap_or(&reply.body)).or(Err(PsaError::Protocol {
            status: reply.status,
            what: "the answer is not the JSON that ConnectWise PSA gives here".to_owned(),
        }))
    }
}

/// An id as it may stand in an address or a condition: ConnectWise counts its records.
pub(super) fn number(id: &ExternalId) -> Option<i64> {
    let is_number = !id.0.is_empty() && id.0.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| id.0.parse().ok()).flatten()
}
