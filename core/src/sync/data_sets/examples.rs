//! Example bodies of the initial sync, read by the data sets that meet them.

use serde_json::Value;
use uuid::Uuid;

use super::{devices, group_pages, licenses, mailbox_report, organization, secure_scores, users};
use crate::{
    ids::TenantId,
    inventory::documents::Group,
    microsoft::{examples::texts, page::Page},
    sync::pages::DecodedPage,
};

fn tenant() -> TenantId {
    TenantId::from_uuid(Uuid::nil())
}

fn items(json: &str) -> usize {
    let body: Value = serde_json::from_str(json).unwrap();
    body["value"].as_array().unwrap().len()
}

/// Fails unless the page was read whole, with its links.
fn assert_whole(page: &DecodedPage, json: &str, folder: &str) {
    let body: Value = serde_json::from_str(json).unwrap();
    assert_eq!(page.items, items(json), "{folder}");
    assert_eq!(
        page.next_link.as_deref(),
        body["@odata.nextLink"].as_str(),
        "{folder}"
    );
    assert_eq!(
        page.delta_link.as_deref(),
        body["@odata.deltaLink"].as_str(),
        "{folder}"
    );
}

#[test]
fn pages_of_users_and_rounds_of_their_changes_are_read() {
    for name in ["users.page1.json", "users.page2.json"] {
        for (folder, json) in texts(name) {
            let page = users::decode_page(json.as_bytes(), tenant(), 1).unwrap();
            assert_whole(&page, &json, &folder);
        }
    }
    for name in ["users.delta.json", "users.delta.final.json"] {
        for (folder, json) in texts(name) {
            let page = users::decode_changes(json.as_bytes(), tenant(), 1).unwrap();
            assert_whole(&page, &json, &folder);
        }
    }
}

#[test]
fn groups_with_their_members_are_read() {
    for (folder, json) in texts("groups.page1.json") {
        let page: Page<'_, Group<'_>> = Page::read(json.as_bytes()).unwrap();
        assert_eq!(page.value.len(), items(&json), "{folder}");
    }
    for name in ["groups.delta.json", "groups.delta.changes.json"] {
        for (folder, json) in texts(name) {
            let round = group_pages::Round::Full;
            let page = group_pages::decode_delta(json.as_bytes(), tenant(), 1, round).unwrap();
            assert_whole(&page, &json, &folder);
        }
    }
}

#[test]
fn members_of_a_group_are_read_with_their_types() {
    for (folder, json) in texts("groups.members.json") {
        let (rows, next_link) = group_pages::decode_members(json.as_bytes(), Uuid::nil()).unwrap();
        assert_eq!((rows.len(), next_link), (items(&json), None), "{folder}");
    }
}

#[test]
fn organisation_licences_scores_and_devices_are_read() {
    for (folder, json) in texts("organization.json") {
        assert_eq!(
            organization::decode(json.as_bytes()).unwrap().len(),
            1,
            "{folder}"
        );
    }
    for (folder, json) in texts("subscribedSkus.json") {
        assert_eq!(
            licenses::decode(json.as_bytes(), None).unwrap().len(),
            items(&json),
            "{folder}"
        );
    }
    for (folder, json) in texts("secureScores.json") {
        let page = secure_scores::decode_page(json.as_bytes(), tenant(), 1).unwrap();
        assert_whole(&page, &json, &folder);
    }
    for (folder, json) in texts("managedDevices.json") {
        let page = devices::decode_page(json.as_bytes(), tenant(), 1).unwrap();
        assert_whole(&page, &json, &folder);
    }
}

#[test]
fn the_mailbox_report_is_read() {
    for (folder, csv) in texts("mailboxUsageDetail.csv") {
        let rows = mailbox_report::decode(csv.as_bytes()).unwrap();
        assert_eq!(rows.len(), records(&csv) - 1, "{folder}");
        assert!(
            rows.iter().all(|row| row.user_principal_name.is_some()),
            "{folder}"
        );
        assert!(
            rows.iter()
                .all(|row| row.is_deleted.is_some() && row.report_period.is_some()),
            "{folder}"
        );
    }
}

/// Lines that end outside quotes: a quoted field may hold a line break of its own.
fn records(csv: &str) -> usize {
    let mut quoted = false;
    let mut count = 0;
    for character in csv.chars() {
        match character {
            '"' => quoted = !quoted,
            '\n' if !quoted => count += 1,
            _ => {}
        }
    }
    count
}
