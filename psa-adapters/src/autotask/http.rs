//! One call to Autotask: its zone, its three headers, and what a refusal means.

use std::sync::Arc;

use reqwest::{
    Method,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use serde_json::Value;
use url::Url;

use crate::{
    autotask::{
        errors::{self, Effect},
        remembered::Remembered,
        zone::{Base, Zone},
    },
    credentials::AutotaskCredentials,
    error::PsaError,
    transport::{Reply, Request, Transport},
};

/// Where a call goes.
pub(super) enum Place<'a> {
    /// Under the API of the zone, by segments.
    Under(&'a [&'a str]),
    /// To an address that Autotask gave us for a next page.
    Next(&'a Url),
}

/// A call.
pub(super) struct Call<'a> {
    /// Its method.
    pub(super) method: Method,
    /// Which list it asks: Autotask counts parallel calls by it.
    pub(super) endpoint: &'static str,
    /// Where it goes.
    pub(super) place: Place<'a>,
    /// What it carries.
    pub(super) body: Option<&'a Value>,
    /// Whether it changes something.
    pub(super) effect: Effect,
}

impl<'a> Call<'a> {
    /// Reads something.
    pub(super) fn get(endpoint: &'static str, segments: &'a [&'a str]) -> Self {
        Self {
            method: Method::GET,
            endpoint,
            place: Place::Under(segments),
            body: None,
            effect: Effect::Read,
        }
    }

    /// Asks with a filter, which is a POST that changes nothing.
    pub(super) fn query(endpoint: &'static str, place: Place<'a>, body: &'a Value) -> Self {
        Self {
            method: Method::POST,
            endpoint,
            place,
            body: Some(body),
            effect: Effect::Read,
        }
    }

    /// Changes something.
    pub(super) fn change(
        method: Method,
        endpoint: &'static str,
        segments: &'a [&'a str],
        body: Option<&'a Value>,
    ) -> Self {
        Self {
            method,
            endpoint,
            place: Place::Under(segments),
            body,
            effect: Effect::Write,
        }
    }
}

/// The most bytes of the zone call's answer.
const MOST_ZONE_BYTES: usize = 64 << 10;

/// Speaks to the zone of one database.
pub(super) struct Client {
    base: Base,
    credentials: AutotaskCredentials,
    /// The way out.
    pub(super) transport: Arc<dyn Transport>,
    zone: Remembered<Zone>,
}

impl Client {
    /// One for an address and credentials that can be used; both are looked at, nothing is sent.
    pub(super) fn new(
        base_url: &str,
        credentials: AutotaskCredentials,
        transport: Arc<dyn Transport>,
    ) -> Result<Self, PsaError> {
        let client = Self {
            base: Base::parse(base_url)?,
            credentials,
            transport,
            zone: Remembered::nothing(),
        };
        client.headers()?;
        Ok(client)
    }

    /// The system behind it: a database is known by the domain of its users' names. Another user of the
    /// same database sees the same ids.
    pub(super) fn system(&self) -> String {
        let user = self.credentials.username.trim();
        let domain = user.rsplit_once('@').map_or(user, |(_, domain)| domain);
        format!("{}/{}", self.base.system(), domain.to_lowercase())
    }

    /// The zone, looked up when it is not known.
    pub(super) async fn zone(&self) -> Result<Arc<Zone>, PsaError> {
        self.zone
            .get(self.transport.now(), self.look_up_zone())
            .await
    }

    /// Makes the call and reads its answer.
    pub(super) async fn ask(&self, call: &Call<'_>) -> Result<Value, PsaError> {
        let reply = self.send(call).await?;
        self.read(&reply, call)
    }

    /// Makes the call. A 401 can mean that the database moved to another zone (psa.md §B1), so the zone is
    /// looked up once more, and only where it is another one the call is made a second time: Autotask locks
    /// a user after repeated failures.
    pub(super) async fn send(&self, call: &Call<'_>) -> Result<Reply, PsaError> {
        let zone = self.zone().await?;
        let reply = self.send_in(&zone, call).await?;
        if reply.status != 401 {
            return Ok(reply);
        }
        let now = self.transport.now();
        let looked_up = self.zone.instead_of(&zone, now, self.look_up_zone()).await;
        match looked_up {
            Ok(moved) if *moved != *zone => self.send_in(&moved, call).await,
            // Without another zone the refusal stands, whatever became of the look-up.
            Ok(_) | Err(_) => Ok(reply),
        }
    }

    /// What an answer says.
    pub(super) fn read(&self, reply: &Reply, call: &Call<'_>) -> Result<Value, PsaError> {
        if (200..300).contains(&reply.status) {
            return errors::of_success(reply);
        }
        let error = errors::of_reply(reply, call.effect, call.endpoint, self.transport.now());
        if let PsaError::RateLimited {
            retry_after: Some(seconds),
        } = error
        {
            self.transport.pause(seconds);
        }
        Err(error)
    }

    async fn send_in(&self, zone: &Zone, call: &Call<'_>) -> Result<Reply, PsaError> {
        let url = match call.place {
            Place::Under(segments) => zone.at(segments)?,
            Place::Next(url) if zone.owns(url) => url.clone(),
            Place::Next(_elsewhere) => return Err(elsewhere()),
        };
        let mut request = Request::new(call.method.clone(), url, call.endpoint);
        request.headers = self.headers()?;
        if let Some(body) = call.body {
            request.body = body.to_string().into_bytes();
        }
        let sent = self.transport.send(request).await;
        sent.map_err(|error| match call.effect {
            Effect::Read => PsaError::of_read(error),
            Effect::Write => PsaError::of_write(error),
        })
    }

    async fn look_up_zone(&self) -> Result<Zone, PsaError> {
        let endpoint = "ZoneInformation";
        let url = self.base.zone_call(self.credentials.username.trim())?;
        let mut request = Request::new(Method::GET, url, endpoint);
        request
            .headers
            .insert(ACCEPT, HeaderValue::from_static("application/json"));
        request.most_bytes = MOST_ZONE_BYTES;
        let sent = self.transport.send(request).await;
        let reply = sent.map_err(PsaError::of_read)?;
        if (200..300).contains(&reply.status) {
            return Zone::read(&self.base, reply.status, &reply.body);
        }
        Err(errors::of_reply(
            &reply,
            Effect::Read,
            endpoint,
            self.transport.now(),
        ))
    }

    fn headers(&self) -> Result<HeaderMap, PsaError> {
        let mut headers = HeaderMap::new();
        let json = HeaderValue::from_static("application/json");
        headers.insert(CONTENT_TYPE, json.clone());
        headers.insert(ACCEPT, json);
        let credentials = &self.credentials;
        for (name, field, text) in [
            ("username", "username", credentials.username.trim()),
            ("secret", "secret", credentials.secret.expose()),
            (
                "apiintegrationcode",
                "integrationCode",
                credentials.integration_code.expose(),
            ),
        ] {
            let mut value = HeaderValue::from_bytes(text.as_bytes()).or(Err(PsaError::Config {
                what: format!("{field} holds characters that cannot be sent"),
            }))?;
            value.set_sensitive(true);
            headers.insert(HeaderName::from_static(name), value);
        }
        Ok(headers)
    }
}

/// The refusal of an address or a place in a list that belongs to another system.
pub(super) fn elsewhere() -> PsaError {
    PsaError::Config {
        what: "the place in the list belongs to another Autotask system: read the list from its beginning"
            .to_owned(),
    }
}
