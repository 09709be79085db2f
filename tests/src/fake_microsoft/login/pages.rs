//! The pages a person sees. Plain HTML, no script.

use std::collections::BTreeSet;

use actix_web::{HttpResponse, http::StatusCode};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{
    errors::{self, Failure},
    people,
};
use crate::fake_microsoft::state::{App, Cloud, Person, Tenant};

const STYLE: &str = "body{font-family:system-ui,sans-serif;background:#f3f2f1;margin:0}\
main{max-width:30rem;margin:3rem auto;background:#fff;padding:2rem;box-shadow:0 1px 4px #0003}\
button{display:block;width:100%;margin:.5rem 0;padding:.7rem;font:inherit;text-align:left;\
background:#fff;border:1px solid #767676;cursor:pointer}button.main{background:#0f6cbd;color:#fff}\
button:focus-visible{outline:3px solid #000}small{color:#595959}";

/// "Pick an account" at a tenant. `action` is the address the choice is posted to.
pub(super) fn choose_account(tenant: &Tenant, action: &str) -> HttpResponse {
    let everyone = tenant.people.read().expect("people").clone();
    page(
        StatusCode::OK,
        "Pick an account",
        html! {
            p { "to continue to " strong { (tenant.display_name) } }
            form method="post" action=(action) {
                @for person in &everyone {
                    button name="account" value=(person.upn) {
                        "Sign in as " (person.name) " (" (person.upn) ")" br; small { (role(person)) }
                    }
                }
                button name="account" value="ordinary" { "Sign in as an ordinary user" }
                button name="account" value="otherTenant" { "Sign in as an administrator of another tenant" }
                button name="account" value="personal" { "Sign in with a personal account" }
                button name="account" value="cancel" { "Cancel" }
            }
        },
    )
}

/// "Pick an account" where no tenant is named: the first person of each, and a personal account.
pub(super) fn choose_anyone(cloud: &Cloud, personal: bool, action: &str) -> HttpResponse {
    let mut first: Vec<Person> = Vec::new();
    for tenant in cloud.tenants.read().expect("tenants").values() {
        first.extend(tenant.people.read().expect("people").first().cloned());
    }
    first.sort_by(|a, b| a.upn.cmp(&b.upn));
    page(
        StatusCode::OK,
        "Pick an account",
        html! {
            form method="post" action=(action) {
                @for person in &first {
                    button name="account" value=(person.upn) {
                        "Sign in as " (person.name) " (" (person.upn) ")"
                    }
                }
                @if personal {
                    button name="account" value="personal" { "Sign in with a personal account" }
                }
                button name="account" value="cancel" { "Cancel" }
            }
        },
    )
}

/// "Permissions requested" for the organisation: application permissions and delegated ones. `account`
/// is who signed in, as the account page names it.
pub(super) fn consent(
    tenant: &Tenant,
    app: &App,
    (app_roles, scopes): (&BTreeSet<String>, &BTreeSet<String>),
    person: &Person,
    account: &str,
    action: &str,
) -> HttpResponse {
    page(
        StatusCode::OK,
        "Permissions requested: review for your organization",
        html! {
            p { "Signed in as " (person.name) " (" (person.upn) ") of " strong { (tenant.display_name) } }
            p { "The app " code { (app.client_id) } " would like to:" }
            ul {
                @for role in app_roles {
                    li { (role) " " small { "without a signed-in user" } }
                }
                @for scope in scopes {
                    li { (scope) " " small { "on behalf of a signed-in user" } }
                }
            }
            p { "If you accept, this app will get access to the specified resources for all users in your organization." }
            form method="post" action=(action) {
                input type="hidden" name="account" value=(account);
                button class="main" name="decision" value="accept" { "Accept" }
                button name="decision" value="cancel" { "Cancel" }
            }
        },
    )
}

/// A failure that never leaves Microsoft's page.
pub(super) fn failure(cloud: &Cloud, failure: &Failure) -> HttpResponse {
    let description = failure.description(cloud);
    let status = StatusCode::from_u16(failure.status).unwrap_or(StatusCode::BAD_REQUEST);
    page(
        status,
        "Sorry, but we’re having trouble signing you in.",
        html! {
            p role="alert" {
                @for line in description.lines() { (line) br; }
            }
            p { a href=(failure.uri(cloud)) { "What does this mean?" } }
        },
    )
}

/// `response_mode=form_post`: a form the browser sends to the app.
pub(super) fn form_post(redirect_uri: &str, fields: &[(&str, String)]) -> HttpResponse {
    page(
        StatusCode::OK,
        "Working…",
        html! {
            form method="post" action=(redirect_uri) {
                @for (name, value) in fields {
                    input type="hidden" name=(name) value=(value);
                }
                button class="main" { "Continue" }
            }
        },
    )
}

/// `GET /error?code=`: what a number means.
pub(super) fn lookup(code: &str) -> HttpResponse {
    let digits: String = code.chars().filter(char::is_ascii_digit).take(10).collect();
    let meaning = digits.parse().ok().and_then(errors::known);
    page(
        StatusCode::OK,
        "Error code lookup",
        html! {
            p { strong { "AADSTS" (digits) } }
            p { (meaning.map_or("No information about this code.", |(_, text)| text)) }
        },
    )
}

fn role(person: &Person) -> &'static str {
    if person.personal {
        "personal account"
    } else if person.guest {
        "guest"
    } else if people::can_consent_to_app_roles(person) {
        "administrator"
    } else if people::can_consent_to_scopes(person) {
        "application administrator"
    } else {
        "user"
    }
}

fn page(status: StatusCode, title: &str, content: Markup) -> HttpResponse {
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    small { "Stand-in for Microsoft’s sign-in. Nothing here is Microsoft’s." }
                    h1 { (title) }
                    (content)
                }
            }
        }
    };
    HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .body(document.into_string())
}
