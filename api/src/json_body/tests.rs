use actix_web::{FromRequest as _, test::TestRequest};
use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Thing {
    name: String,
    #[serde(default)]
    domains: Vec<String>,
    #[serde(default, deserialize_with = "present")]
    customer_id: Option<Option<uuid::Uuid>>,
    #[serde(default, deserialize_with = "not_null")]
    kind: Option<Kind>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
enum Kind {
    Delta,
    Full,
}

async fn read_body(
    kind: &str,
    body: impl Into<actix_web::web::Bytes>,
) -> Result<JsonBody<Thing>, Problem> {
    let (request, mut payload) = TestRequest::post()
        .insert_header(("content-type", kind))
        .set_payload(body.into())
        .to_http_parts();
    JsonBody::<Thing>::from_request(&request, &mut payload).await
}

async fn problem(
    body: impl Into<actix_web::web::Bytes>,
) -> (String, Option<String>, Option<String>) {
    let problem = read_body("application/json", body).await.err().unwrap();
    let body = problem.body("", String::new());
    let first = body.errors.into_iter().next();
    let (pointer, code) = first.map(|error| (error.pointer, error.code)).unzip();
    (body.code, pointer.flatten(), code)
}

#[actix_web::test]
async fn a_body_is_read_and_hashed_however_it_is_spaced() {
    let kind = "application/json; charset=UTF-8";
    let one = read_body(kind, r#"{"name":"a","kind":"full"}"#)
        .await
        .ok()
        .unwrap();
    let other = read_body(kind, "{ \"kind\": \"full\",\n \"name\": \"a\" }")
        .await
        .ok()
        .unwrap();
    assert_eq!(one.value, other.value);
    assert_eq!(one.value.kind, Some(Kind::Full));
    assert_eq!(one.hash, other.hash);
    let third = read_body(kind, r#"{"name":"b","kind":"full"}"#)
        .await
        .ok()
        .unwrap();
    assert_ne!(one.hash, third.hash);
}

#[actix_web::test]
async fn absent_null_and_a_value_are_three_things_in_a_patch() {
    let read = async |body: &'static str| {
        read_body("application/json", body)
            .await
            .ok()
            .unwrap()
            .value
            .customer_id
    };
    assert_eq!(read(r#"{"name":"a"}"#).await, None);
    assert_eq!(read(r#"{"name":"a","customerId":null}"#).await, Some(None));
    let id = "0199a2b0-0000-7000-8000-000000000000";
    let body = r#"{"name":"a","customerId":"0199a2b0-0000-7000-8000-000000000000"}"#;
    assert_eq!(read(body).await, Some(Some(id.parse().unwrap())));
}

#[actix_web::test]
async fn what_is_not_json_by_its_type_is_415() {
    for kind in [
        "text/plain",
        "application/jsonx",
        "application/json; charset=latin1",
        "",
    ] {
        let problem = read_body(kind, r#"{"name":"a"}"#).await.err().unwrap();
        assert_eq!(problem.kind().code, "unsupportedMediaType", "{kind}");
    }
}

#[actix_web::test]
async fn j3_json_that_parsers_disagree_about_is_refused() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let long = |length: usize| {
        format!(
            r#"{{"name":"a","domains":[{}]}}"#,
            vec!["\"\""; length].join(",")
        )
    };
    let refused = [
        r#"{"name":"a","name":"b"}"#.to_owned(),
        r#"{"name":"\ud800"}"#.to_owned(),
        r#"{"name":"\u0000"}"#.to_owned(),
        r#"{"na\u0000me":"a"}"#.to_owned(),
        r#"{"name":NaN}"#.to_owned(),
        r#"{"name":1e999}"#.to_owned(),
        r#"{"name":"a"} x"#.to_owned(),
        r#"{"name":"a",}"#.to_owned(),
        String::new(),
        nested(33),
        long(10_001),
    ];
    for body in refused {
        let start: String = body.chars().take(40).collect();
        assert_eq!(
            problem(body).await,
            ("invalidJson".to_owned(), None, None),
            "{start}"
        );
    }
    assert_eq!(problem(&b"{\"name\":\"\xff\"}"[..]).await.0, "invalidJson");
    assert_eq!(problem(nested(32)).await.0, "validationFailed");
    assert!(read_body("application/json", long(10_000)).await.is_ok());
}

#[actix_web::test]
async fn n11_a_body_beyond_a_megabyte_is_413() {
    let body = |length: usize| {
        format!(
            "{{\"name\":\"{}\"}}",
            "a".repeat(length - r#"{"name":""}"#.len())
        )
    };
    assert!(
        read_body("application/json", body(BODY_LIMIT))
            .await
            .is_ok()
    );
    assert_eq!(problem(body(BODY_LIMIT + 1)).await.0, "payloadTooLarge");
}

#[actix_web::test]
async fn z7_what_does_not_fit_is_pointed_at() {
    let cases = [
        (r#"{"name":"a","org/id":1}"#, "/org~1id", "unknownField"),
        (r#"{"domains":[]}"#, "/name", "missingField"),
        (r#"{"name":7}"#, "/name", "wrongType"),
        (r#"{"name":null}"#, "/name", "wrongType"),
        (
            r#"{"name":"a","domains":["x",2]}"#,
            "/domains/1",
            "wrongType",
        ),
        (
            r#"{"name":"a","customerId":"x"}"#,
            "/customerId",
            "invalidValue",
        ),
        (r#"{"name":"a","kind":"initial"}"#, "/kind", "invalidValue"),
        (r#"{"name":"a","kind":null}"#, "/kind", "wrongType"),
        ("[]", "", "wrongType"),
        ("null", "", "wrongType"),
    ];
    for (body, pointer, code) in cases {
        let expected = (
            "validationFailed".to_owned(),
            Some(pointer.to_owned()),
            Some(code.to_owned()),
        );
        assert_eq!(problem(body).await, expected, "{body}");
    }
}
