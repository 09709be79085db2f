//! Example bodies, read by the code that meets them.
//!
//! The project's own fixtures always run. When `TENANTRY_EXAMPLES` names a folder, its files of the
//! same names are read as well. Nothing here depends on the values, only on the shapes.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::microsoft::{
    aadsts::MicrosoftError,
    cloud::{CloudProfile, MicrosoftCloud},
    consent_doctor::{DiagnosisCode, diagnose},
    graph_batch::Responses,
    graph_error::GraphError,
    graph_url::GraphUrl,
    page::{Page, read_object},
    retry_after,
    signing_keys::KeySet,
    tenant_lookup::{LookupError, TenantHint, read_metadata},
    token_answer::TokenAnswer,
};

/// A file of every folder of examples there is, with the folder's name for messages.
pub(crate) fn texts(name: &str) -> Vec<(String, String)> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/graph");
    let mut folders = vec![own];
    match std::env::var_os("TENANTRY_EXAMPLES") {
        Some(folder) => folders.push(PathBuf::from(folder)),
        None => println!("TENANTRY_EXAMPLES is not set: only the project's own {name} is read"),
    }
    let read = |folder: PathBuf| {
        let text = fs::read_to_string(folder.join(name)).expect("the folder has this example");
        (folder.display().to_string(), text)
    };
    folders.into_iter().map(read).collect()
}

fn profile() -> CloudProfile {
    CloudProfile::new(MicrosoftCloud::Global, None, None).unwrap()
}

#[test]
fn token_answers_are_read() {
    for (folder, json) in texts("token.clientCredentials.json") {
        let answer: TokenAnswer = serde_json::from_str(&json).unwrap();
        assert!(
            answer.expires_in.is_some() && answer.id_token.is_none(),
            "{folder}"
        );
    }
    for (folder, json) in texts("token.authorizationCode.json") {
        let answer: TokenAnswer = serde_json::from_str(&json).unwrap();
        assert!(
            answer.id_token.is_some() && answer.refresh_token.is_some(),
            "{folder}"
        );
        assert!(answer.scopes.unwrap().len() > 1, "{folder}");
    }
}

#[test]
fn identity_errors_are_read_and_explained() {
    for (name, error, number, code) in [
        (
            "token.error.invalid_scope.json",
            "invalid_scope",
            70011,
            DiagnosisCode::RequestRejected,
        ),
        (
            "token.error.invalid_client.7000215.json",
            "invalid_client",
            7_000_215,
            DiagnosisCode::OwnCredentialRejected,
        ),
        (
            "token.error.invalid_grant.700082.json",
            "invalid_grant",
            700_082,
            DiagnosisCode::SignInExpired,
        ),
        (
            "token.error.unauthorized_client.700016.json",
            "unauthorized_client",
            700_016,
            DiagnosisCode::AppNotConsented,
        ),
        (
            "openid-configuration.error.unknownTenant.json",
            "invalid_tenant",
            90002,
            DiagnosisCode::TenantNotFound,
        ),
    ] {
        for (folder, json) in texts(name) {
            let read = MicrosoftError::from_answer(400, json.as_bytes());
            assert_eq!(
                (read.error.as_str(), read.aadsts),
                (error, Some(number)),
                "{folder} {name}"
            );
            assert!(
                read.trace_id.is_some() && read.correlation_id.is_some(),
                "{folder} {name}"
            );
            assert!(
                read.timestamp
                    .as_deref()
                    .is_some_and(|time| time.ends_with('Z'))
            );
            assert_eq!(diagnose(&read).code, code, "{folder} {name}");
        }
    }
}

#[test]
fn c16_consent_redirects_are_told_apart_by_their_error_alone() {
    for (folder, json) in texts("adminconsent.redirects.json") {
        let cases: Vec<Value> = serde_json::from_str(&json).unwrap();
        assert_eq!(cases.len(), 5, "{folder}");
        for case in cases {
            let query = case["query"].as_str().unwrap();
            let field = |wanted: &str| {
                url::form_urlencoded::parse(query.as_bytes())
                    .find(|(name, _value)| name == wanted)
                    .map(|(_name, value)| value.into_owned())
            };
            let Some(error) = field("error") else {
                assert!(
                    case["case"].as_str().unwrap().contains("approved"),
                    "{case}"
                );
                continue;
            };
            let (description, subcode) = (field("error_description"), field("error_subcode"));
            let read =
                MicrosoftError::from_redirect(&error, description.as_deref(), subcode.as_deref());
            assert_eq!(
                diagnose(&read).code,
                DiagnosisCode::ConsentDeclined,
                "{case}"
            );
            if query.contains("AADSTS") {
                assert_eq!(read.aadsts, Some(65004), "{case}");
                assert!(
                    read.trace_id.is_some() && read.timestamp.is_some(),
                    "{case}"
                );
            }
        }
    }
}

#[test]
fn metadata_of_a_tenant_is_read_and_that_of_no_tenant_is_not() {
    let hint = TenantHint::parse("contoso.example").unwrap();
    for (folder, json) in texts("openid-configuration.tenant.json") {
        let found = read_metadata(json.as_bytes(), &hint, &profile()).unwrap();
        assert!(json.contains(&found.tenant_id.to_string()), "{folder}");
        assert!(found.region_scope.is_some(), "{folder}");
    }
    for (folder, json) in texts("openid-configuration.organizations.json") {
        let read = read_metadata(json.as_bytes(), &hint, &profile());
        assert!(
            matches!(read, Err(LookupError::UnexpectedAnswer(_))),
            "{folder}"
        );
    }
}

#[test]
fn signing_keys_are_read() {
    for (folder, json) in texts("jwks.common.json") {
        assert!(
            KeySet::read(json.as_bytes()).is_some_and(|keys| keys.len() >= 2),
            "{folder}"
        );
    }
}

#[test]
fn pages_are_read_and_their_links_lead_to_graph() {
    for (name, is_delta_end) in [
        ("organization.json", false),
        ("users.page1.json", false),
        ("users.page2.json", false),
        ("users.delta.json", false),
        ("users.delta.final.json", true),
        ("groups.page1.json", false),
        ("groups.members.json", false),
        ("groups.delta.json", false),
        ("groups.delta.changes.json", true),
        ("subscribedSkus.json", false),
        ("secureScores.json", false),
        ("managedDevices.json", false),
    ] {
        for (folder, json) in texts(name) {
            let page: Page<'_, Value> = Page::read(json.as_bytes()).unwrap();
            assert!(
                page.value.iter().all(|item| item["id"].is_string()),
                "{folder} {name}"
            );
            assert!(!page.value.is_empty(), "{folder} {name}");
            assert_eq!(
                page.next_link.is_some(),
                json.contains("nextLink"),
                "{folder} {name}"
            );
            assert_eq!(page.delta_link.is_some(), is_delta_end, "{folder} {name}");
            for link in page.next_link.iter().chain(&page.delta_link) {
                let url = GraphUrl::of_link(link, &profile()).unwrap();
                assert_eq!(url.url().as_str(), link, "{folder} {name}");
                assert_eq!(url.is_delta_link(), is_delta_end, "{folder} {name}");
            }
        }
    }
}

#[test]
fn single_objects_are_read() {
    for (folder, json) in texts("reportSettings.json") {
        let settings: Value = read_object(json.as_bytes()).unwrap();
        assert!(settings["displayConcealedNames"].is_boolean(), "{folder}");
    }
    for (folder, json) in texts("mailboxSettings.userPurpose.json") {
        let purpose: Value = read_object(json.as_bytes()).unwrap();
        assert!(purpose["value"].is_string(), "{folder}");
    }
}

#[test]
fn batches_are_matched_by_id() {
    for ((folder, request), (_folder, response)) in texts("batch.request.json")
        .into_iter()
        .zip(texts("batch.response.json"))
    {
        let request: Value = serde_json::from_str(&request).unwrap();
        let response: Responses<'_> = serde_json::from_str(&response).unwrap();
        let mut asked: Vec<&str> = request["requests"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["id"].as_str().unwrap())
            .collect();
        let mut answered: Vec<&str> = response
            .responses
            .iter()
            .map(|one| one.id.as_str())
            .collect();
        assert_ne!(asked, answered, "{folder}: out of order on purpose");
        asked.sort_unstable();
        answered.sort_unstable();
        assert_eq!(asked, answered, "{folder}");
        assert!(
            response.responses.iter().any(|one| one.status == 403),
            "{folder}"
        );
    }
}

#[test]
fn graph_errors_are_read() {
    let read = |name: &str, status: u16| -> Vec<GraphError> {
        let bodies = texts(name).into_iter();
        bodies
            .map(|(_folder, json)| GraphError::from_answer(status, json.as_bytes(), false))
            .collect()
    };
    for error in read("error.401.invalidAuthenticationToken.json", 401) {
        assert!(matches!(error, GraphError::Unauthorized(refusal) if refusal.request_id.is_some()));
    }
    for error in read("error.403.authorizationRequestDenied.json", 403) {
        assert!(
            matches!(error, GraphError::AccessDenied(refusal) if refusal.code == "Authorization_RequestDenied")
        );
    }
    for error in read("error.400.intuneNotApplicable.json", 400) {
        assert!(matches!(error, GraphError::NotApplicable(_)));
    }
    for error in read("error.429.json", 429) {
        assert!(matches!(error, GraphError::Refused(refusal) if refusal.code == "TooManyRequests"));
    }
    for (folder, json) in texts("error.429.headers.json") {
        let headers: Value = serde_json::from_str(&json).unwrap();
        let wait = retry_after::parse(
            headers["Retry-After"].as_str(),
            None,
            chrono::DateTime::UNIX_EPOCH,
        );
        assert!(
            wait.is_some_and(|wait| wait > retry_after::SHORTEST),
            "{folder}"
        );
        assert!(
            headers["x-ms-throttle-scope"]
                .as_str()
                .unwrap()
                .starts_with("Tenant_Application/")
        );
    }
}
