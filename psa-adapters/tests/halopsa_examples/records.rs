//! Clients, sites, users and the tenant map.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tenantry_psa::{
    Customer, CustomerQuery, CustomerState, EvidenceKind, ExternalId, PsaAdapter, TenantHint,
};

use crate::{
    example::{Example, id_of, one, signed_in, text_of},
    scripted::get,
};

/// All pages of the list that this one begins.
pub async fn clients(all: &[Example], first: &Example) {
    if first.parameter("page_no") != Some("1") {
        assert!(
            all.iter().any(|other| {
                other.path == first.path && other.parameter("page_no") == Some("1")
            })
        );
        return;
    }
    let (psa, halo) = signed_in();
    let mut rows = Vec::new();
    for page in all
        .iter()
        .filter(|other| other.path == first.path && other.status == 200)
    {
        let number = page.parameter("page_no").unwrap();
        psa.expect(page.answers(get("/api/Client").query("page_no", number)));
        rows.extend(page.json()["clients"].as_array().unwrap().clone());
    }
    for row in &rows {
        let path = format!("/api/Client/{}", id_of(&row["id"]).unwrap());
        psa.expect(get(&path).answer(200, row.clone()));
    }
    let query = CustomerQuery::default();
    let mut read = Vec::new();
    let mut cursor = None;
    loop {
        let page = halo.list_customers(&query, cursor.as_ref()).await.unwrap();
        assert_eq!(
            page.expected,
            id_of(&first.json()["record_count"]).and_then(|count| count.0.parse().ok())
        );
        read.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    psa.finish();
    rows.retain(|row| row["isopportunity"].as_f64().unwrap_or_default() == 0.0);
    assert_eq!(read.len(), rows.len());
    for (customer, row) in read.iter().zip(&rows) {
        check_client(customer, row);
    }
}

fn check_client(customer: &Customer, row: &Value) {
    assert_eq!(Some(&customer.id), id_of(&row["id"]).as_ref());
    let code = text_of(&row["accountsid"]);
    assert_eq!(customer.code, code);
    assert_eq!(
        Some(&customer.name),
        text_of(&row["name"]).or(code).as_ref()
    );
    let is_inactive = row["inactive"] == json!(true) || row["inactive"] == json!(1);
    let is_told_inactive = customer.state == CustomerState::Inactive;
    assert_eq!(is_told_inactive, is_inactive);
    let types: Vec<String> = customer.types.iter().map(|t| t.name.clone()).collect();
    let wanted: Vec<String> = text_of(&row["customertype_new"]).into_iter().collect();
    assert_eq!(types, wanted);
    assert_eq!(customer.website, text_of(&row["website"]));
    assert_eq!(customer.phone, text_of(&row["main_phonenumber"]));
}

pub async fn client(example: &Example, id: &str) {
    let (psa, halo) = signed_in();
    let query = example.parameter("includedetails").unwrap();
    psa.expect(example.answers(get(&example.path).query("includedetails", query)));
    let customer = halo
        .get_customer(&ExternalId(id.to_owned()))
        .await
        .unwrap()
        .unwrap();
    let row = example.json();
    check_client(&customer, &row);
    let moment = text_of(&row["alastupdate"]).filter(|text| !text.starts_with("1899"));
    assert_eq!(customer.updated_at, moment);
    let of = |kind: EvidenceKind| {
        let mut values = customer.evidence.iter().filter(move |e| e.kind == kind);
        values.next().map(|evidence| evidence.value.clone())
    };
    assert_eq!(of(EvidenceKind::Website), text_of(&row["domain"]));
    for field in row["customfields"].as_array().unwrap() {
        let value = text_of(&field["value"]).or_else(|| text_of(&field["display"]));
        let wanted = value.filter(|text| text.contains(".onmicrosoft.") || text.len() == 36);
        if wanted.is_some() {
            let told = of(EvidenceKind::TenantId).or_else(|| of(EvidenceKind::InitialDomain));
            assert_eq!(told, wanted);
        }
    }
}

pub async fn sites(example: &Example) {
    let (psa, halo) = signed_in();
    let client = example.parameter("client_id").unwrap();
    let rows = example.json()["sites"].as_array().unwrap().clone();
    psa.expect(get(&format!("/api/Client/{client}")).answer(
        200,
        json!({"id": client.parse::<i64>().unwrap(), "main_site_id": rows[0]["id"]}),
    ));
    psa.expect(example.answers(get("/api/Site").query("client_id", client)));
    let sites = halo
        .list_sites(&ExternalId(client.to_owned()))
        .await
        .unwrap();
    psa.finish();
    assert_eq!(sites.len(), rows.len());
    for (site, row) in sites.iter().zip(&rows) {
        assert_eq!(Some(&site.id), id_of(&row["id"]).as_ref());
        assert_eq!(Some(&site.name), text_of(&row["name"]).as_ref());
        assert_eq!(site.phone, text_of(&row["phonenumber"]));
        assert_eq!(site.active, row["inactive"] != json!(true));
        assert!(site.primary);
        let part = |flat: &str, nested: &str| {
            text_of(&row[flat]).or_else(|| text_of(&row["delivery_address"][nested]))
        };
        let lines: Vec<String> = [
            part("delivery_address_line1", "line1"),
            part("delivery_address_line2", "line2"),
        ]
        .into_iter()
        .flatten()
        .collect();
        assert_eq!(site.address.lines, lines);
        assert_eq!(site.address.city, part("delivery_address_line3", "line3"));
        assert_eq!(site.address.state, part("delivery_address_line4", "line4"));
        assert_eq!(
            site.address.postal_code,
            part("delivery_address_line5", "postcode")
        );
        assert_eq!(site.address.country, text_of(&row["country_code_name"]));
    }
}

fn shown(hints: &[TenantHint]) -> Vec<(String, String)> {
    hints
        .iter()
        .map(|hint| (hint.customer.0.clone(), hint.evidence.value.clone()))
        .collect()
}

pub async fn users(example: &Example) {
    let (psa, halo) = signed_in();
    psa.expect(get("/api/AzureADConnection").answer(200, json!([])));
    let cursor = halo.list_hints(None).await.unwrap().next;
    psa.expect(example.answers(get("/api/Users").query("page_no", "1")));
    let page = halo.list_hints(cursor.as_ref()).await.unwrap();
    psa.finish();
    assert_eq!((page.next, page.left_out), (None, None));
    let mut wanted = Vec::new();
    for row in example.json()["users"].as_array().unwrap() {
        if row["inactive"] == json!(true) || row["isserviceaccount"] == json!(true) {
            continue;
        }
        let domains: BTreeSet<String> = ["emailaddress", "email2", "email3"]
            .iter()
            .filter_map(|key| text_of(&row[*key]))
            .filter_map(|address| Some(address.to_lowercase().split_once('@')?.1.to_owned()))
            .filter(|domain| domain != "gmail.com")
            .collect();
        let client = id_of(&row["client_id"]).unwrap().0;
        wanted.extend(domains.into_iter().map(|domain| (client.clone(), domain)));
    }
    assert!(!wanted.is_empty());
    assert_eq!(shown(&page.items), wanted);
}

pub async fn connection(example: &Example, id: &str) {
    let (psa, halo) = signed_in();
    psa.expect(
        get("/api/AzureADConnection")
            .query("type", "2")
            .answer(200, json!([{"id": id.parse::<i64>().unwrap()}])),
    );
    let mut expected = get(&example.path);
    for (name, value) in &example.query {
        expected = expected.query(name, value);
    }
    psa.expect(example.answers(expected));
    let page = halo.list_hints(None).await.unwrap();
    psa.finish();
    let connection = one(example.json());
    let wanted: Vec<(String, String)> = connection["mappings_client"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|row| {
            let tenant = text_of(&row["azure_tenant_id"])?.to_lowercase();
            Some((id_of(&row["client_id"])?.0, tenant))
        })
        .collect();
    assert!(!wanted.is_empty());
    assert_eq!(shown(&page.items), wanted);
    assert!(
        page.items
            .iter()
            .all(|hint| hint.evidence.kind == EvidenceKind::TenantMap)
    );
}
