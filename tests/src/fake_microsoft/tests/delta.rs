use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::*;
use crate::fake_microsoft::{
    directory::{Directory, schemas},
    faults::Fault,
};

/// What a client knows after the rounds it read.
#[derive(Default)]
struct Copy {
    objects: BTreeMap<String, Value>,
    members: BTreeMap<String, BTreeSet<String>>,
}

impl Copy {
    fn apply(&mut self, items: &[Value]) {
        for item in items {
            let id = item["id"].as_str().unwrap().to_owned();
            if item.get("@removed").is_some() {
                self.objects.remove(&id);
                continue;
            }
            let object = self.objects.entry(id.clone()).or_insert_with(|| json!({}));
            for (name, value) in item.as_object().unwrap() {
                if name != "members@delta" {
                    object[name] = value.clone();
                }
            }
            let members = self.members.entry(id).or_default();
            for entry in item["members@delta"].as_array().into_iter().flatten() {
                let member = entry["id"].as_str().unwrap().to_owned();
                if entry.get("@removed").is_some() {
                    members.remove(&member);
                } else {
                    members.insert(member);
                }
            }
        }
    }

    fn assert_users(&self, directory: &Directory) {
        let found: Vec<Value> = self.objects.values().cloned().collect();
        let truth = directory.users();
        assert_same(
            &by_id(&schemas::USER, &truth),
            &by_id(&schemas::USER, &found),
        );
    }

    fn assert_groups(&self, directory: &Directory) {
        let found: Vec<Value> = self.objects.values().cloned().collect();
        let truth = directory.groups();
        assert_same(
            &by_id(&schemas::GROUP, &truth),
            &by_id(&schemas::GROUP, &found),
        );
        for id in self.objects.keys() {
            let group = Uuid::parse_str(id).unwrap();
            let truth: BTreeSet<String> = directory
                .members(group)
                .iter()
                .map(|member| member["id"].as_str().unwrap().to_owned())
                .collect();
            // A soft-deleted member stays in the list; a client hides it.
            let live = self.members[id].iter().filter(|member| {
                let member = Uuid::parse_str(member).unwrap();
                let kind = directory.kind_of(member);
                kind.is_some_and(|kind| directory.find(kind, member).is_some())
            });
            assert_eq!(truth, live.cloned().collect());
        }
    }
}

fn users_delta() -> String {
    format!("/users/delta?$select={ALL_USER_FIELDS}")
}

fn groups_delta() -> String {
    format!("/groups/delta?$select={ALL_GROUP_FIELDS},members")
}

#[tokio::test]
async fn rounds_reproduce_the_truth_after_every_kind_of_change() {
    let bench = Bench::new(seed(1100)).await;
    let (mut users, mut groups) = (Copy::default(), Copy::default());
    let (items, mut user_link) = bench.round(&users_delta()).await;
    users.apply(&items);
    let (items, mut group_link) = bench.round(&groups_delta()).await;
    groups.apply(&items);
    for changes in [0, 1, 10, 700] {
        bench.tenant.directory.lock().unwrap().churn(changes);
        let (items, next) = bench.round(&user_link).await;
        users.apply(&items);
        user_link = next;
        let (items, next) = bench.round(&group_link).await;
        assert!(changes > 0 || items.is_empty());
        groups.apply(&items);
        group_link = next;
        let directory = bench.tenant.directory.lock().unwrap();
        users.assert_users(&directory);
        groups.assert_groups(&directory);
    }
}

#[tokio::test]
async fn a_link_from_latest_and_a_later_list_miss_nothing() {
    let bench = Bench::new(seed(300)).await;
    let (none, link) = bench
        .round(&format!("{}&$deltatoken=latest", users_delta()))
        .await;
    assert!(none.is_empty());
    bench.tenant.directory.lock().unwrap().churn(60);
    let mut users = Copy::default();
    let (items, _) = bench
        .all(&format!("/users?$select={ALL_USER_FIELDS}&$top=999"))
        .await;
    users.apply(&items);
    bench.tenant.directory.lock().unwrap().churn(60);
    let (items, _) = bench.round(&link).await;
    users.apply(&items);
    users.assert_users(&bench.tenant.directory.lock().unwrap());
}

#[tokio::test]
async fn changes_while_a_first_round_is_read_surface_in_the_next() {
    let bench = Bench::new(seed(1500)).await;
    let mut users = Copy::default();
    let mut link = users_delta();
    let delta = loop {
        let page = bench.get(&link).await.json();
        users.apply(page["value"].as_array().unwrap());
        bench.tenant.directory.lock().unwrap().churn(30);
        match page["@odata.nextLink"].as_str() {
            Some(next) => link = next.to_owned(),
            None => break page["@odata.deltaLink"].as_str().unwrap().to_owned(),
        }
    };
    let (items, _) = bench.round(&delta).await;
    users.apply(&items);
    users.assert_users(&bench.tenant.directory.lock().unwrap());
}

#[tokio::test]
async fn pages_hold_two_hundred_and_some_are_empty_though_the_round_goes_on() {
    let bench = Bench::new(seed(20_000)).await;
    let mut link = users_delta();
    let (mut sizes, mut users) = (Vec::new(), Copy::default());
    loop {
        let page = bench.get(&link).await.json();
        let items = page["value"].as_array().unwrap();
        sizes.push(items.len());
        users.apply(items);
        match page["@odata.nextLink"].as_str() {
            Some(next) => link = next.to_owned(),
            None => break,
        }
    }
    assert!(sizes.iter().all(|size| [0, 200].contains(size)));
    assert!(sizes.contains(&0));
    users.assert_users(&bench.tenant.directory.lock().unwrap());
}

#[tokio::test]
async fn slices_of_big_groups_unite_to_the_truth() {
    let bench = Bench::new(seed(3000)).await;
    let (items, _) = bench.round(&groups_delta()).await;
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for item in &items {
        *times.entry(item["id"].as_str().unwrap()).or_default() += 1;
    }
    assert!(times.values().any(|times| *times > 1));
    let mut groups = Copy::default();
    groups.apply(&items);
    groups.assert_groups(&bench.tenant.directory.lock().unwrap());
}

#[tokio::test]
async fn unset_properties_are_absent_and_null_is_a_value() {
    let bench = Bench::new(seed(3)).await;
    let (items, link) = bench
        .round("/users/delta?$select=jobTitle,creationType")
        .await;
    assert!(items.iter().all(|item| item.get("creationType").is_none()));
    let id = bench.tenant.people.read().unwrap()[0].oid;
    let change = |properties| {
        bench
            .tenant
            .directory
            .lock()
            .unwrap()
            .update_user(id, properties)
    };
    change(json!({"department": "not selected"}));
    let (items, link) = bench.round(&link).await;
    assert!(items.is_empty());
    change(json!({"jobTitle": null, "creationType": "Invitation"}));
    let (items, link) = bench.round(&link).await;
    assert_eq!(
        items,
        [json!({"id": id, "jobTitle": null, "creationType": "Invitation"})]
    );
    change(json!({"jobTitle": "Boss"}));
    let minimal = bench.request(&link).header("Prefer", "return=minimal");
    let page = send(minimal).await.json();
    assert_eq!(page["value"], json!([{"id": id, "jobTitle": "Boss"}]));
}

#[tokio::test]
async fn removal_tells_restorable_from_gone_and_members_stay_until_purged() {
    let bench = Bench::new(seed(30)).await;
    let (_, users) = bench
        .round(&format!("{}&$deltatoken=latest", users_delta()))
        .await;
    let (_, groups) = bench
        .round(&format!("{}&$deltatoken=latest", groups_delta()))
        .await;
    let (user, group) = {
        let mut directory = bench.tenant.directory.lock().unwrap();
        let user = directory.add_user(json!({}));
        let group = directory.groups.rows[1].id;
        directory.add_member(group, user);
        directory.delete_user(user);
        (user, group)
    };
    let (items, users) = bench.round(&users).await;
    assert_eq!(
        items,
        [json!({"id": user, "@removed": {"reason": "changed"}})]
    );
    let (items, groups) = bench.round(&groups).await;
    let added = json!([{"@odata.type": "#microsoft.graph.user", "id": user}]);
    assert_eq!(items[0]["members@delta"], added);
    let (members, _) = bench
        .all(&format!("/groups/{group}/members?$select=id"))
        .await;
    assert!(members.iter().all(|member| member["id"] != json!(user)));
    bench.tenant.directory.lock().unwrap().purge_user(user);
    let (items, _) = bench.round(&users).await;
    assert_eq!(
        items,
        [json!({"id": user, "@removed": {"reason": "deleted"}})]
    );
    let (items, _) = bench.round(&groups).await;
    assert_eq!(
        items[0]["members@delta"][0]["@removed"]["reason"],
        "deleted"
    );
}

#[tokio::test]
async fn options_delta_does_not_know_and_changed_links_are_refused() {
    let bench = Bench::new(seed(10)).await;
    for option in [
        "$top=5",
        "$expand=members",
        "$orderby=id",
        "$filter=userType%20eq%20%27x%27",
    ] {
        let got = bench.get(&format!("/groups/delta?{option}")).await;
        assert_eq!(got.code(), "Request_UnsupportedQuery", "{option}");
    }
    let (_, link) = bench.round("/users/delta?$select=id").await;
    assert_eq!(bench.get(&format!("{link}&$select=id")).await.status, 400);
    assert_eq!(bench.get(&format!("{link}A")).await.status, 400);
    assert_eq!(
        bench.get(&link.replace("users", "groups")).await.status,
        400
    );
    let id = bench.tenant.people.read().unwrap()[0].oid;
    let filter = format!("/users/delta?$select=id&$filter=id%20eq%20%27{id}%27");
    assert_eq!(bench.round(&filter).await.0.len(), 1);
}

#[tokio::test]
async fn expired_links_answer_in_three_shapes_and_after_seven_days() {
    let bench = Bench::new(seed(10)).await;
    let (_, link) = bench.round("/users/delta?$select=id").await;
    for (shape, status, code) in [
        (1, 410, "syncStateNotFound"),
        (2, 404, "ResyncRequired"),
        (3, 400, "Request_UnsupportedQuery"),
    ] {
        let cloud = bench.fake.cloud();
        cloud
            .faults
            .script(rule("$deltatoken=", Fault::ExpiredDelta(shape)));
        let got = bench.get(&link).await;
        assert_eq!((got.status.as_u16(), got.code().as_str()), (status, code));
        assert_eq!(got.headers.contains_key("location"), shape == 1);
        assert!(cloud.faults.unread().is_empty());
    }
    assert_eq!(bench.get(&link).await.status, 200);
    bench.fake.cloud().advance_seconds(8 * 24 * 3600);
    let token = bench.issue(&INITIAL_APP_ROLES, None);
    let got = send(bench.http.get(&link).bearer_auth(token)).await;
    assert_eq!(got.status, 410);
}

#[tokio::test]
async fn replayed_pages_still_end_at_the_truth() {
    let bench = Bench::new(seed(200)).await;
    let fault = Fault::ReplayDelta;
    let rule = rule("/groups/delta", fault);
    bench
        .fake
        .cloud()
        .faults
        .script(super::super::faults::FaultRule {
            times: u32::MAX,
            ..rule
        });
    let mut groups = Copy::default();
    let (items, link) = bench.round(&groups_delta()).await;
    assert_eq!(items.len(), 80);
    groups.apply(&items);
    bench.tenant.directory.lock().unwrap().churn(100);
    let (items, _) = bench.round(&link).await;
    groups.apply(&items);
    groups.assert_groups(&bench.tenant.directory.lock().unwrap());
}
