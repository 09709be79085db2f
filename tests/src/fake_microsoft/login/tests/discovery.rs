//! Metadata and keys.

use serde_json::json;

use super::*;
use crate::fake_microsoft::{
    login::{Endpoint, SigningKey, roll_keys, script_error},
    national::NationalCloud,
};

const METADATA: &str = "v2.0/.well-known/openid-configuration";

#[tokio::test]
async fn a_tenant_is_found_by_id_and_by_any_domain_in_any_case() {
    let world = World::new(Decision::Accept);
    let id = world.tid();
    for segment in [
        id.clone(),
        id.to_uppercase(),
        "contoso.example".into(),
        "CONTOSO.Example".into(),
    ] {
        let (status, document) = world.json(&format!("{segment}/{METADATA}")).await;
        assert_eq!(status, 200);
        let origin = &world.cloud.login_origin;
        assert_eq!(document["issuer"], json!(format!("{origin}/{id}/v2.0")));
        assert_eq!(
            document["token_endpoint"],
            json!(format!("{origin}/{id}/oauth2/v2.0/token"))
        );
        assert_eq!(
            document["jwks_uri"],
            json!(format!("{origin}/{id}/discovery/v2.0/keys"))
        );
        assert_eq!(
            document["tenant_region_scope"],
            json!(world.tenant.region_scope)
        );
        for required in [
            "authorization_endpoint",
            "response_types_supported",
            "subject_types_supported",
            "id_token_signing_alg_values_supported",
        ] {
            assert!(!document[required].is_null(), "{required}");
        }
    }
}

#[tokio::test]
async fn generic_documents_have_the_issuer_template_and_no_region() {
    let world = World::new(Decision::Accept);
    let origin = world.cloud.login_origin.clone();
    for segment in ["organizations", "common"] {
        let (_, document) = world.json(&format!("{segment}/{METADATA}")).await;
        assert_eq!(
            document["issuer"],
            json!(format!("{origin}/{{tenantid}}/v2.0"))
        );
        assert!(document["tenant_region_scope"].is_null());
    }
}

#[tokio::test]
async fn unknown_and_malformed_tenants_are_told_apart() {
    let world = World::new(Decision::Accept);
    for unknown in ["nosuch.example", "00000000-1111-4222-8333-444444444444"] {
        let answer = world.json(&format!("{unknown}/{METADATA}")).await;
        assert_refused(&answer, 400, "invalid_tenant", 90_002);
        assert!(
            answer.1["error_uri"]
                .as_str()
                .unwrap()
                .ends_with("/error?code=90002")
        );
    }
    for malformed in [
        "nodots",
        "two..dots.example",
        "sp%20ace.example",
        "%7Bbrace%7D",
        "a%2Fb.example",
    ] {
        let answer = world.json(&format!("{malformed}/{METADATA}")).await;
        assert_refused(&answer, 400, "invalid_request", 900_023);
    }
}

#[tokio::test]
async fn a_tenant_of_another_cloud_is_answered_as_scripted() {
    let world = World::new(Decision::Accept);
    script_error(
        &world.cloud,
        Endpoint::Discovery,
        Some("agency.example"),
        90_038,
        1,
    );
    let answer = world.json(&format!("agency.example/{METADATA}")).await;
    assert_refused(&answer, 400, "invalid_request", 90_038);
    let answer = world.json(&format!("agency.example/{METADATA}")).await;
    assert_refused(&answer, 400, "invalid_tenant", 90_002);
}

#[tokio::test]
async fn key_documents_say_whose_tokens_each_key_may_sign() {
    let world = World::new(Decision::Accept);
    let (_, common) = world.json("organizations/discovery/v2.0/keys").await;
    let issuers: Vec<&str> = common["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["issuer"].as_str().unwrap())
        .collect();
    assert_eq!(issuers.len(), 3);
    assert!(issuers[0].ends_with("/{tenantid}/v2.0") && issuers[1].ends_with("/{tenantid}/v2.0"));
    assert!(issuers[2].ends_with("/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"));

    let (_, own) = world
        .json(&format!("{}/discovery/v2.0/keys", world.tid()))
        .await;
    let own = own["keys"].as_array().unwrap();
    assert_eq!(own.len(), 2);
    assert!(
        own.iter()
            .all(|key| key["kid"] != json!(SigningKey::Consumer.kid()))
    );
    for key in own {
        assert_eq!(key["kid"], key["x5t"]);
        assert_eq!(
            (&key["kty"], &key["use"], &key["e"]),
            (&json!("RSA"), &json!("sig"), &json!("AQAB"))
        );
        assert!(key["x5c"][0].as_str().unwrap().starts_with("MII"));
    }
}

#[tokio::test]
async fn rolled_keys_bring_a_new_kid_and_keep_the_last_one() {
    let world = World::new(Decision::Accept);
    let path = format!("{}/discovery/v2.0/keys", world.tid());
    let kids = |document: &Value| -> Vec<String> {
        let keys = document["keys"].as_array().unwrap();
        keys.iter()
            .map(|key| key["kid"].as_str().unwrap().to_owned())
            .collect()
    };
    let before = kids(&world.json(&path).await.1);
    roll_keys(&world.cloud);
    let after = kids(&world.json(&path).await.1);
    assert!(!before.contains(&after[0]));
    assert_eq!(after[1], before[0]);
}

#[tokio::test]
async fn g8_each_cloud_names_itself_and_the_regions_of_its_tenants() {
    for (cloud, graph, instance, region) in [
        (
            NationalCloud::Global,
            "graph.microsoft.com",
            "microsoftonline.com",
            json!(["EU", null]),
        ),
        (
            NationalCloud::UsGov,
            "graph.microsoft.us",
            "microsoftonline.us",
            json!(["USGov", "DODCON"]),
        ),
        (
            NationalCloud::UsGovDod,
            "dod-graph.microsoft.us",
            "microsoftonline.us",
            json!(["USGov", "DOD"]),
        ),
        (
            NationalCloud::China,
            "microsoftgraph.chinacloudapi.cn",
            "partner.microsoftonline.cn",
            json!(["EU", null]),
        ),
    ] {
        let world = World::new(Decision::Accept);
        world.cloud.play(cloud);
        let (_, document) = world.json(&format!("contoso.example/{METADATA}")).await;
        assert_eq!(document["msgraph_host"], graph);
        assert_eq!(document["cloud_instance_name"], instance);
        let told = json!([
            document["tenant_region_scope"],
            document["tenant_region_sub_scope"]
        ]);
        assert_eq!(told, region, "{cloud:?}");
        let origin = &world.cloud.login_origin;
        assert_eq!(
            document["issuer"],
            json!(format!("{origin}/{}/v2.0", world.tid()))
        );
        world.code(&[("scope", "openid User.Read")]).await;
        world
            .code(&[("scope", &format!("openid https://{graph}/User.Read"))])
            .await;
    }
}

#[tokio::test]
async fn g8_a_tenant_of_another_login_is_told_by_its_hosts_and_refused_everywhere_else() {
    let world = World::new(Decision::Accept);
    let tid = world.tid();
    let move_to = |home| world.cloud.move_tenant(world.tenant.id, home);
    move_to(NationalCloud::China);
    let (status, document) = world.json(&format!("contoso.example/{METADATA}")).await;
    assert_eq!(status, 200);
    let issuer = format!("https://login.partner.microsoftonline.cn/{tid}/v2.0");
    assert_eq!(document["issuer"], issuer);
    assert!(
        document["token_endpoint"]
            .as_str()
            .unwrap()
            .starts_with("https://login.partner.")
    );
    for url in [world.authorize(&tid, &[]), world.consent(&tid, &[])] {
        let body = world.get(&url).await.text().await.unwrap();
        assert!(body.contains("AADSTS90038: "), "{body}");
    }
    assert_refused(
        &world.app_only(&tid, &[]).await,
        400,
        "invalid_request",
        90_038,
    );

    // The two US Government clouds share their login: only the region tells.
    world.cloud.play(NationalCloud::UsGov);
    move_to(NationalCloud::UsGovDod);
    let (_, document) = world.json(&format!("contoso.example/{METADATA}")).await;
    assert_eq!(document["tenant_region_sub_scope"], "DOD");
    let origin = &world.cloud.login_origin;
    assert_eq!(document["issuer"], json!(format!("{origin}/{tid}/v2.0")));
}
