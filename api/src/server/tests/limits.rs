//! Sizes (N11), each one below, at and above its limit.

use super::*;
use crate::middleware::limits::{BODY_LIMIT, HEADER_LIMIT, URL_LIMIT};

const PATH: &str = "/api/msp-portal/customers";

#[actix_web::test]
async fn n11_a_url_beyond_eight_kilobytes_is_414() {
    let world = World::new().await;
    let org = world.org("Contoso MSP").await;
    let app = application(world.state()).await;
    let answer = async |length: usize| {
        let start = format!("{PATH}?search=");
        let path = format!("{start}{}", "a".repeat(length - start.len()));
        let answer = get(&app, &path, &org.key).await;
        (answer.status.as_u16(), answer.code())
    };
    assert_eq!(
        answer(URL_LIMIT - 1).await,
        (400, "invalidParameter".to_owned())
    );
    assert_eq!(
        answer(URL_LIMIT).await,
        (400, "invalidParameter".to_owned())
    );
    assert_eq!(answer(URL_LIMIT + 1).await, (414, "uriTooLong".to_owned()));
}

#[actix_web::test]
async fn n11_headers_beyond_sixteen_kilobytes_are_431() {
    let world = World::new().await;
    let app = application(world.state()).await;
    let answer = async |total: usize| {
        let filler = "a".repeat(total - "x-filler: \r\n".len());
        let answer = call(
            &app,
            request(Method::GET, "/healthz", None).insert_header(("x-filler", filler)),
        )
        .await;
        answer.status.as_u16()
    };
    assert_eq!(answer(HEADER_LIMIT - 1).await, 200);
    assert_eq!(answer(HEADER_LIMIT).await, 200);
    assert_eq!(answer(HEADER_LIMIT + 1).await, 431);
}

#[actix_web::test]
async fn n11_an_announced_body_beyond_a_megabyte_is_413_before_it_is_read() {
    let world = World::new().await;
    let org = world.org("Contoso MSP").await;
    let app = application(world.state()).await;
    let answer = async |announced: String| {
        let request = request(Method::POST, PATH, Some(&org.key))
            .insert_header(("content-type", "application/json"))
            .set_payload(r#"{"name":"Contoso"}"#)
            .insert_header(("content-length", announced));
        call(&app, request).await.status.as_u16()
    };
    assert_eq!(answer(BODY_LIMIT.to_string()).await, 201);
    assert_eq!(answer((BODY_LIMIT + 1).to_string()).await, 413);
    assert_eq!(answer("9".repeat(40)).await, 413);
}
