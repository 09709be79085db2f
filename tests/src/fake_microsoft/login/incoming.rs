//! A request as the login server reads it: its path, its parameters, whose tenant it names.

use std::sync::Arc;

use actix_web::{HttpRequest, http::header};
use uuid::Uuid;

use super::errors::Failure;
use crate::fake_microsoft::{
    faults::percent_decoded,
    state::{App, Cloud, Tenant},
};

/// The tenant of all personal accounts.
pub const CONSUMER_TENANT: Uuid = Uuid::from_u128(0x9188040d_6c67_4c5b_b112_36a304b66dad);

/// Parameters whose values the log must not keep.
const SECRET_PARAMETERS: [&str; 5] = [
    "client_secret",
    "client_assertion",
    "code",
    "code_verifier",
    "refresh_token",
];

/// Name of the cookie that remembers who signed in at this server.
pub(super) const SESSION_COOKIE: &str = "ESTSAUTH";

/// What the first path segment stands for.
pub enum Authority {
    Tenant(Arc<Tenant>),
    Common,
    Organizations,
    Consumers,
}

/// One request, read.
pub(super) struct Incoming<'a> {
    pub cloud: &'a Cloud,
    pub method: String,
    pub path_and_query: String,
    pub segments: Vec<String>,
    pub query: Parameters,
    pub form: Parameters,
    /// Whether the body was sent as a form.
    pub is_form: bool,
    pub authorization: Option<String>,
    /// Who signed in before in this browser.
    pub session: Option<String>,
}

impl<'a> Incoming<'a> {
    pub(super) fn read(cloud: &'a Cloud, request: &HttpRequest, body: &[u8]) -> Self {
        let text = |name| {
            let value = request.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        let kind = text(header::CONTENT_TYPE).unwrap_or_default();
        let is_form = kind
            .to_lowercase()
            .starts_with("application/x-www-form-urlencoded");
        let path = request.uri().path();
        let session = request.cookie(SESSION_COOKIE);
        Self {
            cloud,
            method: request.method().to_string(),
            path_and_query: request.uri().to_string(),
            segments: path.split('/').skip(1).map(percent_decoded).collect(),
            query: Parameters::parse(request.query_string().as_bytes()),
            form: Parameters::parse(if is_form { body } else { b"" }),
            is_form,
            authorization: text(header::AUTHORIZATION),
            session: session.map(|cookie| cookie.value().to_owned()),
        }
    }

    /// The first path segment: a tenant's id or domain, or a generic word.
    pub(super) fn tenant_segment(&self) -> &str {
        self.segments.first().map_or("", String::as_str)
    }

    /// The tenant's id, where the request names a known tenant.
    pub(super) fn tenant_id(&self) -> Option<Uuid> {
        match self.authority() {
            Ok(Authority::Tenant(tenant)) => Some(tenant.id),
            _ => None,
        }
    }

    /// What the first path segment stands for. Errors: 90002 unknown, 900023 malformed.
    pub(super) fn authority(&self) -> Result<Authority, Failure> {
        let segment = self.tenant_segment();
        match segment.to_lowercase().as_str() {
            "common" => return Ok(Authority::Common),
            "organizations" => return Ok(Authority::Organizations),
            "consumers" => return Ok(Authority::Consumers),
            _ => {}
        }
        let id = Uuid::parse_str(segment)
            .ok()
            .filter(|_| segment.len() == 36);
        if id == Some(CONSUMER_TENANT) {
            return Ok(Authority::Consumers);
        }
        if id.is_none() && !is_dns_name(segment) {
            return Err(Failure::new(900_023).saying(format!(
                "Specified tenant identifier '{segment}' is neither a valid DNS name, nor a valid external domain."
            )));
        }
        let tenants = self.cloud.tenants.read().expect("tenants");
        let found = tenants.values().find(|tenant| match id {
            Some(id) => tenant.id == id,
            None => tenant
                .domains
                .iter()
                .any(|domain| domain.eq_ignore_ascii_case(segment)),
        });
        found
            .map(|tenant| Authority::Tenant(Arc::clone(tenant)))
            .ok_or_else(|| {
                Failure::new(90_002).saying(format!(
                "Tenant '{segment}' not found. Check to make sure you have the correct tenant ID \
                 and are signing into the correct cloud."
            ))
            })
    }

    /// The same, without the tenants of another cloud: 90038 for those.
    pub(super) fn authority_here(&self) -> Result<Authority, Failure> {
        match self.authority()? {
            Authority::Tenant(tenant) if !self.cloud.signs_in_here(&tenant) => {
                Err(Failure::new(90_038))
            }
            authority => Ok(authority),
        }
    }

    /// The app registration that `client_id` names. Errors: 900144 missing, 700016 unknown or of another
    /// tenant, 50194 of one tenant but asked for at none.
    pub(super) fn app(&self, parameters: &Parameters) -> Result<App, Failure> {
        let client_id = parameters.required("client_id")?;
        let apps = self.cloud.apps.read().expect("apps");
        let unknown = || Failure::app_not_found(client_id, self.tenant_segment());
        let app = apps.get(client_id).cloned().ok_or_else(unknown)?;
        match (app.only_tenant, self.authority()?) {
            (None, _) => Ok(app),
            (Some(home), Authority::Tenant(tenant)) if home == tenant.id => Ok(app),
            (Some(_), Authority::Tenant(_)) => Err(unknown()),
            (Some(_), _) => Err(Failure::new(50_194)),
        }
    }

    /// The body of a form with secret values replaced.
    pub(super) fn masked_form(&self) -> Option<String> {
        if !self.is_form {
            return None;
        }
        let mut masked = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in &self.form.0 {
            let secret = SECRET_PARAMETERS.contains(&name.as_str());
            masked.append_pair(name, if secret { "***" } else { value });
        }
        // The serializer would write the asterisks as they are: they need no escape.
        Some(masked.finish())
    }

    /// Notes something a client must never do.
    pub(super) fn violation(&self, what: &str) {
        let path = self.path_and_query.split('?').next().unwrap_or_default();
        self.cloud.record_violation(format!("login {path}: {what}"));
    }
}

/// Query or form parameters, in order.
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn parse(bytes: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(bytes).into_owned().collect())
    }

    /// The value, if it is there and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.iter().find(|(key, _)| key == name);
        value
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// The value, or 900144.
    pub(super) fn required(&self, name: &str) -> Result<&str, Failure> {
        self.get(name).ok_or_else(|| Failure::missing(name))
    }

    /// Refuses a parameter that comes twice (9000411).
    pub(super) fn require_no_duplicates(&self) -> Result<(), Failure> {
        for (at, (name, _)) in self.0.iter().enumerate() {
            if self.0.iter().take(at).any(|(earlier, _)| earlier == name) {
                let text = "The request is not properly formatted. The parameter";
                return Err(
                    Failure::new(9_000_411).saying(format!("{text} '{name}' is duplicated."))
                );
            }
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A domain as Microsoft takes it: labels of letters, digits and hyphens, at least two.
fn is_dns_name(text: &str) -> bool {
    let label_fits = |label: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        !label.is_empty()
            && label.len() <= 63
            && label.chars().all(fits)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.contains('.') && text.split('.').all(label_fits)
}

/// Whether an address is registered as a redirect URI. Exact, but for the port of `http://localhost`
/// (<https://learn.microsoft.com/entra/identity-platform/reply-url>).
pub(super) fn redirect_is_registered(app: &App, address: &str) -> bool {
    let without_port = |text: &str| {
        let rest = text.strip_prefix("http://localhost")?;
        let rest = rest.strip_prefix(':').map_or(rest, |rest| {
            rest.trim_start_matches(|c: char| c.is_ascii_digit())
        });
        Some(rest.to_owned())
    };
    app.redirect_uris.iter().any(|registered| {
        registered == address
            || without_port(registered).is_some_and(|rest| Some(rest) == without_port(address))
    })
}
