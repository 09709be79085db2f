//! The two admin-consent endpoints. Nothing they send to the redirect URI is signed.

use std::{collections::BTreeSet, sync::Arc};

use actix_web::HttpResponse;

use super::{
    Authority, Endpoint,
    authorization::{OIDC_SCOPES, registered_redirect, short_name, unknown_resource},
    controls::{self, scripted},
    errors::Failure,
    incoming::Incoming,
    pages, people,
    redirects::{query, redirect, remember, remembered, with_query},
};
use crate::fake_microsoft::state::{App, Cloud, Decision, Person, Tenant};

/// `/{tenant}/v2.0/adminconsent` or the older `/{tenant}/adminconsent`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Version {
    Two,
    Older,
}

/// A request that passed the checks.
struct Request {
    version: Version,
    app: App,
    redirect_uri: String,
    state: Option<String>,
    /// As it came; empty at the older endpoint.
    scope: String,
    /// Application permissions that an acceptance grants.
    app_roles: BTreeSet<String>,
    /// Delegated permissions that an acceptance grants.
    scopes: BTreeSet<String>,
}

/// How somebody ended the consent page.
enum Outcome {
    Accepted(Person, BTreeSet<String>),
    Declined,
    Cancelled,
    Failed(Failure),
}

/// GET of the endpoint, and the POSTs of its pages.
pub(super) fn answer(incoming: &Incoming<'_>, version: Version) -> HttpResponse {
    let cloud = incoming.cloud;
    let (tenant, request) = match check(incoming, version) {
        Ok(checked) => checked,
        Err(failure) => return pages::failure(cloud, &failure),
    };
    if let Some(failure) = scripted(incoming, Endpoint::AdminConsent) {
        return request.failed(cloud, &failure);
    }
    let decision = tenant.decision.read().expect("decision").clone();
    let first = || tenant.people.read().expect("people").first().cloned();
    let accepted_by_first = |withheld| match first() {
        Some(person) => Outcome::Accepted(person, withheld),
        None => Outcome::Failed(Failure::new(50_034).as_error("access_denied")),
    };
    let outcome = match decision {
        Decision::Ask => match ask(incoming, &tenant, &request) {
            Ok(page) => return page,
            Err(outcome) => outcome,
        },
        Decision::Accept => accepted_by_first(BTreeSet::new()),
        Decision::AcceptWithout(withheld) => accepted_by_first(withheld),
        Decision::AcceptAs(upn) => match people::find(cloud, &tenant, &upn) {
            Ok(person) => Outcome::Accepted(person, BTreeSet::new()),
            Err(failure) => Outcome::Failed(failure.as_error("access_denied")),
        },
        Decision::CancelSignIn => Outcome::Cancelled,
        Decision::DeclineConsent => Outcome::Declined,
        Decision::ConsentError(aadsts) => Outcome::Failed(Failure::new(aadsts)),
    };
    match outcome {
        Outcome::Accepted(person, withheld) => accept(cloud, &tenant, &request, &person, &withheld),
        Outcome::Declined => request.declined(cloud),
        Outcome::Cancelled => request.cancelled(),
        Outcome::Failed(failure) => request.failed(cloud, &failure),
    }
}

/// Everything that is refused here is refused on Microsoft's own page.
fn check(incoming: &Incoming<'_>, version: Version) -> Result<(Arc<Tenant>, Request), Failure> {
    let authority = incoming.authority_here()?;
    let parameters = &incoming.query;
    parameters.require_no_duplicates()?;
    let app = incoming.app(parameters)?;
    let redirect_uri = registered_redirect(&app, parameters)?;
    if parameters.get("state").is_none() {
        incoming.violation("no state");
    }
    let tenant = match (authority, version) {
        (Authority::Tenant(tenant), _) => tenant,
        (Authority::Common | Authority::Consumers, Version::Two) => {
            return Err(Failure::new(90_124));
        }
        (_, _) => {
            incoming.violation("consent at a generic authority");
            sole_tenant(incoming.cloud)?
        }
    };
    let (scope, app_roles, scopes) = match version {
        Version::Older => (String::new(), app.app_roles.clone(), app.scopes.clone()),
        Version::Two => asked_for(incoming, &app)?,
    };
    let state = parameters.get("state").map(str::to_owned);
    Ok((
        tenant,
        Request {
            version,
            app,
            redirect_uri,
            state,
            scope,
            app_roles,
            scopes,
        },
    ))
}

/// At a generic authority the account decides. There is no account yet, so this works only while
/// there is no choice.
fn sole_tenant(cloud: &Cloud) -> Result<Arc<Tenant>, Failure> {
    let tenants = cloud.tenants.read().expect("tenants");
    let mut all = tenants.values();
    match (all.next(), all.next()) {
        (Some(tenant), None) => Ok(Arc::clone(tenant)),
        _ => Err(Failure::new(50_059)),
    }
}

/// The scope as it came, and the application and delegated permissions it stands for.
type Asked = (String, BTreeSet<String>, BTreeSet<String>);

fn asked_for(incoming: &Incoming<'_>, app: &App) -> Result<Asked, Failure> {
    let scope = incoming.query.required("scope")?;
    let resource = format!("{}/", controls::graph_resource(incoming.cloud));
    let names: Vec<&str> = scope.split_whitespace().collect();
    if let Some(foreign) = names
        .iter()
        .find(|name| name.contains("://") && !name.starts_with(&resource))
    {
        return Err(unknown_resource(foreign));
    }
    let named: BTreeSet<String> = names
        .iter()
        .filter(|name| !OIDC_SCOPES.contains(name))
        .map(|name| short_name(name).to_owned())
        .collect();
    let with_default = named.contains(".default");
    if with_default && named.len() > 1 {
        let text = format!(
            "The provided value for the input parameter 'scope' isn't valid. .default can't be combined with resource-specific scopes: {scope}"
        );
        return Err(Failure::new(70_011).saying(text));
    }
    if with_default && !names.contains(&format!("{resource}.default").as_str()) {
        incoming.violation(".default without its resource");
    }
    let scope = scope.to_owned();
    if with_default {
        Ok((scope, app.app_roles.clone(), app.scopes.clone()))
    } else {
        Ok((scope, BTreeSet::new(), named))
    }
}

/// Shows the account page, then the consent page. An `Err` is how it ended.
fn ask(
    incoming: &Incoming<'_>,
    tenant: &Arc<Tenant>,
    request: &Request,
) -> Result<HttpResponse, Outcome> {
    let action = &incoming.path_and_query;
    let posted = incoming.form.get("account").map(str::to_owned);
    let Some(account) = posted.or_else(|| remembered(incoming, tenant.id)) else {
        return Ok(pages::choose_account(tenant, action));
    };
    if account == "cancel" {
        return Err(Outcome::Cancelled);
    }
    let person = people::of_account(incoming.cloud, tenant, &account)
        .map_err(|failure| Outcome::Failed(failure.as_error("access_denied")))?;
    match incoming.form.get("decision") {
        Some("accept") => Err(Outcome::Accepted(person, BTreeSet::new())),
        Some(_) => Err(Outcome::Declined),
        None => {
            let asked = (&request.app_roles, &request.scopes);
            let mut page = pages::consent(tenant, &request.app, asked, &person, &account, action);
            remember(&mut page, tenant.id, &account);
            Ok(page)
        }
    }
}

fn accept(
    cloud: &Cloud,
    tenant: &Tenant,
    request: &Request,
    person: &Person,
    withheld: &BTreeSet<String>,
) -> HttpResponse {
    let may = if request.app_roles.is_empty() {
        people::can_consent_to_scopes(person)
    } else {
        people::can_consent_to_app_roles(person)
    };
    if !may {
        return request.failed(cloud, &Failure::new(90_094));
    }
    let mut grants = tenant.grants.lock().expect("grants");
    let grant = grants.entry(request.app.client_id.clone()).or_default();
    grant
        .app_roles
        .extend(request.app_roles.difference(withheld).cloned());
    grant
        .scopes
        .extend(request.scopes.difference(withheld).cloned());
    if let Some((requests, without_roles)) = controls::take_consent_lag(cloud, tenant.id) {
        grant.lag_requests = requests;
        grant.lag_without_roles = without_roles;
    }
    drop(grants);
    request.accepted(&tenant.id.to_string())
}

impl Request {
    fn accepted(&self, tenant: &str) -> HttpResponse {
        let consent = ("admin_consent", "True".to_owned());
        let tenant = ("tenant", tenant.to_owned());
        let state = self.state.clone().map(|state| ("state", state));
        match self.version {
            Version::Two => {
                let scope = ("scope", self.scope.clone());
                self.send([consent, tenant, scope].into_iter().chain(state).collect())
            }
            Version::Older => {
                self.send([tenant].into_iter().chain(state).chain([consent]).collect())
            }
        }
    }

    /// Cancel on the consent page, in the documented shapes.
    fn declined(&self, cloud: &Cloud) -> HttpResponse {
        if self.version == Version::Older {
            return self.send(vec![
                ("error", "permission_denied".to_owned()),
                (
                    "error_description",
                    "The admin canceled the request".to_owned(),
                ),
            ]);
        }
        let failure = Failure::new(65_004)
            .saying("The resource owner or authorization server denied the request.");
        let state = self.state.clone().map(|state| ("state", state));
        let fields = [
            ("admin_consent", "True".to_owned()),
            ("error", "consent_required".to_owned()),
            ("error_description", failure.description(cloud)),
        ];
        self.send(fields.into_iter().chain(state).collect())
    }

    /// Cancel on the sign-in page: no description, and no `admin_consent`.
    fn cancelled(&self) -> HttpResponse {
        let state = self.state.clone().map(|state| ("state", state));
        let fields = [
            ("error", "access_denied".to_owned()),
            ("error_subcode", "cancel".to_owned()),
        ];
        self.send(fields.into_iter().chain(state).collect())
    }

    /// Any other failure, in the order observed at the real service
    /// (<https://github.com/MicrosoftDocs/azure-docs/issues/114009>).
    fn failed(&self, cloud: &Cloud, failure: &Failure) -> HttpResponse {
        let state = self.state.clone().map(|state| ("state", state));
        let fields = [
            ("error", failure.error.clone()),
            ("error_description", failure.description(cloud)),
            ("error_uri", failure.uri(cloud)),
            ("admin_consent", "True".to_owned()),
        ];
        self.send(fields.into_iter().chain(state).collect())
    }

    fn send(&self, fields: Vec<(&str, String)>) -> HttpResponse {
        redirect(&with_query(&self.redirect_uri, &query(&fields)))
    }
}
