use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;
use crate::fake_microsoft::directory::schemas;

#[tokio::test]
async fn paged_lists_add_up_to_the_truth_at_every_size() {
    for users in [0, 1, 999, 1000, 20_000] {
        let bench = Bench::new(seed(users)).await;
        let target = format!("/users?$select={ALL_USER_FIELDS}&$top=999");
        let (found, pages) = bench.all(&target).await;
        assert_eq!(pages, users.div_ceil(999).max(1));
        let (groups, _) = bench
            .all(&format!("/groups?$select={ALL_GROUP_FIELDS}&$top=999"))
            .await;
        let fields = schemas::MANAGED_DEVICE.documented.join(",");
        let target = format!("/deviceManagement/managedDevices?$select={fields}");
        let (devices, _) = bench.all(&target).await;
        let directory = bench.tenant.directory.lock().unwrap();
        assert_eq!(found.len(), users);
        assert_same(
            &by_id(&schemas::USER, &directory.users()),
            &by_id(&schemas::USER, &found),
        );
        assert_same(
            &by_id(&schemas::GROUP, &directory.groups()),
            &by_id(&schemas::GROUP, &groups),
        );
        let truth = by_id(&schemas::MANAGED_DEVICE, &directory.devices());
        assert_same(&truth, &by_id(&schemas::MANAGED_DEVICE, &devices));
    }
}

#[tokio::test]
async fn small_collections_are_the_truth() {
    let bench = Bench::new(seed(60)).await;
    let (skus, _) = bench.all("/subscribedSkus").await;
    let (subscriptions, _) = bench.all("/directory/subscriptions").await;
    let (organization, _) = bench.all("/organization").await;
    let (profiles, _) = bench.all("/security/secureScoreControlProfiles").await;
    let (scores, pages) = bench.all("/security/secureScores?$top=40").await;
    assert_eq!((scores.len(), pages), (90, 3));
    let newest = bench.get("/security/secureScores?$top=1").await.json();
    assert_eq!(
        newest["value"][0]["createdDateTime"],
        "2026-11-19T00:00:00Z"
    );
    let directory = bench.tenant.directory.lock().unwrap();
    let same = |schema, truth: Vec<Value>, found: &[Value]| {
        assert_same(&by_id(schema, &truth), &by_id(schema, found));
    };
    same(&schemas::SUBSCRIBED_SKU, directory.skus(), &skus);
    same(
        &schemas::SUBSCRIPTION,
        directory.subscriptions(),
        &subscriptions,
    );
    same(
        &schemas::ORGANIZATION,
        vec![directory.organization()],
        &organization,
    );
    same(
        &schemas::CONTROL_PROFILE,
        directory.control_profiles(),
        &profiles,
    );
    same(&schemas::SECURE_SCORE, directory.secure_scores(), &scores);
    assert_eq!(newest["value"][0]["id"], directory.secure_scores()[0]["id"]);
}

#[tokio::test]
async fn shards_by_first_letter_and_the_rest_add_up_to_everybody() {
    let bench = Bench::new(seed(1500)).await;
    let mut found = BTreeSet::new();
    let mut shards: Vec<String> = ('a'..='z')
        .map(|letter| format!("startsWith(userPrincipalName,'{letter}')"))
        .collect();
    shards.push(
        ('a'..='z')
            .map(|letter| format!("not startsWith(userPrincipalName,'{letter}')"))
            .collect::<Vec<_>>()
            .join(" and "),
    );
    let mut counted = 0;
    for shard in shards {
        let filter = shard.replace(' ', "%20").replace('\'', "%27");
        let target = format!("/users?$select=id&$top=100&$count=true&$filter={filter}");
        let first = bench.get_eventual(&target).await.json();
        counted += first["@odata.count"].as_u64().unwrap();
        let (items, _) = bench.all(&target).await;
        found.extend(items.iter().map(|item| item["id"].to_string()));
    }
    assert_eq!((found.len(), counted), (1500, 1500));
    let rest = "/users?$select=id&$count=true&$filter=startsWith(userPrincipalName,%27_%27)";
    assert!(
        bench.get_eventual(rest).await.json()["@odata.count"]
            .as_u64()
            .unwrap()
            > 0
    );
}

#[tokio::test]
async fn counts_come_as_text_and_need_eventual_consistency() {
    let bench = Bench::new(seed(120)).await;
    let got = bench.get_eventual("/users/$count").await;
    assert_eq!((got.status.as_u16(), got.text.as_str()), (200, "120"));
    assert_eq!(bench.get_eventual("/groups/$count").await.text, "24");
    assert_eq!(bench.get("/users/$count").await.status, 400);
    assert_eq!(bench.get("/users?$count=true").await.status, 400);
    let page = bench
        .get_eventual("/users?$select=id&$top=50&$count=true")
        .await
        .json();
    assert_eq!(page["@odata.count"], 120);
    let next = page["@odata.nextLink"].as_str().unwrap();
    // The header is not carried by the link, the count is not repeated.
    assert_eq!(bench.get(next).await.status, 400);
    assert!(
        bench
            .get_eventual(next)
            .await
            .json()
            .get("@odata.count")
            .is_none()
    );
}

#[tokio::test]
async fn members_of_all_kinds_come_in_pages_and_are_the_truth() {
    let bench = Bench::new(seed(2500)).await;
    let groups: Vec<(Uuid, Vec<Value>)> = {
        let directory = bench.tenant.directory.lock().unwrap();
        let ids = directory.groups.live().map(|row| row.id);
        ids.map(|id| (id, directory.members(id))).collect()
    };
    let mut kinds = BTreeSet::new();
    for (id, truth) in groups
        .iter()
        .take(110)
        .filter(|(_, truth)| truth.len() != 15)
    {
        let target = format!("/groups/{id}/members?$select=id,displayName&$top=100");
        let (members, pages) = bench.all(&target).await;
        assert_eq!(pages, truth.len().div_ceil(100).max(1));
        kinds.extend(
            members
                .iter()
                .map(|member| member["@odata.type"].to_string()),
        );
        let by_id = |members: &[Value]| -> BTreeMap<String, Value> {
            members
                .iter()
                .map(|member| (member["id"].to_string(), member.clone()))
                .collect()
        };
        assert_eq!(by_id(truth), by_id(&members));
    }
    assert_eq!(kinds.len(), 5);
}

#[tokio::test]
async fn expand_shows_at_most_twenty_members() {
    let bench = Bench::new(seed(600)).await;
    let target = "/groups?$select=id&$top=999&$expand=members($select=id)";
    let (groups, _) = bench.all(target).await;
    let directory = bench.tenant.directory.lock().unwrap();
    let mut full = 0;
    for group in &groups {
        let id = Uuid::parse_str(group["id"].as_str().unwrap()).unwrap();
        let shown = group["members"].as_array().unwrap().len();
        assert_eq!(shown, directory.members(id).len().min(20));
        full += usize::from(shown == 20);
    }
    assert!(full > 0);
}

#[tokio::test]
async fn links_are_followed_verbatim_or_refused() {
    let bench = Bench::new(seed(40)).await;
    let page = bench
        .get("/users?$select=id,displayName&$top=10")
        .await
        .json();
    let next = page["@odata.nextLink"].as_str().unwrap();
    assert_eq!(bench.get(next).await.status, 200);
    for changed in [
        next.replace("$top=10", "$top=20"),
        next.replace("id,displayName", "id"),
        next.replace("skiptoken=X%27", "skiptoken=X%27A"),
        next.replace("%27", "%2527"),
    ] {
        assert_eq!(bench.get(&changed).await.status, 400, "{changed}");
    }
    let other = bench
        .fake
        .add_tenant(TenantSeed::new("Other", "other.example").users(40));
    let stranger = bench.token_of(other.id);
    let got = send(bench.http.get(next).bearer_auth(stranger)).await;
    assert_eq!(got.status, 400);
}

#[tokio::test]
async fn one_user_is_found_by_id_and_by_name_with_its_number_sign() {
    let bench = Bench::new(seed(60)).await;
    let guest = {
        let directory = bench.tenant.directory.lock().unwrap();
        let users = directory.users();
        users
            .into_iter()
            .find(|user| user["userType"] == "Guest")
            .unwrap()
    };
    let upn = guest["userPrincipalName"].as_str().unwrap();
    let got = bench
        .get(&format!("/users/{}?$select=id", upn.replace('#', "%23")))
        .await;
    assert_eq!(got.json()["id"], guest["id"]);
    let got = bench
        .get(&format!("/users/{}", guest["id"].as_str().unwrap()))
        .await;
    assert_eq!(got.json()["userPrincipalName"], upn);
    assert_eq!(got.json().get("accountEnabled"), None);
    assert_eq!(
        bench.get("/users/nobody@contoso.com").await.code(),
        "Request_ResourceNotFound"
    );
}

#[tokio::test]
async fn a_page_of_999_users_takes_milliseconds() {
    let bench = Bench::new(seed(20_000)).await;
    let target = format!("/users?$select={ALL_USER_FIELDS}&$top=999");
    bench.get(&target).await;
    let before = std::time::Instant::now();
    for _ in 0..10 {
        bench.get(&target).await;
    }
    let each = before.elapsed() / 10;
    assert!(each.as_millis() < 500, "{each:?}");
    println!("a page of 999 users: {each:?}");
}

impl Bench {
    fn token_of(&self, tenant: Uuid) -> String {
        let token = self.issue(&INITIAL_APP_ROLES, None);
        let cloud = self.fake.cloud();
        let mut tokens = cloud.access_tokens.lock().unwrap();
        tokens.get_mut(&token).unwrap().tenant = tenant;
        drop(tokens);
        token
    }
}
