//! The authorization endpoint: has somebody sign in and answers with a code.

use std::{collections::BTreeSet, sync::Arc};

use actix_web::HttpResponse;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;

use super::{
    Authority, CONSUMER_TENANT, Endpoint,
    authorization::{Authorization, Refusal, check},
    controls::{self, scripted},
    errors::Failure,
    incoming::Incoming,
    pages, people, policies,
    redirects::remember,
};
use crate::fake_microsoft::state::{Cloud, Decision, IssuedCode, Person, SignIn, Tenant};

/// `GET /{tenant}/oauth2/v2.0/authorize`, and the POST of the account page.
pub(super) fn answer(incoming: &Incoming<'_>) -> HttpResponse {
    let authority = match incoming.authority_here() {
        Ok(authority) => authority,
        Err(failure) => return pages::failure(incoming.cloud, &failure),
    };
    if incoming.method == "POST" && incoming.form.get("account").is_none() {
        let failure =
            Failure::new(9_002_313).saying("The request is not a choice of the account page.");
        return pages::failure(incoming.cloud, &failure);
    }
    let request = match check(incoming) {
        Ok(request) => request,
        Err(refusal) => {
            return match *refusal {
                Refusal::Page(failure) => pages::failure(incoming.cloud, &failure),
                Refusal::Redirect(failure, back) => back.refuse(incoming.cloud, &failure),
            };
        }
    };
    if let Some(failure) = scripted(incoming, Endpoint::Authorize) {
        return request.back.refuse(incoming.cloud, &failure);
    }
    match authority {
        Authority::Tenant(tenant) => at_tenant(incoming, &tenant, &request),
        generic => at_generic(incoming, &generic, &request),
    }
}

fn at_tenant(
    incoming: &Incoming<'_>,
    tenant: &Arc<Tenant>,
    request: &Authorization,
) -> HttpResponse {
    let cloud = incoming.cloud;
    let decision = tenant.decision.read().expect("decision").clone();
    let first = || tenant.people.read().expect("people").first().cloned();
    let asks_consent = asks_consent(tenant, request);
    let mut withheld = BTreeSet::new();
    let person = match decision {
        Decision::Ask => return ask(incoming, tenant, request),
        Decision::CancelSignIn => return request.back.cancelled(),
        Decision::DeclineConsent if asks_consent => {
            return request.back.refuse(cloud, &Failure::new(65_004));
        }
        Decision::ConsentError(aadsts) if asks_consent => {
            return request.back.refuse(cloud, &Failure::new(aadsts));
        }
        Decision::AcceptAs(upn) => people::find(cloud, tenant, &upn),
        Decision::AcceptWithout(permissions) => {
            withheld = permissions;
            first().ok_or_else(|| Failure::new(50_034))
        }
        Decision::Accept | Decision::DeclineConsent | Decision::ConsentError(_) => {
            first().ok_or_else(|| Failure::new(50_034))
        }
    };
    sign_in(cloud, tenant, request, person, &withheld)
}

/// Shows the account page, then the consent page where there is something to consent to.
fn ask(incoming: &Incoming<'_>, tenant: &Tenant, request: &Authorization) -> HttpResponse {
    let cloud = incoming.cloud;
    let action = &incoming.path_and_query;
    let hinted = request
        .login_hint
        .as_deref()
        .filter(|_| incoming.method == "GET");
    let account = match incoming.form.get("account").or(hinted) {
        None => return pages::choose_account(tenant, action),
        Some("cancel") => return request.back.cancelled(),
        Some(account) => account,
    };
    let person = people::of_account(cloud, tenant, account);
    let mut response = match (&person, incoming.form.get("decision")) {
        (Ok(person), None) if asks_consent(tenant, request) => {
            let asked = (&BTreeSet::new(), &request.permissions());
            pages::consent(tenant, &request.app, asked, person, account, action)
        }
        (Ok(_), Some("cancel")) => request.back.refuse(cloud, &Failure::new(65_004)),
        _ => sign_in(cloud, tenant, request, person, &BTreeSet::new()),
    };
    remember(&mut response, tenant.id, account);
    response
}

/// Whether this sign-in shows a consent page that matters: asked for, or for permissions that
/// the tenant has not granted yet.
fn asks_consent(tenant: &Tenant, request: &Authorization) -> bool {
    request.wants_consent() || !ungranted(tenant, request).is_empty()
}

/// Delegated permissions that need an administrator and are not granted for the organisation.
fn ungranted(tenant: &Tenant, request: &Authorization) -> BTreeSet<String> {
    let grants = tenant.grants.lock().expect("grants");
    let granted = grants
        .get(&request.app.client_id)
        .map(|grant| &grant.scopes);
    let missing = |name: &String| granted.is_none_or(|granted| !granted.contains(name));
    let named = request.graph_scopes();
    // `.default` asks for nothing anew where something is granted.
    let satisfied = named.contains(".default") && granted.is_some_and(|scopes| !scopes.is_empty());
    let permissions = request.permissions().into_iter();
    permissions
        .filter(|name| !satisfied && people::needs_administrator(name) && missing(name))
        .collect()
}

/// Ends a sign-in: a code for those who may, Microsoft's own page for accounts of elsewhere and
/// those who are kept out.
fn sign_in(
    cloud: &Cloud,
    tenant: &Tenant,
    request: &Authorization,
    person: Result<Person, Failure>,
    withheld: &BTreeSet<String>,
) -> HttpResponse {
    let allowed = person.and_then(|person| {
        policies::check_sign_in(cloud, tenant.id, &person)?;
        Ok(person)
    });
    let person = match allowed {
        Ok(person) => person,
        Err(failure) => return pages::failure(cloud, &failure),
    };
    // A consent page that was asked for stops ordinary users even where all is granted.
    let for_administrators = !ungranted(tenant, request).is_empty()
        || (request.wants_consent()
            && request
                .permissions()
                .iter()
                .any(|name| people::needs_administrator(name)));
    if for_administrators && !people::can_consent_to_scopes(&person) {
        return request.back.refuse(cloud, &Failure::new(90_094));
    }
    // A first sign-in creates the service principal; it carries no application permission.
    let mut grants = tenant.grants.lock().expect("grants");
    let grant = grants.entry(request.app.client_id.clone()).or_default();
    let by_default = request.graph_scopes().contains(".default");
    if !by_default || request.wants_consent() || grant.scopes.is_empty() {
        let accepted = request.scopes().into_iter();
        grant
            .scopes
            .extend(accepted.filter(|name| !withheld.contains(name)));
    }
    drop(grants);
    issue(cloud, tenant.id, request, person)
}

fn at_generic(
    incoming: &Incoming<'_>,
    authority: &Authority,
    request: &Authorization,
) -> HttpResponse {
    let cloud = incoming.cloud;
    incoming.violation("sign-in at a generic authority");
    let personal = matches!(authority, Authority::Common | Authority::Consumers);
    let Some(account) = incoming.form.get("account") else {
        return pages::choose_anyone(cloud, personal, &incoming.path_and_query);
    };
    match account {
        "cancel" => request.back.cancelled(),
        "personal" if personal => issue(cloud, CONSUMER_TENANT, request, personal_account()),
        "personal" => pages::failure(cloud, &Failure::new(500_208)),
        upn => {
            let tenants = cloud.tenants.read().expect("tenants").clone();
            let mut homes = tenants.values().filter_map(|tenant| {
                let people = tenant.people.read().expect("people");
                let own = people
                    .iter()
                    .find(|person| !person.guest && person.upn == upn);
                own.cloned().map(|person| (tenant, person))
            });
            match homes.next() {
                Some((home, person)) => sign_in(cloud, home, request, Ok(person), &BTreeSet::new()),
                None => pages::failure(cloud, &Failure::new(50_034)),
            }
        }
    }
}

fn personal_account() -> Person {
    Person {
        oid: Uuid::from_u128(0x0000_0000_0000_0000_a1b2_c3d4_e5f6_0718),
        upn: people::PERSONAL_UPN.to_owned(),
        name: "Someone".to_owned(),
        wids: Vec::new(),
        guest: false,
        personal: true,
        wids_in_token: false,
    }
}

fn issue(cloud: &Cloud, tenant: Uuid, request: &Authorization, person: Person) -> HttpResponse {
    let random: Vec<u8> = (0..12)
        .flat_map(|_| controls::next_random(cloud).to_be_bytes())
        .collect();
    // Codes have dots, as the real ones do.
    let code = format!("1.{}.{}", URL_SAFE_NO_PAD.encode(&random), "AgABBAIAAAA");
    let sign_in = SignIn {
        tenant,
        person,
        client_id: request.app.client_id.clone(),
        scope: request.scope.clone(),
        nonce: request.nonce.clone(),
        moment: cloud.next_moment(),
    };
    let issued = IssuedCode {
        sign_in,
        redirect_uri: request.back.redirect_uri.clone(),
        code_challenge: request.code_challenge.clone(),
        redeemed: false,
        issued_at: cloud.now_unix(),
    };
    cloud
        .codes
        .lock()
        .expect("codes")
        .insert(code.clone(), issued);
    let session = controls::next_id(cloud).to_string();
    request
        .back
        .send(vec![("code", code), ("session_state", session)])
}
