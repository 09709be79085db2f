//! Delegated tokens on Graph: the scope, and what the person may besides.

use super::*;
use crate::fake_microsoft::{
    INITIAL_APP_ROLES,
    login::{Challenge, challenge_access},
};

/// A data set's endpoint and the one permission it needs.
const LISTS: [(&str, &str); 10] = [
    ("/organization", "Organization.Read.All"),
    ("/users?$select=id", "User.Read.All"),
    ("/users/delta?$select=id", "User.Read.All"),
    ("/groups?$select=id", "Group.Read.All"),
    ("/groups/delta?$select=id", "Group.Read.All"),
    ("/subscribedSkus", "Organization.Read.All"),
    ("/directory/subscriptions", "Organization.Read.All"),
    ("/security/secureScores", "SecurityEvents.Read.All"),
    (
        "/deviceManagement/managedDevices",
        "DeviceManagementManagedDevices.Read.All",
    ),
    ("/admin/reportSettings", "ReportSettings.Read.All"),
];
const REPORT: &str = "/reports/getMailboxUsageDetail(period='D7')";

impl Bench {
    /// The same tenant with a token of its first or second person.
    async fn of_person(scopes: &[&str], number: usize) -> Self {
        let mut bench = Self::new(seed(60)).await;
        let person = bench.tenant.people.read().unwrap()[number].clone();
        bench.token = bench.issue(scopes, Some(person));
        bench
    }
}

#[tokio::test]
async fn every_list_takes_the_delegated_permission_of_the_same_name_and_no_other() {
    let bench = Bench::of_person(&[], 0).await;
    let person = bench.tenant.people.read().unwrap()[0].clone();
    let report = (REPORT, "Reports.Read.All");
    for (target, permission) in LISTS.into_iter().chain([report]) {
        for held in INITIAL_APP_ROLES {
            let token = bench.issue(&[held, "openid"], Some(person.clone()));
            let url = format!("{}/v1.0{target}", bench.fake.graph_url());
            let got = send(bench.http.get(url).bearer_auth(token)).await;
            let also = ["/organization", "/users/delta?$select=id"].contains(&target)
                && held == "User.Read.All";
            let fits = held == permission || also;
            let good = if target == REPORT { 302 } else { 200 };
            let expected = if fits { good } else { 403 };
            assert_eq!(got.status, expected, "{target} with {held}: {}", got.text);
        }
    }
}

#[tokio::test]
async fn items_of_a_batch_and_objects_by_id_need_the_scope_too() {
    let users = [
        "/users?$select=id".to_owned(),
        "/groups?$select=id".to_owned(),
    ];
    let bench = Bench::of_person(&["User.Read.All"], 0).await;
    let answers = bench.post("/$batch", &batch_of(&users)).await.json();
    let mut found: Vec<(String, u64)> = answers["responses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["id"].as_str().unwrap().to_owned(),
                one["status"].as_u64().unwrap(),
            )
        })
        .collect();
    found.sort();
    assert_eq!(found, [("r0".to_owned(), 200), ("r1".to_owned(), 403)]);
    let id = bench.tenant.directory.lock().unwrap().users.rows[0].id;
    let body = json!({"ids": [id], "types": ["user"]});
    let by_ids = "/directoryObjects/getByIds?$select=id,displayName";
    assert_eq!(bench.post(by_ids, &body).await.status, 200);
    let bench = Bench::of_person(&["Reports.Read.All"], 0).await;
    let id = bench.tenant.directory.lock().unwrap().users.rows[0].id;
    let body = json!({"ids": [id], "types": ["user"]});
    let got = bench.post(by_ids, &body).await;
    assert_eq!(
        (got.status.as_u16(), got.code().as_str()),
        (403, "Authorization_RequestDenied")
    );
}

#[tokio::test]
async fn reports_scores_and_devices_need_a_role_besides_the_scope() {
    let with_roles = [
        (REPORT, 302),
        ("/admin/reportSettings", 200),
        ("/security/secureScores", 200),
        ("/deviceManagement/managedDevices", 200),
    ];
    for (number, person_may) in [(0, true), (1, false)] {
        let bench = Bench::of_person(&INITIAL_APP_ROLES, number).await;
        for (target, good) in with_roles {
            let got = bench.get(target).await;
            let expected = if person_may { good } else { 403 };
            assert_eq!(got.status, expected, "{target}: {}", got.text);
        }
        assert_eq!(bench.get("/users?$select=id").await.status, 200);
    }
}

#[tokio::test]
async fn a_person_reads_the_settings_of_the_own_mailbox_only() {
    let bench = Bench::of_person(&["MailboxSettings.Read", "User.Read.All"], 0).await;
    let people = bench.tenant.people.read().unwrap().clone();
    for (person, status) in [(&people[0], 200), (&people[1], 403)] {
        let target = format!("/users/{}/mailboxSettings/userPurpose", person.oid);
        let got = bench.get(&target).await;
        assert_eq!(got.status, status, "{}", got.text);
        if status == 403 {
            assert_eq!(got.code(), "ErrorAccessDenied");
        }
    }
}

#[tokio::test]
async fn continuous_access_evaluation_challenges_the_tokens_it_means() {
    let bench = Bench::of_person(&["User.Read.All"], 0).await;
    let cloud = bench.fake.cloud();
    let person = bench.tenant.people.read().unwrap()[0].clone();
    assert_eq!(bench.get("/users?$select=id").await.status, 200);
    challenge_access(&cloud, bench.tenant.id, Challenge::IssuedTokens);
    let got = bench.get("/users?$select=id").await;
    assert_eq!(
        (got.status.as_u16(), got.code().as_str()),
        (401, "InvalidAuthenticationToken")
    );
    assert!(
        got.text
            .contains("Continuous access evaluation resulted in challenge")
    );
    let challenge = got.header("www-authenticate");
    assert!(challenge.contains("error=\"insufficient_claims\"") && challenge.contains("claims=\""));
    let renewed = Bench {
        token: bench.issue(&["User.Read.All"], Some(person)),
        ..bench
    };
    assert_eq!(renewed.get("/users?$select=id").await.status, 200);

    // An app-only token has no sign-in that could be repeated.
    challenge_access(&cloud, renewed.tenant.id, Challenge::UntilSignIn);
    assert_eq!(renewed.get("/users?$select=id").await.status, 401);
    let app_only = renewed.issue(&["User.Read.All"], None);
    let url = format!("{}/v1.0/users?$select=id", renewed.fake.graph_url());
    let got = send(renewed.http.get(url).bearer_auth(app_only)).await;
    assert_eq!(got.status, 200);
}
