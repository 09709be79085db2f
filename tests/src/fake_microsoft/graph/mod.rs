//! Microsoft Graph v1.0, as far as the data sets need it.

mod answer;
mod batch;
mod call;
mod delta;
mod delta_changes;
mod delta_round;
mod filter;
mod groups;
mod listing;
mod mailboxes;
mod me;
mod members;
mod objects;
mod permission;
mod select;
mod simple_lists;
pub mod throttle;
mod tokens;
mod users;

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::HeaderMap,
    web::{self, Bytes, Data},
};
use uuid::Uuid;

use super::{
    directory::ObjectKind,
    faults::{self, Fault, percent_decoded},
    login,
    state::{AccessToken, Cloud, LoggedRequest},
};
use answer::{Answer, Ids};
use batch::Item;
use call::{Call, Headers};

const BATCH: &str = "/v1.0/$batch";

/// Routes of the Graph server.
pub fn routes(config: &mut web::ServiceConfig) {
    config.default_service(web::to(handle));
}

/// A request as it came, on its own or inside a batch.
struct Asked<'a> {
    method: &'a str,
    /// Path and query as sent.
    target: &'a str,
    headers: &'a Headers,
    body: &'a [u8],
}

async fn handle(request: HttpRequest, body: Bytes, cloud: Data<Cloud>) -> HttpResponse {
    let target = request.uri().to_string();
    let headers = lower(request.headers());
    let ids = ids(&cloud, &headers);
    let token = authenticate(&cloud, &headers, &ids);
    let tenant = token.as_ref().ok().map(|token| token.tenant);
    let is_batch = percent_decoded(request.path()) == BATCH && request.method() == "POST";
    let items = if is_batch {
        batch::parse(&body)
    } else {
        Ok(Vec::new())
    };
    let steps: &[Item] = items.as_deref().unwrap_or_default();
    let number = cloud.log_arrival(LoggedRequest {
        server: "graph",
        method: request.method().to_string(),
        path_and_query: target.clone(),
        tenant,
        had_authorization: headers.contains_key("authorization"),
        status: 0,
        at: Instant::now(),
        answered_at: None,
        batch: steps
            .iter()
            .map(|item| format!("{} {}", item.method, item.url))
            .collect(),
        form: None,
    });
    hold_and_delay(&cloud, &target, steps).await;
    let (fault, item_faults) = take_faults(&cloud, &target, steps, tenant);
    let page_fault = fault.clone();
    let answered = async {
        let answer = match (&token, &items) {
            (Err(refused), _) => refused.clone(),
            (Ok(_), Err(message)) => ids.bad_request(message),
            (Ok(token), Ok(items)) if is_batch => batch::answer(items, &ids, |place, item| {
                answer_item(
                    &cloud,
                    token,
                    item,
                    item_faults.get(place).cloned().flatten(),
                )
            }),
            (Ok(token), Ok(_)) => {
                let method = request.method().as_str();
                let asked = Asked {
                    method,
                    target: &target,
                    headers: &headers,
                    body: &body,
                };
                answer_one(&cloud, token, &ids, &asked, page_fault)
            }
        };
        answer.into_response(&ids)
    };
    let response = faults::play(fault, answered).await;
    cloud.log_answer(number, response.status().as_u16());
    response
}

async fn hold_and_delay(cloud: &Cloud, target: &str, steps: &[Item]) {
    cloud.pass_gate(target).await;
    for item in steps {
        cloud.pass_gate(&item.path_and_query()).await;
    }
    let delay = cloud.graph_delay_ms.load(Ordering::Relaxed);
    if delay > 0 {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
}

/// The fault of the request and those of the items in it. An item's fault that hits the connection
/// becomes the request's.
fn take_faults(
    cloud: &Cloud,
    target: &str,
    steps: &[Item],
    tenant: Option<Uuid>,
) -> (Option<Fault>, Vec<Option<Fault>>) {
    let mut whole = cloud.faults.take("graph", target, tenant);
    let take = |item: &Item| cloud.faults.take("graph", &item.path_and_query(), tenant);
    let mut faults: Vec<Option<Fault>> = steps.iter().map(take).collect();
    for fault in &mut faults {
        if whole.is_none() && fault.as_ref().is_some_and(batch::hits_connection) {
            whole = fault.take();
        }
    }
    (whole, faults)
}

fn lower(headers: &HeaderMap) -> Headers {
    let text = |value: &actix_web::http::header::HeaderValue| {
        String::from_utf8_lossy(value.as_bytes()).into_owned()
    };
    let pairs = headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), text(value)));
    pairs.collect()
}

fn ids(cloud: &Cloud, headers: &Headers) -> Ids {
    let request = Uuid::new_v4();
    let client = headers.get("client-request-id").cloned();
    Ids {
        request,
        client: client.unwrap_or_else(|| request.to_string()),
        now: cloud.now_unix(),
    }
}

/// The token of a request: known, in time, and meant for Graph.
fn authenticate(cloud: &Cloud, headers: &Headers, ids: &Ids) -> Result<AccessToken, Answer> {
    let refused = |message: &str| Err(ids.unauthorized(&cloud.login_origin, message));
    let bearer = headers
        .get("authorization")
        .map(String::as_str)
        .unwrap_or_default();
    let text = match bearer.split_once(' ') {
        Some((scheme, text)) if scheme.eq_ignore_ascii_case("bearer") => text.trim(),
        _ => return refused("Access token is empty."),
    };
    let known = cloud
        .access_tokens
        .lock()
        .expect("access tokens")
        .get(text)
        .cloned();
    let Some(token) = known else {
        return refused("CompactToken parsing failed with error code: 80049217");
    };
    if token.audience != login::graph_resource(cloud) {
        return refused("Access token validation failure. Invalid audience.");
    }
    if token.expires_at <= ids.now {
        return refused("Access token has expired or is not yet valid.");
    }
    if cloud.tenant(token.tenant).is_none() {
        return refused("Access token validation failure. Invalid tenant.");
    }
    match login::challenged(cloud, &token) {
        Some(claims) => Err(ids.challenged(&cloud.login_origin, &claims)),
        None => Ok(token),
    }
}

fn answer_item(cloud: &Cloud, token: &AccessToken, item: &Item, fault: Option<Fault>) -> Answer {
    if let Some(answer) = fault.as_ref().and_then(batch::faulty) {
        return answer;
    }
    let headers = item.lower_headers();
    let ids = ids(cloud, &headers);
    let target = item.path_and_query();
    let body = item.body_bytes();
    let asked = Asked {
        method: &item.method,
        target: &target,
        headers: &headers,
        body,
    };
    if target.starts_with(BATCH) {
        return ids.bad_request("A batch cannot hold a batch.");
    }
    answer_one(cloud, token, &ids, &asked, fault)
}

fn answer_one(
    cloud: &Cloud,
    token: &AccessToken,
    ids: &Ids,
    asked: &Asked<'_>,
    fault: Option<Fault>,
) -> Answer {
    let (path, raw_query) = asked.target.split_once('?').unwrap_or((asked.target, ""));
    let Some(path) = path.strip_prefix("/v1.0") else {
        let version = path.split('/').nth(1).unwrap_or_default();
        return ids.error(404, "BadRequest", &format!("Invalid version: {version}"));
    };
    let tenant = cloud.tenant(token.tenant).expect("the token was checked");
    let query = call::pairs(raw_query);
    let decoded: Vec<String> = path.split('/').skip(1).map(percent_decoded).collect();
    let segments: Vec<&str> = decoded.iter().map(String::as_str).collect();
    let call = Call {
        cloud,
        tenant,
        token,
        ids,
        method: asked.method,
        path,
        raw_query,
        query,
        headers: asked.headers,
        body: asked.body,
        fault,
    };
    charged(&call, &segments).unwrap_or_else(|refused| refused)
}

/// Answers a call that the tenant's budget allows.
fn charged(call: &Call<'_>, segments: &[&str]) -> Result<Answer, Answer> {
    let mut units = Vec::new();
    if let Some(cost) = call.cost(segments) {
        units = call.charge(cost)?;
    }
    let mut answer = route(call, segments).unwrap_or_else(|refused| refused);
    answer.headers.append(&mut units);
    Ok(answer)
}

fn route(call: &Call<'_>, segments: &[&str]) -> Result<Answer, Answer> {
    if call.cloud.played().lacks(segments) {
        let segment = segments.last().copied().unwrap_or_default();
        return Err(unknown_segment(call.ids, segment));
    }
    match (call.method, segments) {
        ("POST", ["directoryObjects", "getByIds" | "microsoft.graph.getByIds"]) => {
            return objects::get_by_ids(call);
        }
        (_, ["$batch" | "directoryObjects", ..]) => {
            let message = "Specified HTTP method is not allowed for the request target.";
            return Err(call.ids.error(405, "Request_BadRequest", message));
        }
        ("GET", _) => {}
        // Nobody here holds a permission to write.
        _ => return Err(call.ids.denied()),
    }
    if let ["reports", function] = segments {
        return mailboxes::usage_report(call, function);
    }
    // These two answer in plain text; all others only in JSON.
    match segments {
        ["users", "$count"] => return users::count(call),
        ["groups", "$count"] => return groups::count(call),
        _ => call.require_json_accepted()?,
    }
    match segments {
        ["organization"] => simple_lists::organization(call, None),
        ["organization", id] => simple_lists::organization(call, Some(id)),
        ["users"] => users::list(call),
        ["users", "delta" | "delta()" | "microsoft.graph.delta()"] => {
            delta::changes(call, ObjectKind::User)
        }
        ["users", key] => users::show(call, key),
        ["users", key, "memberOf"] => members::member_of(call, key),
        ["users", key, "mailboxSettings", "userPurpose"] => mailboxes::user_purpose(call, key),
        ["groups"] => groups::list(call),
        ["groups", "delta" | "delta()" | "microsoft.graph.delta()"] => {
            delta::changes(call, ObjectKind::Group)
        }
        ["groups", key] => groups::show(call, key),
        ["groups", key, "members"] => members::list(call, key),
        ["subscribedSkus"] => simple_lists::subscribed_skus(call),
        ["directory", "subscriptions"] => simple_lists::subscriptions(call),
        ["security", "secureScores"] => simple_lists::secure_scores(call),
        ["security", "secureScoreControlProfiles"] => simple_lists::control_profiles(call),
        ["deviceManagement", "managedDevices"] => simple_lists::managed_devices(call),
        ["admin", "reportSettings"] => mailboxes::report_settings(call),
        ["me"] => me::show(call),
        [
            "me",
            "transitiveMemberOf" | "memberOf",
            "microsoft.graph.directoryRole",
        ] => me::directory_roles(call),
        _ => Err(unknown_segment(
            call.ids,
            segments.last().copied().unwrap_or_default(),
        )),
    }
}

fn unknown_segment(ids: &Ids, segment: &str) -> Answer {
    let message = format!("Resource not found for the segment '{segment}'.");
    ids.error(404, "BadRequest", &message)
}
