//! Connecting a tenant: making the link, and what comes back from Microsoft.

use actix_web::{
    HttpMessage as _, HttpRequest, HttpResponse,
    http::{Method, StatusCode, header},
    web,
};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use tenantry_core::{
    access::OrgScope,
    consent::{
        Bearer, CallbackFields, ConsentError, Landing, NextPage, RejectedFlow, StartConnect,
        Started, StepTaken, WayIn,
    },
    credentials::Credential,
    ids::{CustomerId, RequestId},
    secrets::SecretText,
    store::{Scoped, StoreError},
    tenants::{ConnectionType, TenantStatus},
};
use url::{Url, form_urlencoded};
use utoipa::ToSchema;
use uuid::Uuid;

use super::BASE_PATH;
use crate::{
    auth::{Caller, permits::TenantsConnect},
    flow_cookie,
    idempotent::{self, Attempt},
    json_body::JsonBody,
    problem::{FieldError, Problem, catalogue},
    query::{NoParameters, QueryParams},
    state::AppState,
    time_text,
};

/// Longest secret of a registration that is taken, in characters; Microsoft's have about forty.
const LONGEST_SECRET: usize = 1_000;
/// Longest PEM text that is taken, in characters.
const LONGEST_PEM: usize = 20_000;

/// A tenant to connect.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ConnectTenant {
    /// The customer it is for. Left out, the customer that the tenant belongs to already, or the one match
    /// that is certain.
    #[serde(default)]
    customer_id: Option<Uuid>,
    /// A verified domain of the tenant, or its id.
    #[schema(min_length = 1, max_length = 1000, example = "contoso.com")]
    tenant: String,
    /// How the tenant is to be read: `adminConsent` (when left out; application permissions that an
    /// administrator consents to), `delegated` (as the administrator who signs in) or
    /// `applicationCredentials` (with a registration of the customer's own, without a browser).
    #[serde(default)]
    #[schema(example = "adminConsent")]
    connection_type: Option<String>,
    /// The customer's own registration; with `applicationCredentials` and only there.
    #[serde(default)]
    credentials: Option<ApplicationCredentials>,
    /// Where the administrator's browser goes at the end, under one of the configured addresses.
    #[serde(default)]
    #[schema(example = "https://portal.example/tenants")]
    return_url: Option<String>,
}

/// An app registration of the customer's own, which an administrator of the tenant has consented to: its
/// id with a secret, or with a certificate and its key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ApplicationCredentials {
    /// Its application (client) id.
    #[schema(format = Uuid)]
    client_id: String,
    /// The secret's value, not its id.
    #[serde(default)]
    #[schema(value_type = Option<String>, write_only, nullable = false, max_length = 1000)]
    client_secret: Option<SecretText>,
    /// PEM.
    #[serde(default)]
    #[schema(value_type = Option<String>, write_only, nullable = false, max_length = 20_000)]
    certificate: Option<SecretText>,
    /// PEM: the RSA key of the certificate, not encrypted.
    #[serde(default)]
    #[schema(value_type = Option<String>, write_only, nullable = false, max_length = 20_000)]
    private_key: Option<SecretText>,
}

/// The link to give to an administrator of the tenant, or where nobody has to sign in, what came of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectView {
    /// The tenant behind the domain: its Microsoft Entra tenant id.
    tenant_id: Uuid,
    connection_id: Uuid,
    /// What the tenant is: until the new connection is proven, what it was before.
    #[schema(example = "pendingConsent")]
    status: &'static str,
    /// What the administrator opens. Whoever has it can take part in the flow. Null where nobody has to
    /// sign in, like the next two.
    #[schema(required)]
    authorization_url: Option<String>,
    /// Microsoft's first page, for a front end that receives the redirect itself and relays it.
    #[schema(required)]
    microsoft_url: Option<String>,
    /// When the link ends.
    #[schema(required, format = DateTime)]
    expires_at: Option<String>,
    /// What is asked for.
    requested_permissions: Vec<PermissionView>,
}

/// A permission and why it is asked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct PermissionView {
    /// Microsoft's name.
    #[schema(example = "User.Read.All")]
    name: &'static str,
    /// `application` or `delegated`.
    #[schema(example = "application")]
    r#type: &'static str,
    /// Why, in a sentence to an administrator.
    reason: &'static str,
}

impl From<&Started> for ConnectView {
    fn from(started: &Started) -> Self {
        let link = started.link.as_ref();
        let permissions = started
            .requested_permissions
            .iter()
            .map(|permission| PermissionView {
                name: permission.name,
                r#type: started.permission_kind.as_str(),
                reason: permission.reason,
            });
        Self {
            tenant_id: started.tenant.as_uuid(),
            connection_id: started.connection.as_uuid(),
            status: started.status.as_str(),
            authorization_url: link.map(|link| link.authorization_url.to_string()),
            microsoft_url: link.map(|link| link.microsoft_url.to_string()),
            expires_at: link.map(|link| time_text::of(link.expires_at)),
            requested_permissions: permissions.collect(),
        }
    }
}

impl TryFrom<ConnectTenant> for StartConnect {
    type Error = Problem;

    fn try_from(body: ConnectTenant) -> Result<Self, Problem> {
        let way = way_in(body.connection_type.as_deref(), body.credentials)?;
        Ok(Self {
            customer: body.customer_id.map(CustomerId::from_uuid),
            tenant: body.tenant,
            way,
            return_url: body.return_url,
        })
    }
}

/// How a tenant is to be read, by the words and credentials of a body.
fn way_in(
    connection_type: Option<&str>,
    credentials: Option<ApplicationCredentials>,
) -> Result<WayIn, Problem> {
    let kind = match connection_type.map(str::parse::<ConnectionType>) {
        None => ConnectionType::AdminConsent,
        Some(Ok(known)) => known,
        Some(Err(_unknown)) => {
            let names: Vec<&str> = ConnectionType::ALL
                .iter()
                .map(|kind| kind.as_str())
                .collect();
            let detail = format!("Expected one of {}.", names.join(", "));
            return Err(fault("/connectionType", "unknownValue", &detail));
        }
    };
    let way = match kind {
        ConnectionType::ApplicationCredentials => {
            let detail = "The credentials of the customer's own registration are needed.";
            let credentials =
                credentials.ok_or_else(|| fault("/credentials", "required", detail))?;
            return credentials.try_into().map(WayIn::ApplicationCredentials);
        }
        ConnectionType::AdminConsent => WayIn::AdminConsent,
        ConnectionType::Delegated => WayIn::Delegated,
        ConnectionType::Gdap => {
            let detail = format!("This version of Tenantry cannot connect tenants by {kind}.");
            return Err(Problem::new(&catalogue::CONNECTION_TYPE_UNAVAILABLE).detail(detail));
        }
    };
    if credentials.is_some() {
        let detail = "Credentials belong to the connectionType applicationCredentials only.";
        return Err(fault("/credentials", "notAllowed", detail));
    }
    Ok(way)
}

fn fault(pointer: &str, code: &str, detail: &str) -> Problem {
    Problem::invalid(vec![FieldError::at(pointer, code, detail)])
}

impl TryFrom<ApplicationCredentials> for Credential {
    type Error = Problem;

    fn try_from(body: ApplicationCredentials) -> Result<Self, Problem> {
        let ApplicationCredentials {
            client_id,
            client_secret,
            certificate,
            private_key,
        } = body;
        let Ok(client_id) = Uuid::try_parse(&client_id) else {
            let detail = "An application (client) id is a GUID such as 00001111-aaaa-2222-bbbb-3333cccc4444.";
            return Err(fault("/credentials/clientId", "invalidId", detail));
        };
        let client_id = client_id.hyphenated().to_string();
        match (client_secret, certificate, private_key) {
            (Some(secret), None, None) => {
                fits(&secret, "/credentials/clientSecret", LONGEST_SECRET)?;
                Ok(Self::ClientSecret { client_id, secret })
            }
            (None, Some(certificate), Some(key)) => {
                fits(&certificate, "/credentials/certificate", LONGEST_PEM)?;
                fits(&key, "/credentials/privateKey", LONGEST_PEM)?;
                let pem = format!("{}\n{}", certificate.expose().trim(), key.expose().trim());
                let pem = SecretText::new(pem);
                Ok(Self::ClientCertificate { client_id, pem })
            }
            (None, Some(_), None) => Err(fault(
                "/credentials/privateKey",
                "required",
                "A certificate proves nothing without its private key.",
            )),
            (None, None, Some(_)) => Err(fault(
                "/credentials/certificate",
                "required",
                "The certificate that the private key belongs to is needed.",
            )),
            (None, None, None) => Err(fault(
                "/credentials/clientSecret",
                "required",
                "Either a clientSecret is needed, or a certificate with its privateKey.",
            )),
            (Some(_), _, _) => Err(fault(
                "/credentials",
                "notAllowed",
                "Either a clientSecret or a certificate with its privateKey, not both.",
            )),
        }
    }
}

/// Whether a text may be what it claims by its length and characters.
fn fits(secret: &SecretText, pointer: &str, longest: usize) -> Result<(), Problem> {
    let text = secret.expose();
    if text.trim().is_empty() {
        return Err(fault(pointer, "required", "It must not be empty."));
    }
    if text.chars().count() > longest {
        let detail = format!("At most {longest} characters.");
        return Err(fault(pointer, "tooLong", &detail));
    }
    let is_odd = |c: char| c.is_control() && !matches!(c, '\r' | '\n' | '\t');
    if text.contains(is_odd) {
        return Err(fault(
            pointer,
            "controlCharacter",
            "It has control characters.",
        ));
    }
    Ok(())
}

/// Connect a tenant
///
/// Makes a link that an administrator of the tenant opens. With `applicationCredentials` there is no link:
/// the credentials are proven at once, and the tenant is connected or nothing is stored. The tenant is
/// looked up at Microsoft first. An older unused link of the tenant ends; the tenant's status and its
/// present connection stay until the new one is proven.
#[utoipa::path(
    post,
    path = "/api/msp-portal/tenants/connect",
    tag = "tenants",
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeats give the first answer, links included", min_length = 1, max_length = 255)),
    request_body = ConnectTenant,
    responses(
        (status = 201, description = "The link, or the connected tenant", body = ConnectView, headers(("Location" = String, description = "Address of the tenant"))),
        (status = 404, description = "No such customer", body = crate::problem::ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "The tenant is connected", body = crate::problem::ProblemBody, content_type = "application/problem+json"),
        (status = 502, description = "Microsoft did not answer", body = crate::problem::ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn connect_tenant(
    caller: Caller<TenantsConnect>,
    _query: QueryParams<NoParameters>,
    request: HttpRequest,
    state: web::Data<AppState>,
    body: JsonBody<ConnectTenant>,
) -> Result<HttpResponse, Problem> {
    let route = "POST /tenants/connect";
    let attempt =
        idempotent::attempt(&state, &request, caller.identity(), route, body.hash).await?;
    let pending = match attempt {
        Attempt::First(pending) => pending,
        Attempt::Repeated(answer) => return Ok(answer),
    };
    let stored = pending.clone();
    let outcome = match StartConnect::try_from(body.value) {
        Ok(wish) => {
            let complete = move |tx: &mut Scoped<'_>, started: &Started| {
                let view = ConnectView::from(started);
                stored.complete(tx, StatusCode::CREATED, &location(started), &view)
            };
            start(&state, caller.scope(), wish, complete).await
        }
        Err(problem) => Err(problem),
    };
    let started = pending.settle(outcome).await?;
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, location(&started)))
        .json(ConnectView::from(&started)))
}

async fn start(
    state: &AppState,
    scope: &OrgScope,
    wish: StartConnect,
    complete: impl FnOnce(&mut Scoped<'_>, &Started) -> Result<(), StoreError> + Send + 'static,
) -> Result<Started, Problem> {
    Ok(state.consent()?.start(scope, wish, complete).await?)
}

fn location(started: &Started) -> String {
    format!("{BASE_PATH}/tenants/{}", started.tenant)
}

/// Microsoft's answer as a front end relays it: its fields under Microsoft's own names. Others are
/// ignored, the same one twice is refused.
#[derive(Debug, Deserialize, ToSchema)]
pub struct RelayedAnswer {
    /// Which request this answers.
    #[serde(default)]
    #[schema(nullable = false)]
    state: Option<String>,
    /// The authorization code of a sign-in.
    #[serde(default)]
    #[schema(nullable = false)]
    code: Option<String>,
    /// Present: it failed.
    #[serde(default)]
    #[schema(nullable = false)]
    error: Option<String>,
    #[serde(default)]
    #[schema(nullable = false)]
    error_description: Option<String>,
    #[serde(default)]
    #[schema(nullable = false)]
    error_subcode: Option<String>,
    #[serde(default)]
    #[schema(nullable = false)]
    tenant: Option<String>,
    /// `True`, as a text or as JSON's own.
    #[serde(default, deserialize_with = "text_or_truth")]
    #[schema(nullable = false)]
    admin_consent: Option<String>,
    #[serde(default)]
    #[schema(nullable = false)]
    iss: Option<String>,
}

fn text_or_truth<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Bool(truth) => Ok(Some(truth.to_string())),
        Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err(serde::de::Error::custom("expected a text or true or false"))
        }
    }
}

impl From<RelayedAnswer> for CallbackFields {
    fn from(answer: RelayedAnswer) -> Self {
        Self {
            state: answer.state,
            code: answer.code.map(SecretText::new),
            error: answer.error,
            error_description: answer.error_description,
            error_subcode: answer.error_subcode,
            tenant: answer.tenant,
            admin_consent: answer.admin_consent,
            iss: answer.iss,
        }
    }
}

/// What a relayed answer led to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepView {
    tenant_id: Uuid,
    #[schema(example = "connected")]
    status: &'static str,
    granted_permissions: Vec<String>,
    missing_permissions: Vec<String>,
    /// Microsoft's next page; null at the end.
    #[schema(required)]
    next_url: Option<String>,
    /// The first sync, once the connection is proven.
    #[schema(required)]
    sync_run_id: Option<Uuid>,
}

impl From<StepTaken> for StepView {
    fn from(step: StepTaken) -> Self {
        let next_url = match step.next {
            NextPage::Microsoft(url) => Some(url.into()),
            NextPage::Landing(_) => None,
        };
        Self {
            tenant_id: step.tenant.as_uuid(),
            status: step.status.as_str(),
            granted_permissions: step.granted,
            missing_permissions: step.missing,
            next_url,
            sync_run_id: step.sync_run.map(tenantry_core::ids::SyncRunId::as_uuid),
        }
    }
}

/// Relay Microsoft's answer
///
/// For a front end that received the redirect of `microsoftUrl` or of `nextUrl` itself.
#[utoipa::path(
    post,
    path = "/api/msp-portal/tenants/callback",
    tag = "tenants",
    request_body = RelayedAnswer,
    responses(
        (status = 200, description = "The step was taken", body = StepView),
        (status = 409, description = "Another tenant, or a tenant that cannot be connected here", body = crate::problem::ProblemBody, content_type = "application/problem+json"),
        (status = 502, description = "Microsoft failed, or refuses this installation", body = crate::problem::ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn relay_callback(
    caller: Caller<TenantsConnect>,
    _query: QueryParams<NoParameters>,
    state: web::Data<AppState>,
    body: JsonBody<RelayedAnswer>,
) -> Result<HttpResponse, Problem> {
    let bearer = Bearer::Caller(caller.scope().clone());
    let step = Box::pin(state.consent()?.callback(bearer, body.value.into())).await?;
    Ok(HttpResponse::Ok().json(StepView::from(step)))
}

/// Return from Microsoft
///
/// Where Microsoft sends the administrator's browser. The browser must hold the cookie that opening
/// the link gave it. Leads on to Microsoft's next page, to the `returnUrl`, or to the result page.
#[utoipa::path(
    get,
    path = "/api/msp-portal/tenants/callback",
    tag = "tenants",
    params(
        ("state" = Option<String>, Query, description = "Which request this answers"),
        ("code" = Option<String>, Query, description = "The authorization code of a sign-in"),
        ("error" = Option<String>, Query, description = "Present when it failed"),
        ("error_description" = Option<String>, Query, description = "Microsoft's sentence"),
        ("error_subcode" = Option<String>, Query, description = "`cancel`, for example"),
        ("tenant" = Option<String>, Query, description = "The tenant, for display"),
        ("admin_consent" = Option<String>, Query, description = "`True`, also on errors"),
        ("iss" = Option<String>, Query, description = "The issuer"),
    ),
    responses(
        (status = 303, description = "Where the browser goes next", headers(("Location" = String))),
        (status = 400, description = "Not this browser's answer, as a page", content_type = "text/html"),
    ),
)]
pub async fn return_from_microsoft(
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    // Looking at the head must not use the state up.
    if request.method() == Method::HEAD {
        return Err(Problem::new(&catalogue::INVALID_STATE).into_page());
    }
    let fields = redirect_fields(request.query_string())
        .ok_or_else(|| Problem::new(&catalogue::INVALID_STATE).into_page())?;
    let bearer = Bearer::Browser {
        cookie: flow_cookie::presented(&request),
        request: request.extensions().get::<RequestId>().copied(),
    };
    let consent = state.consent().map_err(Problem::into_page)?;
    match Box::pin(consent.callback(bearer, fields)).await {
        Ok(step) => Ok(see_other(match step.next {
            NextPage::Microsoft(url) => url,
            NextPage::Landing(landing) => landed(landing, step.tenant.as_uuid(), step.status, None),
        })),
        Err(ConsentError::Rejected(flow)) => {
            let RejectedFlow {
                tenant,
                status,
                rejection,
                landing,
            } = *flow;
            let code = rejection.code.as_str();
            Ok(see_other(landed(
                landing,
                tenant.as_uuid(),
                status,
                Some(code),
            )))
        }
        Err(error) => Err(Problem::from(error).into_page()),
    }
}

/// The fields of a redirect. `None` when one of them stands there twice: nobody knows then which one
/// another reader would take (C17). Parameters we do not know are Microsoft's to add.
fn redirect_fields(query: &str) -> Option<CallbackFields> {
    let mut fields = CallbackFields::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let value = value.into_owned();
        let is_first = match name.as_ref() {
            "state" => fields.state.replace(value).is_none(),
            "code" => fields.code.replace(SecretText::new(value)).is_none(),
            "error" => fields.error.replace(value).is_none(),
            "error_description" => fields.error_description.replace(value).is_none(),
            "error_subcode" => fields.error_subcode.replace(value).is_none(),
            "tenant" => fields.tenant.replace(value).is_none(),
            "admin_consent" => fields.admin_consent.replace(value).is_none(),
            "iss" => fields.iss.replace(value).is_none(),
            _unknown => true,
        };
        if !is_first {
            return None;
        }
    }
    Some(fields)
}

/// Where a browser lands, with the outcome for the technician's own front end.
fn landed(landing: Landing, tenant: Uuid, status: TenantStatus, error: Option<&str>) -> Url {
    match landing {
        Landing::Result(url) => url,
        Landing::ReturnUrl(mut url) => {
            url.query_pairs_mut()
                .append_pair("tenantId", &tenant.to_string())
                .append_pair("status", status.as_str())
                .extend_pairs(error.map(|code| ("error", code)));
            url
        }
    }
}

/// Leads a browser on; what it brought leaves its history.
pub(super) fn see_other(url: impl Into<String>) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, url.into()))
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c17_a_field_that_stands_there_twice_spoils_the_whole_answer() {
        for name in [
            "state",
            "code",
            "error",
            "error_description",
            "error_subcode",
            "tenant",
            "admin_consent",
            "iss",
        ] {
            assert!(redirect_fields(&format!("{name}=a")).is_some(), "{name}");
            assert!(
                redirect_fields(&format!("{name}=a&{name}=a")).is_none(),
                "{name}"
            );
            assert!(
                redirect_fields(&format!("{name}=a&x=1&{name}=b")).is_none(),
                "{name}"
            );
        }
    }

    #[test]
    fn parameters_that_microsoft_adds_are_ignored() {
        let fields =
            redirect_fields("state=s&session_state=1&session_state=2&client_info=x&code=1.a")
                .unwrap();
        assert_eq!(fields.state.as_deref(), Some("s"));
        assert_eq!(fields.code.unwrap().expose(), "1.a");
    }

    #[test]
    fn c16_the_examples_of_both_consent_endpoints_are_read() {
        let refused = "admin_consent=True&error=consent_required&error_description=AADSTS65004%3a+The+resource+owner+denied%0d%0aTrace+ID%3a+0000aaaa-11bb-cccc-dd22-eeeeee333333&state=12345";
        let fields = redirect_fields(refused).unwrap();
        assert_eq!(fields.error.as_deref(), Some("consent_required"));
        assert!(
            fields
                .error_description
                .unwrap()
                .starts_with("AADSTS65004: The resource owner")
        );
        let older = redirect_fields(
            "tenant=a8990e1f-ff32-408a-9f8e-78d3b9139b95&state=12345&admin_consent=True",
        );
        assert_eq!(
            older.unwrap().tenant.as_deref(),
            Some("a8990e1f-ff32-408a-9f8e-78d3b9139b95")
        );
        let stateless = redirect_fields(
            "error=permission_denied&error_description=The+admin+canceled+the+request",
        );
        assert!(stateless.unwrap().state.is_none());
    }

    #[test]
    fn a_return_url_keeps_its_own_query() {
        let tenant = Uuid::nil();
        let url: Url = "https://portal.example/app?tab=1".parse().unwrap();
        let failed = landed(
            Landing::ReturnUrl(url.clone()),
            tenant,
            TenantStatus::PendingConsent,
            Some("consentDeclined"),
        );
        assert_eq!(
            failed.as_str(),
            format!(
                "https://portal.example/app?tab=1&tenantId={tenant}&status=pendingConsent&error=consentDeclined"
            )
        );
        let fine = landed(
            Landing::ReturnUrl(url),
            tenant,
            TenantStatus::Connected,
            None,
        );
        assert_eq!(
            fine.as_str(),
            format!("https://portal.example/app?tab=1&tenantId={tenant}&status=connected")
        );
    }
}
