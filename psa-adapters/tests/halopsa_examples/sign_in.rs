//! Signing in, and the limit.

use serde_json::{Value, json};
use tenantry_psa::{CustomerQuery, ExternalId, PsaAdapter, PsaError};

use crate::{
    example::{Example, opened, signed_in, text_of},
    scripted::{get, post},
};

pub async fn auth_info(example: &Example) {
    let (psa, halo) = opened();
    psa.expect(example.answers(get("/api/authinfo")));
    let said = example.json();
    let mut token = post("/auth/token").host("northgate.halopsa.com");
    token = match text_of(&said["tenant_id"]) {
        Some(tenant) => token.query("tenant", &tenant),
        None => token.no_query("tenant"),
    };
    psa.expect(token.answer(200, json!({"access_token": "example"})));
    psa.expect(get("/api/Client/1").answer(200, Value::Null));
    halo.get_customer(&ExternalId("1".to_owned()))
        .await
        .unwrap();
    psa.finish();
}

pub async fn token(example: &Example) {
    let (psa, halo) = opened();
    psa.expect(get("/api/authinfo").answer(404, json!("")));
    psa.expect(example.answers(post("/auth/token")));
    let bearer = format!(
        "Bearer {}",
        example.json()["access_token"].as_str().unwrap()
    );
    psa.expect(
        get("/api/Client/1")
            .header("authorization", &bearer)
            .answer(200, Value::Null),
    );
    halo.get_customer(&ExternalId("1".to_owned()))
        .await
        .unwrap();
    psa.finish();
}

pub async fn refused_token(example: &Example) {
    let (psa, halo) = opened();
    psa.expect(get("/api/authinfo").answer(404, json!("")));
    psa.expect(example.answers(post("/auth/token")));
    let error = halo
        .get_customer(&ExternalId("1".to_owned()))
        .await
        .unwrap_err();
    let code = example.json()["error"].as_str().unwrap().to_owned();
    assert!(matches!(error, PsaError::Auth { what } if what.contains(&code)));
}

pub async fn rate_limited(example: &Example) {
    let (psa, halo) = signed_in();
    psa.expect(example.answers(get("/api/Client")));
    let error = halo
        .list_customers(&CustomerQuery::default(), None)
        .await
        .unwrap_err();
    assert!(matches!(
        error,
        PsaError::RateLimited { retry_after: Some(wait) } if wait >= 30
    ));
    let text = String::from_utf8(example.body.clone()).unwrap();
    let numbers: Vec<u32> = text
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|word| word.parse().ok())
        .collect();
    let learnt = psa.limits().pop().unwrap().windows.remove(0);
    assert!(learnt.calls < numbers[0] && learnt.calls > numbers[0] / 2);
    assert_eq!(learnt.seconds, numbers[1] * 60);
}
