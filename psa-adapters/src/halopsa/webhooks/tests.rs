use std::sync::Arc;

use crate::{
    contract::PsaAdapter,
    scripted::{Scripted, delete, get, post},
};

use super::*;
use crate::halopsa::{
    HaloPsa,
    testing::{ask_for, auth_info, closed, id, token},
};

const ID: &str = "5c0b1f5e-7a40-4f61-9d02-2f1c9a0b7e11";
const OTHER: &str = "6c0b1f5e-7a40-4f61-9d02-2f1c9a0b7e11";

fn target() -> CallbackTarget {
    CallbackTarget {
        url: "https://tenantry.northgate.example/api/events/canary-path"
            .parse()
            .unwrap(),
        secret: Secret::new("canary-password".to_owned()),
        name: "Tenantry 0199".to_owned(),
    }
}

fn allowed() -> (Arc<Scripted>, HaloPsa) {
    let (psa, halo) = closed();
    psa.expect(auth_info());
    psa.expect(ask_for("admin:webhooks").answer(200, token("admin:webhooks")));
    (psa, halo)
}

#[tokio::test]
async fn a_webhook_is_made_with_basic_authentication() {
    let (psa, halo) = allowed();
    psa.expect(get("/api/Webhook").answer(200, json!([{"id": OTHER, "name": "Another's"}])));
    psa.expect(
        post("/api/Webhook")
            .body(json!([{
                "name": "Tenantry 0199", "type": 0, "method": 0, "content_type": "application/json",
                "url": "https://tenantry.northgate.example/api/events/canary-path",
                "authentication_type": 1, "basic_username": "tenantry", "basic_password": "canary-password",
                "active": true, "auto_disable_attempts": 0, "events": []
            }]))
            .answer(201, json!({"id": ID, "name": "Tenantry 0199"})),
    );
    let callback = halo.register_callback(&target()).await.unwrap();
    assert_eq!(callback.id, id(ID));
    psa.finish();
}

#[tokio::test]
async fn a_second_registration_leaves_one_webhook_with_its_events() {
    let (psa, halo) = allowed();
    psa.expect(get("/api/Webhook").answer(
        200,
        json!({"webhooks": [{"id": ID, "name": "Tenantry 0199"}, {"id": OTHER, "name": "Tenantry 0199"}]}),
    ));
    psa.expect(
        post("/api/Webhook")
            .when("the id, and no events", |sent| {
                let body = sent.json();
                body[0]["id"] == ID && body[0].get("events").is_none()
            })
            .answer_raw(201, "application/json", ""),
    );
    psa.expect(delete(&format!("/api/Webhook/{OTHER}")).answer_raw(204, "text/plain", ""));
    let callback = halo.register_callback(&target()).await.unwrap();
    assert_eq!(callback.id, id(ID));
    psa.finish();
}

#[tokio::test]
async fn without_the_right_a_person_is_told_how_to_set_it_up() {
    let refused = [
        (400, json!({"error": "invalid_scope"})),
        (200, token("read:customers")),
    ];
    for (status, answer) in refused {
        let (psa, halo) = closed();
        psa.expect(auth_info());
        psa.expect(ask_for("admin:webhooks").answer(status, answer));
        let error = halo.register_callback(&target()).await.unwrap_err();
        assert!(matches!(
            &error,
            PsaError::Permission { what }
                if what.contains("Configuration, Integrations, Webhooks") && what.contains("tenantry")
        ));
        assert!(!format!("{error} {error:?}").contains("canary"), "v9");
        psa.finish();
    }
}

#[tokio::test]
async fn v9_a_refusal_that_repeats_the_password_is_not_told() {
    for said in ["bad canary-password", "bad url /api/events/canary-path"] {
        let (psa, halo) = allowed();
        psa.expect(get("/api/Webhook").answer(200, json!([])));
        psa.expect(post("/api/Webhook").answer(400, json!({ "Message": said })));
        let error = halo.register_callback(&target()).await.unwrap_err();
        assert!(matches!(error, PsaError::Validation { .. }));
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}

#[tokio::test]
async fn a_webhook_that_is_gone_is_removed() {
    for status in [200, 404] {
        let (psa, halo) = allowed();
        psa.expect(delete(&format!("/api/Webhook/{ID}")).answer_raw(status, "text/plain", ""));
        halo.remove_callback(&Callback { id: id(ID) })
            .await
            .unwrap();
        psa.finish();
    }
}
