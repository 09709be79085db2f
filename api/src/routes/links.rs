//! The administrator's browser: the link, and what became of it.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{Method, StatusCode, header},
    web,
};
use maud::Markup;
use tenantry_core::consent::{ConsentError, LinkState, LinkView};
use url::{Url, form_urlencoded};

use super::connect::see_other;
use crate::{
    client_address::came_by_https,
    flow_cookie, html_page, loopback_host, pages,
    problem::{Problem, catalogue},
    state::AppState,
};

/// Open a connect link
///
/// For the administrator's browser. Leads to Microsoft's sign-in at once, or, where the installation
/// serves several MSPs or with `details`, shows who asks for what. Shows the result once there is one.
#[utoipa::path(
    get,
    path = "/connect/{token}",
    tag = "connect",
    params(
        ("token" = String, Path, description = "The link's secret"),
        ("details" = Option<String>, Query, description = "Show the page instead of leading on"),
    ),
    responses(
        (status = 200, description = "A page", content_type = "text/html"),
        (status = 303, description = "Microsoft's sign-in", headers(("Location" = String))),
        (status = 404, description = "No such link, as a page", content_type = "text/html"),
        (status = 410, description = "The link has ended, as a page", content_type = "text/html"),
    ),
)]
pub async fn open_link(
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let https = came_by_https(&request, &state.trusted_proxies);
    let public = parsed(state.public_url());
    if let Some(public) = public.and_then(|url| loopback_host::canonical(&request, &url, https)) {
        return Ok(see_other(public));
    }
    let token = token_of(&request);
    let view = view_of(&state, token).await?;
    if view.state != LinkState::Open {
        return Ok(result(&state, &view, token));
    }
    // Whoever only looks at the head begins nothing.
    let looks_only = request.method() == Method::HEAD;
    if view.is_shared || looks_only || wants_details(&request) {
        let page = pages::connect_page(&view, &address(&state, token));
        return answer_with_form(&request, &state, &view, page);
    }
    begin(&request, &state, token).await
}

/// Begin the sign-in
///
/// What the button of the connect page does.
#[utoipa::path(
    post,
    path = "/connect/{token}",
    tag = "connect",
    params(("token" = String, Path, description = "The link's secret")),
    responses(
        (status = 200, description = "The result, once there is one", content_type = "text/html"),
        (status = 303, description = "Microsoft's sign-in", headers(("Location" = String))),
        (status = 404, description = "No such link, as a page", content_type = "text/html"),
        (status = 410, description = "The link has ended, as a page", content_type = "text/html"),
    ),
)]
pub async fn begin_sign_in(
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let token = token_of(&request);
    let view = view_of(&state, token).await?;
    if view.state != LinkState::Open {
        return Ok(result(&state, &view, token));
    }
    if !flow_cookie::comes_from_our_page(&request) {
        return Ok(see_other(format!("{}?details", address(&state, token))));
    }
    begin(&request, &state, token).await
}

/// Show what became of a connect link
#[utoipa::path(
    get,
    path = "/connect/{token}/result",
    tag = "connect",
    params(("token" = String, Path, description = "The link's secret")),
    responses(
        (status = 200, description = "The result, or that there is none yet", content_type = "text/html"),
        (status = 404, description = "No such link, as a page", content_type = "text/html"),
        (status = 410, description = "The link has ended, as a page", content_type = "text/html"),
    ),
)]
pub async fn show_result(
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let token = token_of(&request);
    let view = view_of(&state, token).await?;
    Ok(result(&state, &view, token))
}

async fn view_of(state: &AppState, token: &str) -> Result<LinkView, Problem> {
    let consent = state.consent().map_err(Problem::into_page)?;
    consent.link(token).await.map_err(page_of)
}

/// Begins a flow bound to this browser.
async fn begin(
    request: &HttpRequest,
    state: &AppState,
    token: &str,
) -> Result<HttpResponse, Problem> {
    let (binding, cookie) = flow_cookie::bound(request).map_err(Problem::internal)?;
    let consent = state.consent().map_err(Problem::into_page)?;
    match consent.open(token, binding).await.map_err(page_of)? {
        Some(microsoft) => {
            let mut answer = HttpResponse::SeeOther();
            answer.insert_header((header::LOCATION, microsoft.as_str()));
            if let Some(cookie) = cookie {
                answer.cookie(cookie);
            }
            Ok(answer.finish())
        }
        None => {
            let view = view_of(state, token).await?;
            Ok(result(state, &view, token))
        }
    }
}

fn result(state: &AppState, view: &LinkView, token: &str) -> HttpResponse {
    let status = match view.state {
        LinkState::Open | LinkState::Proving | LinkState::Proven => StatusCode::OK,
        LinkState::Expired | LinkState::Void => StatusCode::GONE,
    };
    let page = pages::result_page(view, &address(state, token));
    html_page::answer(&mut HttpResponse::build(status), page)
}

/// The connect page. Browsers apply `form-action` to every redirect that follows the post, so the form
/// may also lead to Microsoft and, where Microsoft shows no page before it answers, to the end of the
/// flow.
fn answer_with_form(
    request: &HttpRequest,
    state: &AppState,
    view: &LinkView,
    page: Markup,
) -> Result<HttpResponse, Problem> {
    let (_binding, cookie) = flow_cookie::bound(request).map_err(Problem::internal)?;
    let mut answer = HttpResponse::Ok();
    if let Some(cookie) = cookie {
        answer.cookie(cookie);
    }
    let mut allowed = format!("form-action 'self' {}", state.consent()?.authority());
    if let Some(url) = &view.return_url {
        allowed.push(' ');
        allowed.push_str(&url.origin().ascii_serialization());
    }
    let policy = html_page::CONTENT_SECURITY_POLICY.replace("form-action 'none'", &allowed);
    let mut answer = html_page::answer(&mut answer, page);
    let policy = header::HeaderValue::from_str(&policy).map_err(Problem::internal)?;
    answer
        .headers_mut()
        .insert(header::CONTENT_SECURITY_POLICY, policy);
    Ok(answer)
}

fn token_of(request: &HttpRequest) -> &str {
    request.match_info().get("token").unwrap_or_default()
}

fn address(state: &AppState, token: &str) -> String {
    format!("{}/connect/{token}", state.public_url())
}

fn wants_details(request: &HttpRequest) -> bool {
    form_urlencoded::parse(request.query_string().as_bytes())
        .any(|(name, _value)| name == "details")
}

fn parsed(url: &str) -> Option<Url> {
    url.parse().ok()
}

/// A failure as a page: only people come here.
fn page_of(error: ConsentError) -> Problem {
    let problem = match error {
        ConsentError::LinkUnknown => Problem::new(&catalogue::NOT_FOUND)
            .detail("There is no such link. Check that it was copied whole, or ask whoever sent it for a new one."),
        other @ (ConsentError::CustomerRequired { .. }
        | ConsentError::CustomerNotFound
        | ConsentError::ReturnUrlNotAllowed(_)
        | ConsentError::Refused(_)
        | ConsentError::TenantAlreadyConnected { .. }
        | ConsentError::InvalidState
        | ConsentError::Rejected(_)
        | ConsentError::Randomness(_)
        | ConsentError::Vault(_)
        | ConsentError::Store(_)) => Problem::from(other),
    };
    problem.into_page()
}
