//! The hooks by which tests attack a client.

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::json;

use super::*;
use crate::fake_microsoft::login::{
    ForgeKey, Forgery, SigningKey, set_id_token_forge, set_token_answer_forge,
};

async fn id_token(world: &World) -> String {
    let code = world.code(&[]).await;
    let (_, answer) = world.redeem(&world.tid(), &code, &[]).await;
    answer["id_token"].as_str().unwrap().to_owned()
}

/// Whether the current published key verifies a token.
async fn verifies(world: &World, token: &str) -> bool {
    let (_, keys) = world
        .json(&format!("{}/discovery/v2.0/keys", world.tid()))
        .await;
    let key = &keys["keys"][0];
    let (n, e) = (key["n"].as_str().unwrap(), key["e"].as_str().unwrap());
    let mut checks = Validation::new(Algorithm::RS256);
    checks.set_audience(&[APP]);
    decode::<Value>(
        token,
        &DecodingKey::from_rsa_components(n, e).unwrap(),
        &checks,
    )
    .is_ok()
}

#[tokio::test]
async fn only_the_next_id_token_is_forged() {
    let world = World::new(Decision::Accept);
    set_id_token_forge(&world.cloud, |token| {
        token.claims["tid"] = json!("elsewhere")
    });
    assert_eq!(claims(&id_token(&world).await)["tid"], "elsewhere");
    assert_eq!(claims(&id_token(&world).await)["tid"], world.tid());
}

#[tokio::test]
async fn forged_signatures_do_not_verify_and_genuine_ones_do() {
    let world = World::new(Decision::Accept);
    assert!(verifies(&world, &id_token(&world).await).await);
    let forges: [fn(&mut Forgery); 6] = [
        |token| token.key = ForgeKey::Broken,
        |token| token.key = ForgeKey::Rsa(SigningKey::Unpublished),
        |token| token.key = ForgeKey::Rsa(SigningKey::Consumer),
        |token| token.key = ForgeKey::Rsa(SigningKey::Older),
        |token| {
            token.header = json!({"alg": "none"});
            token.key = ForgeKey::None;
        },
        |token| {
            token.header["alg"] = json!("HS256");
            token.key = ForgeKey::HmacWithPublicKey;
        },
    ];
    for forge in forges {
        set_id_token_forge(&world.cloud, forge);
        let token = id_token(&world).await;
        assert!(!verifies(&world, &token).await, "{token}");
    }
}

#[tokio::test]
async fn claims_can_be_written_that_json_libraries_cannot_express() {
    let world = World::new(Decision::Accept);
    set_id_token_forge(&world.cloud, |token| {
        let text = token.claims.to_string();
        token.claims_text = Some(text.replacen('{', "{\"tid\":\"first\",", 1));
    });
    let token = id_token(&world).await;
    let payload = URL_SAFE_NO_PAD
        .decode(token.split('.').nth(1).unwrap())
        .unwrap();
    let payload = String::from_utf8(payload).unwrap();
    assert_eq!(payload.matches("\"tid\":").count(), 2, "{payload}");
}

#[tokio::test]
async fn the_next_token_answer_can_be_changed() {
    let world = World::new(Decision::Accept);
    set_token_answer_forge(&world.cloud, |answer| answer["token_type"] = json!("mac"));
    let code = world.code(&[]).await;
    let (_, answer) = world.redeem(&world.tid(), &code, &[]).await;
    assert_eq!(answer["token_type"], "mac");
}
