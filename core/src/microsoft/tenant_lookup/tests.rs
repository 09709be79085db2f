//! Hints and metadata, good and bad.

use super::*;
use crate::{
    outbound::Limits,
    scripted_server::{Answer, ScriptedServer},
};

const TENANT: &str = "0b8f1a52-6a5e-4b0e-8f6e-0d7a5f3b9c11";

fn profile(cloud: MicrosoftCloud) -> CloudProfile {
    CloudProfile::new(cloud, None, None).unwrap()
}

fn document(issuer: &str, sub_scope: Option<&str>) -> Vec<u8> {
    serde_json::json!({
        "issuer": issuer,
        "token_endpoint": issuer.replace("/v2.0", "/oauth2/v2.0/token"),
        "tenant_region_scope": "EU",
        "tenant_region_sub_scope": sub_scope,
        "new": [1],
    })
    .to_string()
    .into_bytes()
}

#[test]
fn domains_and_ids_are_read_strictly() {
    for (text, domain) in [
        ("contoso.com", "contoso.com"),
        (" Contoso.OnMicrosoft.com ", "contoso.onmicrosoft.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("a-b.c1.example", "a-b.c1.example"),
    ] {
        assert_eq!(
            TenantHint::parse(text),
            Ok(TenantHint::Domain(domain.to_owned())),
            "{text}"
        );
    }
    let id = TenantHint::Id(TENANT.parse().unwrap());
    assert_eq!(TenantHint::parse(&TENANT.to_uppercase()), Ok(id));
}

#[test]
fn j6_what_could_change_the_path_is_no_tenant() {
    let long_label = format!("{}.example", "a".repeat(64));
    let long_name = format!("{}example", "a.".repeat(130));
    for text in [
        "",
        " ",
        "contoso",
        "common",
        "organizations",
        "consumers",
        "contoso.com/x",
        "../x.y",
        "a..b",
        ".contoso.com",
        "contoso.com.",
        "contoso.com?x=1",
        "contoso.com#x",
        "con toso.com",
        "contoso.com\r\nx",
        "%2e%2e.example",
        "contoso%2ecom",
        "user@contoso.com",
        "https://contoso.com",
        "contoso.com:443",
        "127.0.0.1",
        "0x7f.1",
        "[::1]",
        "-a.example",
        "a-.example",
        "a_b.example",
        "xn--.example",
        "{tenantid}",
        "00000000-0000-0000-0000-000000000000",
        "0b8f1a526a5e4b0e8f6e0d7a5f3b9c11",
        "{0b8f1a52-6a5e-4b0e-8f6e-0d7a5f3b9c11}",
        &long_label,
        &long_name,
    ] {
        assert_eq!(TenantHint::parse(text), Err(InvalidHint), "{text}");
    }
}

#[test]
fn a_tenants_metadata_gives_its_id() {
    let profile = profile(MicrosoftCloud::Global);
    let hint = TenantHint::parse("contoso.example").unwrap();
    let body = document(
        &format!("https://login.microsoftonline.com/{TENANT}/v2.0"),
        None,
    );
    let found = read_metadata(&body, &hint, &profile).unwrap();
    assert_eq!(found.tenant_id.to_string(), TENANT);
    assert_eq!(found.domain.as_deref(), Some("contoso.example"));
    assert_eq!(found.region_scope.as_deref(), Some("EU"));
    assert_eq!(found.region_sub_scope, None);
}

#[test]
fn an_overridden_authority_is_the_expected_issuer() {
    let profile =
        CloudProfile::new(MicrosoftCloud::Global, Some("http://127.0.0.1:9"), None).unwrap();
    let hint = TenantHint::parse("contoso.example").unwrap();
    let own = document(&format!("http://127.0.0.1:9/{TENANT}/v2.0"), None);
    assert!(read_metadata(&own, &hint, &profile).is_ok());
    let microsofts = document(
        &format!("https://login.microsoftonline.com/{TENANT}/v2.0"),
        None,
    );
    assert!(matches!(
        read_metadata(&microsofts, &hint, &profile),
        Err(LookupError::UnexpectedAnswer(_))
    ));
}

#[test]
fn metadata_that_fits_no_single_tenant_is_refused() {
    let profile = profile(MicrosoftCloud::Global);
    let hint = TenantHint::parse("contoso.example").unwrap();
    for issuer in [
        "https://login.microsoftonline.com/{tenantid}/v2.0".to_owned(),
        format!("https://login.microsoftonline.com/{TENANT}/v1.0"),
        format!("https://login.microsoftonline.com/{TENANT}/v2.0/"),
        format!("https://login.microsoftonline.com.example/{TENANT}/v2.0"),
        format!("https://evil.example/{TENANT}/v2.0"),
        String::new(),
    ] {
        let read = read_metadata(&document(&issuer, None), &hint, &profile);
        assert!(
            matches!(read, Err(LookupError::UnexpectedAnswer(_))),
            "{issuer}"
        );
    }
    let other = TenantHint::parse("7c0a9f3e-1111-4222-8333-444455556666").unwrap();
    let body = document(
        &format!("https://login.microsoftonline.com/{TENANT}/v2.0"),
        None,
    );
    assert!(matches!(
        read_metadata(&body, &other, &profile),
        Err(LookupError::UnexpectedAnswer(_))
    ));
    assert!(matches!(
        read_metadata(b"<html>", &hint, &profile),
        Err(LookupError::UnexpectedAnswer(_))
    ));
    let consumers = document(
        &format!("https://login.microsoftonline.com/{CONSUMER_TENANT}/v2.0"),
        None,
    );
    assert!(matches!(
        read_metadata(&consumers, &hint, &profile),
        Err(LookupError::PersonalAccounts)
    ));
}

#[test]
fn g8_a_tenant_of_another_cloud_is_told_by_its_hosts() {
    let hint = TenantHint::parse("contoso.example").unwrap();
    for (cloud, host, actual) in [
        (
            MicrosoftCloud::Global,
            "login.microsoftonline.us",
            MicrosoftCloud::UsGov,
        ),
        (
            MicrosoftCloud::Global,
            "login.partner.microsoftonline.cn",
            MicrosoftCloud::China,
        ),
        (
            MicrosoftCloud::UsGov,
            "login.microsoftonline.com",
            MicrosoftCloud::Global,
        ),
        (
            MicrosoftCloud::UsGovDod,
            "login.chinacloudapi.cn",
            MicrosoftCloud::China,
        ),
        (
            MicrosoftCloud::China,
            "login.microsoftonline.us",
            MicrosoftCloud::UsGov,
        ),
    ] {
        let body = document(&format!("https://{host}/{TENANT}/v2.0"), None);
        let read = read_metadata(&body, &hint, &profile(cloud));
        assert!(
            matches!(read, Err(LookupError::WrongCloud { actual: Some(found), .. }) if found == actual),
            "{cloud} {host}"
        );
    }
}

#[test]
fn g8_the_two_us_government_clouds_are_told_apart_by_sub_scope() {
    let hint = TenantHint::parse("contoso.example").unwrap();
    for cloud in MicrosoftCloud::ALL {
        for (sub_scope, home) in [
            (None, None),
            (Some("somethingNew"), None),
            (Some("GCC"), Some(MicrosoftCloud::Global)),
            (Some("DODCON"), Some(MicrosoftCloud::UsGov)),
            (Some("DOD"), Some(MicrosoftCloud::UsGovDod)),
        ] {
            let profile = profile(cloud);
            let body = document(&format!("{}/{TENANT}/v2.0", profile.authority()), sub_scope);
            let fits = home.is_none_or(|home| home == cloud);
            assert_eq!(
                read_metadata(&body, &hint, &profile).is_ok(),
                fits,
                "{cloud} {sub_scope:?}"
            );
        }
    }
}

#[test]
fn microsofts_refusals_are_typed() {
    let refused = |status, number: u32| {
        let body = format!(r#"{{"error":"invalid_request","error_codes":[{number}]}}"#);
        refusal(MicrosoftError::from_answer(status, body.as_bytes()))
    };
    assert!(matches!(refused(400, 90002), LookupError::NotFound(_)));
    assert!(matches!(refused(400, 900_023), LookupError::Invalid(_)));
    for number in [90038, 900_432, 900_382] {
        assert!(matches!(
            refused(400, number),
            LookupError::WrongCloud {
                source: Some(_),
                ..
            }
        ));
    }
    assert!(matches!(
        refused(400, 90033),
        LookupError::Unavailable(None)
    ));
    assert!(matches!(
        refusal(MicrosoftError::from_answer(503, b"")),
        LookupError::Unavailable(None)
    ));
    assert!(matches!(refused(400, 9_002_313), LookupError::Refused(_)));
}

async fn looked_up(
    answer: Answer,
    hint: &str,
) -> (Result<ResolvedTenant, LookupError>, Vec<String>) {
    let server = ScriptedServer::start(move |_seen, _before| answer.clone()).await;
    let profile = CloudProfile::new(MicrosoftCloud::Global, Some(&server.origin), None).unwrap();
    let http = Outbound::new(Limits::default()).unwrap();
    let found = resolve(&TenantHint::parse(hint).unwrap(), &profile, &http).await;
    (
        found,
        server.seen().into_iter().map(|seen| seen.target).collect(),
    )
}

#[tokio::test]
async fn a_lookup_asks_for_the_metadata_of_what_was_typed() {
    let unknown = serde_json::json!({"error": "invalid_tenant", "error_codes": [90002]});
    let (found, asked) = looked_up(Answer::json(400, unknown), "Bücher.example").await;
    assert!(matches!(found, Err(LookupError::NotFound(_))));
    assert_eq!(
        asked,
        ["/xn--bcher-kva.example/v2.0/.well-known/openid-configuration"]
    );
    let (found, _asked) = looked_up(Answer::json(200, "<html>"), "a.example").await;
    assert!(matches!(found, Err(LookupError::UnexpectedAnswer(_))));
    let (found, _asked) = looked_up(Answer::HangUp, "a.example").await;
    assert!(matches!(found, Err(LookupError::Unavailable(Some(_)))));
    let redirect = Answer::json(302, "").with("location", "https://evil.example/");
    let (found, asked) = looked_up(redirect, "a.example").await;
    assert!(matches!(found, Err(LookupError::Refused(_))));
    assert_eq!(asked.len(), 1);
}

#[tokio::test]
async fn c5_the_tenant_of_personal_accounts_is_not_even_asked_about() {
    let (found, asked) = looked_up(Answer::HangUp, &CONSUMER_TENANT.to_string()).await;
    assert!(matches!(found, Err(LookupError::PersonalAccounts)));
    assert!(asked.is_empty());
}
