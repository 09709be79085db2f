//! One valid token, and everything that can be wrong with it.

use std::sync::{
    Arc, LazyLock,
    atomic::{AtomicI64, Ordering::Relaxed},
};

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    hmac, rand,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding},
};
use serde_json::json;

use super::*;
use crate::{
    microsoft::cloud::MicrosoftCloud,
    outbound::Limits,
    scripted_server::{Answer, ScriptedServer},
};

const TENANT: &str = "3d2c1b0a-9f8e-4d7c-8b6a-5f4e3d2c1b0a";
const OTHER_TENANT: &str = "11111111-2222-4333-8444-555555555555";
const CLIENT: &str = "7b1f6f4e-0d5c-4f0c-9a55-2d9d2f1c7e10";
const NONCE: &str = "n-0S6_WzA2Mj-fresh";
const NOW: i64 = 1_780_000_000;

/// Three keys: ours, one of the consumer tenant, one that nobody published.
struct Keys {
    own: KeyPair,
    consumer: KeyPair,
    stranger: KeyPair,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let generate = || KeyPair::generate(KeySize::Rsa2048).unwrap();
    Keys {
        own: generate(),
        consumer: generate(),
        stranger: generate(),
    }
});

fn tenant() -> TenantId {
    TENANT.parse().unwrap()
}

fn issuer() -> String {
    CloudProfile::new(MicrosoftCloud::Global, None, None)
        .unwrap()
        .issuer(tenant())
}

fn jwk(key: &KeyPair, kid: &str, issuer: Option<&str>) -> Value {
    let public = key.public_key();
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    json!({
        "kty": "RSA", "use": "sig", "kid": kid, "x5t": kid, "issuer": issuer, "x5c": ["MIID"],
        "n": encode(public.modulus().big_endian_without_leading_zero()),
        "e": encode(public.exponent().big_endian_without_leading_zero()),
    })
}

fn key_set(keys: &[Value]) -> KeySet {
    KeySet::read(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

/// As a tenant's document may look: templates, the consumer tenant's key, and entries to skip.
fn published() -> KeySet {
    key_set(&[
        json!({"kty": "EC", "kid": "own", "crv": "P-256"}),
        json!("no key"),
        jwk(
            &KEYS.own,
            "own",
            Some("https://login.microsoftonline.com/{tenantid}/v2.0"),
        ),
        jwk(
            &KEYS.consumer,
            "consumer",
            Some("https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"),
        ),
    ])
}

fn header() -> Value {
    json!({"typ": "JWT", "alg": "RS256", "kid": "own"})
}

fn claims() -> Value {
    json!({
        "aud": CLIENT, "iss": issuer(), "iat": NOW - 5, "nbf": NOW - 5, "exp": NOW + 3900,
        "name": "Ada Admin", "nonce": NONCE, "oid": "0c9b8a7d-6e5f-4a3b-8c2d-1e0f9a8b7c6d",
        "preferred_username": "ada@fabrikam.example", "rh": "0.A", "sub": "s-1", "tid": TENANT,
        "uti": "u", "ver": "2.0", "wids": ["62e90394-69f5-4237-9190-012177145e10", 7, "odd"],
    })
}

fn sign_with(
    key: &KeyPair,
    encoding: &'static dyn RsaEncoding,
    header: &str,
    claims: &str,
) -> String {
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(
        encoding,
        &rand::SystemRandom::new(),
        signed.as_bytes(),
        &mut signature,
    )
    .unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A token with a proper signature of our key.
fn signed(header: &Value, claims: &Value) -> String {
    sign_with(
        &KEYS.own,
        &RSA_PKCS1_SHA256,
        &header.to_string(),
        &claims.to_string(),
    )
}

fn with(mut object: Value, name: &str, value: Value) -> Value {
    object[name] = value;
    object
}

fn without(mut object: Value, name: &str) -> Value {
    object.as_object_mut().unwrap().remove(name);
    object
}

fn checked_by(keys: &KeySet, token: &str) -> Result<IdClaims, IdTokenError> {
    let nonce = SecretText::new(NONCE.to_owned());
    let now = DateTime::from_timestamp(NOW, 0).unwrap();
    let expected = Expected {
        client_id: CLIENT,
        tenant: tenant(),
        issuer: issuer(),
        nonce: &nonce,
        now,
    };
    check(token, keys, &expected)
}

fn checked(token: &str) -> Result<IdClaims, IdTokenError> {
    checked_by(&published(), token)
}

#[test]
fn c10_a_proper_token_is_accepted_with_its_claims() {
    let read = checked(&signed(&header(), &claims())).unwrap();
    assert_eq!(read.tid, tenant());
    assert_eq!(read.oid.to_string(), "0c9b8a7d-6e5f-4a3b-8c2d-1e0f9a8b7c6d");
    assert_eq!(
        read.preferred_username.as_deref(),
        Some("ada@fabrikam.example")
    );
    assert_eq!(
        read.wids,
        Some(vec![uuid!("62e90394-69f5-4237-9190-012177145e10")])
    );
    assert!(!read.is_guest());
    for (header, claims) in [
        (without(header(), "typ"), claims()),
        (with(header(), "typ", json!("jwt")), claims()),
        (with(header(), "x5t", json!("own")), claims()),
        (header(), with(claims(), "aud", json!([CLIENT]))),
        (
            header(),
            with(
                with(claims(), "aud", json!([CLIENT, "other"])),
                "azp",
                json!(CLIENT),
            ),
        ),
        (header(), with(claims(), "azp", json!(CLIENT))),
        (header(), with(claims(), "exp", json!(NOW - 59))),
        (header(), with(claims(), "nbf", json!(NOW + 60))),
        (header(), with(claims(), "iat", json!(NOW + 60))),
        (header(), without(claims(), "wids")),
        (header(), without(claims(), "preferred_username")),
    ] {
        let read = checked(&signed(&header, &claims));
        assert!(read.is_ok(), "{header} {claims} {read:?}");
    }
}

#[test]
fn c10_every_mutated_token_is_refused() {
    let (h, c) = (header, claims);
    let set = |name: &str, value: Value| signed(&h(), &with(c(), name, value));
    let unset = |name: &str| signed(&h(), &without(c(), name));
    let head = |name: &str, value: Value| signed(&with(h(), name, value), &c());
    let by = |key: &KeyPair, kid: &str| {
        sign_with(
            key,
            &RSA_PKCS1_SHA256,
            &with(h(), "kid", json!(kid)).to_string(),
            &c().to_string(),
        )
    };
    let raw = |header: &str, claims: &str| sign_with(&KEYS.own, &RSA_PKCS1_SHA256, header, claims);
    let good = signed(&h(), &c());
    let parts: Vec<&str> = good.split('.').collect();
    let unsigned = |alg: &str| {
        let header = with(h(), "alg", json!(alg)).to_string();
        format!("{}.{}.", URL_SAFE_NO_PAD.encode(header), parts[1])
    };
    let by_public_key = {
        let der: PublicKeyX509Der<'_> = KEYS.own.public_key().as_der().unwrap();
        let header = with(h(), "alg", json!("HS256")).to_string();
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), parts[1]);
        let tag = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, der.as_ref()),
            signed.as_bytes(),
        );
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
    };
    let consumer_issuer = format!("https://login.microsoftonline.com/{CONSUMER_TENANT}/v2.0");
    let other_issuer = issuer().replace(TENANT, OTHER_TENANT);
    let twice = |claim: &str| {
        raw(
            &h().to_string(),
            &c().to_string().replacen('{', &format!("{{{claim},"), 1),
        )
    };
    let tampered = {
        let claims = with(c(), "oid", json!("ffffffff-ffff-4fff-8fff-ffffffffffff")).to_string();
        format!(
            "{}.{}.{}",
            parts[0],
            URL_SAFE_NO_PAD.encode(claims),
            parts[2]
        )
    };

    let table: Vec<(&str, String)> = vec![
        // The algorithm.
        ("alg none", unsigned("none")),
        ("alg None", unsigned("None")),
        ("alg empty", unsigned("")),
        ("alg missing", signed(&without(h(), "alg"), &c())),
        ("alg HS256 with the public key", by_public_key),
        ("alg HS256 on an RSA signature", head("alg", json!("HS256"))),
        ("alg rs256", head("alg", json!("rs256"))),
        (
            "alg RS512",
            sign_with(
                &KEYS.own,
                &RSA_PKCS1_SHA512,
                &with(h(), "alg", json!("RS512")).to_string(),
                &c().to_string(),
            ),
        ),
        (
            "alg PS256",
            sign_with(
                &KEYS.own,
                &RSA_PSS_SHA256,
                &with(h(), "alg", json!("PS256")).to_string(),
                &c().to_string(),
            ),
        ),
        (
            "alg RS256 with a PSS signature",
            sign_with(
                &KEYS.own,
                &RSA_PSS_SHA256,
                &h().to_string(),
                &c().to_string(),
            ),
        ),
        ("alg a list", head("alg", json!(["RS256"]))),
        // The key.
        ("key of a stranger under our kid", by(&KEYS.stranger, "own")),
        (
            "key of a stranger under its own kid",
            by(&KEYS.stranger, "stranger"),
        ),
        ("consumer key", by(&KEYS.consumer, "consumer")),
        ("consumer key under our kid", by(&KEYS.consumer, "own")),
        ("kid empty", head("kid", json!(""))),
        ("kid a number", head("kid", json!(7))),
        ("kid in another case", head("kid", json!("OWN"))),
        ("kid with a path", head("kid", json!("../own"))),
        // The header.
        ("jku", head("jku", json!("https://evil.example/keys"))),
        ("jwk", head("jwk", jwk(&KEYS.stranger, "own", None))),
        ("x5u", head("x5u", json!("https://evil.example/cert"))),
        ("x5c", head("x5c", json!(["MIID"]))),
        ("crit", head("crit", json!(["exp"]))),
        ("zip", head("zip", json!("DEF"))),
        ("b64", head("b64", json!(false))),
        ("typ of an access token", head("typ", json!("at+jwt"))),
        (
            "header twice alg",
            raw(
                r#"{"alg":"none","alg":"RS256","kid":"own"}"#,
                &c().to_string(),
            ),
        ),
        ("header a list", raw("[]", &c().to_string())),
        // The form.
        ("empty", String::new()),
        ("two parts", format!("{}.{}", parts[0], parts[1])),
        ("four parts", format!("{good}.x")),
        ("five parts, encrypted", format!("{good}.x.y")),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("signature cut", good[..good.len() - 4].to_owned()),
        ("padded", format!("{}=.{}.{}", parts[0], parts[1], parts[2])),
        ("blank in front", format!(" {good}")),
        ("claims changed after signing", tampered),
        ("claims no JSON", raw(&h().to_string(), "{")),
        ("claims a list", raw(&h().to_string(), "[]")),
        (
            "claims with more behind them",
            raw(&h().to_string(), &format!("{}{{}}", c())),
        ),
        ("too long", format!("{good}{}", "A".repeat(LONGEST_TOKEN))),
        // Claims that stand twice.
        ("twice tid", twice(&format!(r#""tid":"{OTHER_TENANT}""#))),
        (
            "twice tid, the same",
            twice(&format!(r#""tid":"{TENANT}""#)),
        ),
        ("twice nonce", twice(r#""nonce":"x""#)),
        ("twice exp by escape", twice(r#""\u0065xp":1"#)),
        // Times.
        ("exp missing", unset("exp")),
        ("exp a text", set("exp", json!((NOW + 3900).to_string()))),
        ("exp null", set("exp", json!(null))),
        ("exp a fraction", set("exp", json!(1_780_003_900.5))),
        (
            "exp beyond 64 bits",
            raw(
                &h().to_string(),
                &c().to_string()
                    .replace(&(NOW + 3900).to_string(), "99999999999999999999"),
            ),
        ),
        ("expired", set("exp", json!(NOW - 60))),
        ("nbf missing", unset("nbf")),
        ("nbf a text", set("nbf", json!((NOW - 5).to_string()))),
        ("nbf ahead", set("nbf", json!(NOW + 61))),
        ("iat missing", unset("iat")),
        ("iat a text", set("iat", json!((NOW - 5).to_string()))),
        ("iat ahead", set("iat", json!(NOW + 61))),
        // For whom.
        ("aud missing", unset("aud")),
        (
            "aud another",
            set("aud", json!("00000003-0000-0000-c000-000000000000")),
        ),
        (
            "aud in another case",
            set("aud", json!(CLIENT.to_uppercase())),
        ),
        ("aud as a URI", set("aud", json!(format!("api://{CLIENT}")))),
        ("aud an empty list", set("aud", json!([]))),
        (
            "aud several without azp",
            set("aud", json!([CLIENT, "other"])),
        ),
        ("azp another", set("azp", json!("other"))),
        (
            "several audiences, azp another",
            signed(
                &h(),
                &with(with(c(), "aud", json!([CLIENT, "o"])), "azp", json!("o")),
            ),
        ),
        // By whom, and from where.
        ("iss missing", unset("iss")),
        (
            "iss of v1.0",
            set("iss", json!(format!("https://sts.windows.net/{TENANT}/"))),
        ),
        ("iss of another tenant", set("iss", json!(other_issuer))),
        (
            "iss the template",
            set(
                "iss",
                json!("https://login.microsoftonline.com/{tenantid}/v2.0"),
            ),
        ),
        (
            "iss with a slash more",
            set("iss", json!(format!("{}/", issuer()))),
        ),
        (
            "iss of another cloud",
            set("iss", json!(issuer().replace(".com", ".us"))),
        ),
        (
            "iss of another host",
            set("iss", json!(issuer().replace("login.", "evil."))),
        ),
        ("iss a list", set("iss", json!([issuer()]))),
        ("tid missing", unset("tid")),
        ("tid no GUID", set("tid", json!("fabrikam.example"))),
        (
            "tid another, signed by the same key",
            set("tid", json!(OTHER_TENANT)),
        ),
        (
            "tid and iss another",
            signed(
                &h(),
                &with(
                    with(c(), "tid", json!(OTHER_TENANT)),
                    "iss",
                    json!(issuer().replace(TENANT, OTHER_TENANT)),
                ),
            ),
        ),
        ("tid of the consumers", set("tid", json!(CONSUMER_TENANT))),
        ("iss of the consumers", set("iss", json!(consumer_issuer))),
        ("ver missing", unset("ver")),
        ("ver 1.0", set("ver", json!("1.0"))),
        ("ver a number", set("ver", json!(2.0))),
        // Of which sign-in, and who.
        ("nonce missing", unset("nonce")),
        ("nonce another", set("nonce", json!("n-1"))),
        ("nonce a prefix", set("nonce", json!(&NONCE[..5]))),
        ("nonce a list", set("nonce", json!([NONCE]))),
        ("oid missing", unset("oid")),
        ("oid no GUID", set("oid", json!("ada@fabrikam.example"))),
    ];
    assert!(table.len() >= 40);
    assert!(checked(&good).is_ok(), "the control");
    for (what, token) in &table {
        assert!(checked(token).is_err(), "{what}");
    }
}

#[test]
fn c5_personal_accounts_are_named_as_such() {
    let token = signed(&header(), &with(claims(), "tid", json!(CONSUMER_TENANT)));
    assert!(matches!(
        checked(&token),
        Err(IdTokenError::PersonalAccount)
    ));
}

#[test]
fn c11_another_tenant_is_named_beside_the_expected_one() {
    let token = signed(&header(), &with(claims(), "tid", json!(OTHER_TENANT)));
    let Err(IdTokenError::WrongTenant { expected, actual }) = checked(&token) else {
        panic!("accepted or refused otherwise")
    };
    assert_eq!(
        (expected, actual.to_string()),
        (tenant(), OTHER_TENANT.to_owned())
    );
}

#[test]
fn c10_a_missing_kid_is_accepted_only_when_there_is_no_choice() {
    let token = signed(&without(header(), "kid"), &claims());
    let one = key_set(&[jwk(&KEYS.own, "own", None)]);
    assert!(checked_by(&one, &token).is_ok());
    let two = key_set(&[
        jwk(&KEYS.own, "own", None),
        jwk(&KEYS.stranger, "next", None),
    ]);
    assert!(matches!(
        checked_by(&two, &token),
        Err(IdTokenError::UnknownKey)
    ));
}

#[test]
fn c10_keys_count_for_their_own_issuer_only() {
    let token = signed(&header(), &claims());
    for (key_issuer, accepted) in [
        (None, true),
        (
            Some("https://login.microsoftonline.com/{tenantid}/v2.0"),
            true,
        ),
        (Some(issuer().as_str()), true),
        (Some(issuer().replace(TENANT, OTHER_TENANT).as_str()), false),
        (
            Some("https://login.microsoftonline.us/{tenantid}/v2.0"),
            false,
        ),
        (Some("https://login.microsoftonline.com/{tenantid}"), false),
        (Some(""), false),
    ] {
        let keys = key_set(&[jwk(&KEYS.own, "own", key_issuer)]);
        assert_eq!(
            checked_by(&keys, &token).is_ok(),
            accepted,
            "{key_issuer:?}"
        );
    }
    // The same kid published twice: the issuer decides, and two that fit are one too many.
    let template = "https://login.microsoftonline.com/{tenantid}/v2.0";
    let consumer = "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0";
    let shared = [
        jwk(&KEYS.consumer, "own", Some(consumer)),
        jwk(&KEYS.own, "own", Some(template)),
    ];
    assert!(checked_by(&key_set(&shared), &token).is_ok());
    let doubtful = [
        jwk(&KEYS.stranger, "own", None),
        jwk(&KEYS.own, "own", Some(template)),
    ];
    assert!(checked_by(&key_set(&doubtful), &token).is_err());
}

#[test]
fn c10_unusable_keys_verify_nothing() {
    let token = signed(&header(), &claims());
    for (name, value) in [
        ("n", json!("AQAB")),
        ("n", json!("*")),
        ("n", json!("")),
        ("e", json!("AA")),
        ("kty", json!("oct")),
        ("use", json!("enc")),
        ("alg", json!("PS256")),
    ] {
        let keys = key_set(&[with(jwk(&KEYS.own, "own", None), name, value.clone())]);
        assert!(checked_by(&keys, &token).is_err(), "{name} {value}");
    }
    assert!(KeySet::read(b"<html>").is_none());
    assert!(KeySet::read(b"{}").is_none());
}

#[test]
fn c12_guests_are_told_by_acct_and_by_idp() {
    for (name, value, guest) in [
        ("acct", json!(0), false),
        ("acct", json!(1), true),
        ("acct", json!("1"), true),
        ("idp", json!(issuer()), false),
        ("idp", json!("live.com"), true),
        (
            "idp",
            json!(format!("https://sts.windows.net/{OTHER_TENANT}/")),
            true,
        ),
    ] {
        let read = checked(&signed(&header(), &with(claims(), name, value.clone()))).unwrap();
        assert_eq!(read.is_guest(), guest, "{name} {value}");
    }
}

#[test]
fn the_payloads_of_the_examples_say_who_signed_in() {
    for (folder, json) in crate::microsoft::examples::texts("idToken.payload.json") {
        let claims: UniqueObject = serde_json::from_str(&json).unwrap();
        let own = |name: &str| text(&claims.0, name).unwrap();
        let tenant: TenantId = own("tid").parse().unwrap();
        let profile = CloudProfile::new(MicrosoftCloud::Global, None, None).unwrap();
        let nonce = SecretText::new(own("nonce").to_owned());
        let expected = Expected {
            client_id: own("aud"),
            tenant,
            issuer: profile.issuer(tenant),
            nonce: &nonce,
            now: DateTime::from_timestamp(time(&claims.0, "iat").unwrap(), 0).unwrap(),
        };
        check_tenant(&claims.0, tenant).unwrap();
        check_claims(&claims.0, &expected).unwrap();
        let read = read_claims(&claims.0, &expected).unwrap();
        assert!(!read.wids.unwrap().is_empty(), "{folder}");
    }
}

/// A verifier whose keys come from a server, and its clock.
fn verifier(server: &ScriptedServer) -> (IdTokenVerifier, Arc<AtomicI64>) {
    let profile = CloudProfile::new(MicrosoftCloud::Global, Some(&server.origin), None).unwrap();
    let now = Arc::new(AtomicI64::new(NOW));
    let moved = Arc::clone(&now);
    let clock = Clock::from_fn(move || DateTime::from_timestamp(moved.load(Relaxed), 0).unwrap());
    let http = Outbound::new(Limits::default()).unwrap();
    (
        IdTokenVerifier::new(profile, CLIENT.to_owned(), http, clock),
        now,
    )
}

#[tokio::test]
async fn c10_keys_are_kept_a_day_and_looked_for_anew_once_a_minute_at_most() {
    let documents = [
        json!({ "keys": [jwk(&KEYS.stranger, "old", None)] }),
        json!({ "keys": [jwk(&KEYS.stranger, "old", None), jwk(&KEYS.own, "own", None)] }),
    ];
    let server =
        ScriptedServer::start(move |_seen, before| Answer::json(200, &documents[before.min(1)]))
            .await;
    let (verifier, now) = verifier(&server);
    let claims = with(
        claims(),
        "iss",
        json!(format!("{}/{TENANT}/v2.0", server.origin)),
    );
    let claims = with(claims, "exp", json!(NOW + 200_000));
    let token = SecretText::new(signed(&header(), &claims));
    let nonce = SecretText::new(NONCE.to_owned());
    let verify = || verifier.verify(&token, tenant(), &nonce);

    assert!(matches!(verify().await, Err(IdTokenError::UnknownKey)));
    assert!(matches!(verify().await, Err(IdTokenError::UnknownKey)));
    assert_eq!(
        server.seen().len(),
        1,
        "just fetched: an unknown key fetches nothing"
    );
    assert_eq!(
        server.seen()[0].target,
        format!("/{TENANT}/discovery/v2.0/keys")
    );
    now.store(NOW + 60, Relaxed);
    assert!(verify().await.is_ok(), "the key has rolled");
    assert!(verify().await.is_ok());
    assert_eq!(server.seen().len(), 2);
    now.store(NOW + 60 + 24 * 3600, Relaxed);
    assert!(verify().await.is_ok());
    assert_eq!(server.seen().len(), 3, "a day later they are read again");
}

#[tokio::test]
async fn unreadable_keys_are_microsofts_failure_and_not_the_tokens() {
    for answer in [
        Answer::json(503, ""),
        Answer::json(200, "<html>"),
        Answer::json(302, ""),
        Answer::HangUp,
    ] {
        let server = ScriptedServer::start(move |_seen, _before| answer.clone()).await;
        let (verifier, _now) = verifier(&server);
        let token = SecretText::new(signed(&header(), &claims()));
        let nonce = SecretText::new(NONCE.to_owned());
        let outcome = verifier.verify(&token, tenant(), &nonce).await;
        assert!(matches!(outcome, Err(IdTokenError::Keys(_))), "{outcome:?}");
    }
}
