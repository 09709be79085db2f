//! Customers over HTTP: with them everything that lists, creating calls and changes have in common.

use serde_json::json;

use super::*;

const PATH: &str = "/api/msp-portal/customers";

fn with_body(method: Method, path: &str, key: &str, body: &Value) -> TestRequest {
    request(method, path, Some(key)).set_json(body)
}

#[actix_web::test]
async fn a_customer_is_created_shown_changed_and_deactivated() {
    let world = World::new().await;
    let org = world.org("Contoso MSP").await;
    let app = application(world.state()).await;
    let body = json!({"name": "Contoso", "domains": ["Contoso.com"]});
    let created = call(&app, with_body(Method::POST, PATH, &org.key, &body)).await;
    assert_eq!(created.status, StatusCode::CREATED);
    let place = created.header("location").unwrap().to_owned();
    let customer = created.json();
    assert_eq!(
        place,
        format!("{PATH}/{}", customer["id"].as_str().unwrap())
    );
    assert_eq!(customer["domains"], json!(["contoso.com"]));
    assert_eq!(customer["source"], "manual");
    assert_eq!(
        (&customer["externalId"], &customer["tenantIds"]),
        (&Value::Null, &json!([]))
    );
    let shown = get(&app, &place, &org.key).await;
    assert_eq!(shown.json(), customer);
    let tag = shown.header("etag").unwrap().to_owned();
    let known =
        request(Method::GET, &place, Some(&org.key)).insert_header(("if-none-match", tag.clone()));
    let known = call(&app, known).await;
    assert_eq!(
        (known.status, known.header("etag")),
        (StatusCode::NOT_MODIFIED, Some(tag.as_str()))
    );
    assert!(known.body.is_empty());
    let change = json!({"name": "Contoso GmbH"});
    let changed = with_body(Method::PATCH, &place, &org.key, &change)
        .insert_header(("if-match", tag.clone()));
    let changed = call(&app, changed).await;
    assert_eq!(
        (changed.status, &changed.json()["name"]),
        (StatusCode::OK, &json!("Contoso GmbH"))
    );
    let cleared = with_body(Method::PATCH, &place, &org.key, &json!({"domains": null}));
    assert_eq!(call(&app, cleared).await.json()["domains"], json!([]));
    let late = with_body(Method::PATCH, &place, &org.key, &change).insert_header(("if-match", tag));
    let late = call(&app, late).await;
    assert_eq!(
        (late.status, late.code().as_str()),
        (StatusCode::PRECONDITION_FAILED, "preconditionFailed")
    );
    for _ in 0..2 {
        let gone = call(&app, request(Method::DELETE, &place, Some(&org.key))).await;
        assert_eq!(gone.status, StatusCode::NO_CONTENT);
    }
    assert_eq!(get(&app, &place, &org.key).await.json()["active"], false);
    let events = get(&app, "/api/msp-portal/audit-events?limit=4", &org.key)
        .await
        .json();
    let actions: Vec<_> = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["action"].clone())
        .collect();
    assert_eq!(
        actions,
        [
            "customer.deactivated",
            "customer.changed",
            "customer.changed",
            "customer.created"
        ]
    );
    let ends = "/api/msp-portal/audit-events?action=customer.created&action=customer.deactivated";
    let ends = get(&app, ends, &org.key).await.json();
    assert_eq!(ends["items"].as_array().unwrap().len(), 2);
    assert_eq!(events["total"], Value::Null);
    assert_eq!(events["items"][3]["actor"]["type"], "apiKey");
}

#[actix_web::test]
async fn z4_a_customer_of_another_organisation_is_as_missing_as_none() {
    let world = World::new().await;
    let (one, other) = (world.org("One").await, world.org("Other").await);
    let app = application(world.state()).await;
    let created = call(
        &app,
        with_body(Method::POST, PATH, &one.key, &json!({"name": "Contoso"})),
    )
    .await;
    let foreign = created.header("location").unwrap().to_owned();
    let missing = format!("{PATH}/{}", uuid::Uuid::now_v7());
    for method in [Method::GET, Method::PATCH, Method::DELETE] {
        let answer = async |path: &str| {
            let request = with_body(method.clone(), path, &other.key, &json!({"name": "Mine"}));
            let mut problem = call(&app, request).await.json();
            problem["requestId"] = Value::Null;
            problem
        };
        let problem = answer(&foreign).await;
        assert_eq!(problem["status"], 404);
        assert_eq!(problem, answer(&missing).await, "{method}");
    }
    assert_eq!(get(&app, PATH, &other.key).await.json()["total"], 0);
}

#[actix_web::test]
async fn z12_pages_follow_each_other_and_a_cursor_serves_nobody_else() {
    let world = World::new().await;
    let (one, other) = (world.org("One").await, world.org("Other").await);
    let app = application(world.state()).await;
    for name in ["a1", "b", "a2", "a3"] {
        call(
            &app,
            with_body(Method::POST, PATH, &one.key, &json!({"name": name})),
        )
        .await;
    }
    let mut path = format!("{PATH}?search=A&limit=2");
    let mut names = Vec::new();
    let mut cursor = String::new();
    loop {
        let answer = get(&app, &path, &one.key).await;
        let page = answer.json();
        assert_eq!(page["total"], 3);
        names.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["name"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["nextCursor"].as_str() else {
            assert!(answer.header("link").is_none());
            break;
        };
        next.clone_into(&mut cursor);
        let link = answer.header("link").unwrap();
        path = link
            .strip_prefix('<')
            .unwrap()
            .split_once('>')
            .unwrap()
            .0
            .to_owned();
    }
    assert_eq!(names, ["a1", "a2", "a3"]);
    let code = async |path: String, key: &str| get(&app, &path, key).await.code();
    assert_eq!(
        code(
            format!("{PATH}?search=A&limit=2&cursor={cursor}"),
            &other.key
        )
        .await,
        "invalidCursor"
    );
    assert_eq!(
        code(format!("{PATH}?search=B&cursor={cursor}"), &one.key).await,
        "invalidCursor"
    );
    assert_eq!(
        code(format!("{PATH}?cursor=x"), &one.key).await,
        "invalidCursor"
    );
    assert_eq!(
        code(
            format!("/api/msp-portal/audit-events?cursor={cursor}"),
            &one.key
        )
        .await,
        "invalidCursor"
    );
    assert_eq!(
        code(format!("{PATH}?limit=0"), &one.key).await,
        "invalidParameter"
    );
    assert_eq!(
        code(format!("{PATH}?limit=1001"), &one.key).await,
        "invalidParameter"
    );
    assert_eq!(
        code(format!("{PATH}?limit=x"), &one.key).await,
        "invalidParameter"
    );
    assert_eq!(
        code(format!("{PATH}?offset=1"), &one.key).await,
        "unknownParameter"
    );
    assert_eq!(
        get(&app, &format!("{PATH}?limit=1000"), &one.key)
            .await
            .status,
        StatusCode::OK
    );
}

#[actix_web::test]
async fn z7_fields_of_the_server_and_unknown_ones_are_refused_with_a_pointer() {
    let world = World::new().await;
    let org = world.org("Contoso MSP").await;
    let app = application(world.state()).await;
    let created = call(
        &app,
        with_body(Method::POST, PATH, &org.key, &json!({"name": "Contoso"})),
    )
    .await;
    let place = created.header("location").unwrap().to_owned();
    for field in [
        "id",
        "orgId",
        "organizationId",
        "role",
        "status",
        "owner",
        "source",
        "tenantIds",
        "version",
        "x",
    ] {
        let body = json!({"name": "Contoso", field: "x"});
        for (method, path) in [(Method::POST, PATH), (Method::PATCH, place.as_str())] {
            let answer = call(&app, with_body(method, path, &org.key, &body)).await;
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{field}");
            assert_eq!(answer.json()["errors"][0]["pointer"], format!("/{field}"));
        }
    }
    let body = json!({"name": " ", "domains": ["contoso.com", "not a domain"]});
    let faults = call(&app, with_body(Method::POST, PATH, &org.key, &body))
        .await
        .json();
    let pointers: Vec<_> = faults["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| fault["pointer"].clone())
        .collect();
    assert_eq!(pointers, ["/name", "/domains/1"]);
    assert_eq!(faults["code"], "validationFailed");
}

#[actix_web::test]
async fn r29_a_repeated_call_has_one_effect_and_one_answer() {
    let world = World::new().await;
    let org = world.org("Contoso MSP").await;
    let (_, technician) = world.key(&org, Role::Technician).await;
    let app = application(world.state()).await;
    let create = async |key: &str, idempotency: &str, name: &str| {
        let request = with_body(Method::POST, PATH, key, &json!({"name": name}))
            .insert_header(("idempotency-key", idempotency.to_owned()));
        call(&app, request).await
    };
    let first = create(&org.key, "k1", "Contoso").await;
    let again = create(&org.key, "\"k1\"", "Contoso").await;
    assert_eq!(
        (first.status, again.status),
        (StatusCode::CREATED, StatusCode::CREATED)
    );
    assert_eq!(first.json(), again.json());
    assert_eq!(first.header("location"), again.header("location"));
    assert_eq!(
        (
            first.header("idempotency-replayed"),
            again.header("idempotency-replayed")
        ),
        (None, Some("true"))
    );
    let other_body = create(&org.key, "k1", "Fabrikam").await;
    assert_eq!(
        (other_body.status.as_u16(), other_body.code().as_str()),
        (422, "idempotencyKeyReused")
    );
    assert_ne!(
        create(&technician, "k1", "Contoso").await.json()["id"],
        first.json()["id"]
    );
    // A refused call does not use its key up.
    assert_eq!(create(&org.key, "k2", "").await.status.as_u16(), 422);
    assert_eq!(
        create(&org.key, "k2", "Fabrikam").await.status.as_u16(),
        201
    );
    for key in ["", "a b", &"a".repeat(256)] {
        assert_eq!(
            create(&org.key, key, "Contoso").await.code(),
            "invalidIdempotencyKey",
            "{key:?}"
        );
    }
    assert_eq!(get(&app, PATH, &org.key).await.json()["total"], 3);
}
