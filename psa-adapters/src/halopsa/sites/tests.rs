use serde_json::json;

use crate::{contract::PsaAdapter, scripted::get};

use super::*;
use crate::halopsa::testing::{id, signed_in};

#[tokio::test]
async fn the_sites_of_a_client_are_told_with_address_and_main_one() {
    let (psa, halo) = signed_in();
    psa.expect(get("/api/Client/12").answer(200, json!({"id": 12, "main_site_id": 18.0})));
    let list = |page: &str| {
        get("/api/Site")
            .query("client_id", "12")
            .query("page_no", page)
            .query("includeinactive", "true")
    };
    psa.expect(list("1").answer(
        200,
        json!({"record_count": 4, "sites": [
            {"id": 18, "name": "Main", "client_id": 12.0, "inactive": false, "phonenumber": "0117",
             "delivery_address_line1": "14 Quayside", "delivery_address_line2": "Floor 2",
             "delivery_address_line3": "Bristol", "delivery_address_line4": "Avon",
             "delivery_address_line5": "BS1 6TR", "country_code_name": "United Kingdom"},
            {"id": 24, "name": "Other", "client_id": 18.0, "delivery_address_line1": "x"},
        ]}),
    ));
    psa.expect(list("2").answer(
        200,
        json!({"record_count": 4, "sites": [
            {"id": 25, "name": "", "client_id": 12, "inactive": true},
            {"id": 26, "name": "Bare", "client_id": 12},
        ]}),
    ));
    psa.expect(get("/api/Site/25").query("includedetails", "true").answer(
        200,
        json!({"id": 25, "client_id": 12, "inactive": true,
               "delivery_address": {"line1": "1 Mill Road", "line3": "Bath", "postcode": 12345}}),
    ));
    psa.expect(get("/api/Site/26").answer_raw(404, "text/plain", ""));
    let sites = halo.list_sites(&id("12")).await.unwrap();
    psa.finish();
    let names: Vec<&str> = sites.iter().map(|site| site.name.as_str()).collect();
    assert_eq!(names, ["Main", "25", "Bare"]);
    assert_eq!(
        sites[0].address,
        Address {
            lines: vec!["14 Quayside".to_owned(), "Floor 2".to_owned()],
            city: Some("Bristol".to_owned()),
            state: Some("Avon".to_owned()),
            postal_code: Some("BS1 6TR".to_owned()),
            country: Some("United Kingdom".to_owned()),
        }
    );
    assert!(sites[0].primary && sites[0].active);
    assert_eq!(sites[0].phone.as_deref(), Some("0117"));
    assert!(!sites[1].primary && !sites[1].active);
    assert_eq!(sites[1].address.city.as_deref(), Some("Bath"));
    assert_eq!(sites[1].address.postal_code.as_deref(), Some("12345"));
}

#[tokio::test]
async fn sites_of_no_client_are_not_found() {
    let (psa, halo) = signed_in();
    psa.expect(get("/api/Client/12").answer_raw(404, "text/plain", ""));
    assert_eq!(halo.list_sites(&id("12")).await, Err(PsaError::NotFound));
    assert_eq!(halo.list_sites(&id("x")).await, Err(PsaError::NotFound));
    psa.finish();
}
