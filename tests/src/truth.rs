//! Comparing what the API lists with what the stand-in holds, row by row.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    app::{Caller, PATIENCE},
    database::Raw,
    fake_microsoft::state::Tenant,
};

/// Fails unless every collection of the tenant equals the stand-in's truth.
pub async fn assert_equal(caller: &Caller, tenant: &Tenant) {
    assert_directory_equal(caller, tenant).await;
    let truth = tenant.directory.lock().expect("directory").mailboxes();
    let listed = mailboxes_with_their_kinds(caller, tenant.id).await;
    compare("mailboxes", &by_name(&truth), &by_name(&listed));
}

/// The same for a tenant that is read as its administrator, to whom other people's mailboxes do not
/// tell their kind.
pub async fn assert_equal_but_kinds(caller: &Caller, tenant: &Tenant) {
    assert_directory_equal(caller, tenant).await;
    let mut truth = tenant.directory.lock().expect("directory").mailboxes();
    for mailbox in &mut truth {
        mailbox
            .as_object_mut()
            .expect("an object")
            .remove("userPurpose");
    }
    let listed = caller
        .list(&format!("/tenants/{}/mailboxes", tenant.id))
        .await;
    compare("mailboxes", &by_name(&truth), &by_name(&listed));
}

/// Everything but the mailboxes.
async fn assert_directory_equal(caller: &Caller, tenant: &Tenant) {
    let id = tenant.id;
    let path = |collection: &str| format!("/tenants/{id}/{collection}");
    let truth = {
        let directory = tenant.directory.lock().expect("directory");
        [
            ("users", directory.users()),
            ("groups", directory.groups()),
            ("devices", directory.devices()),
            ("secure-scores", directory.secure_scores()),
            ("licenses", directory.skus()),
        ]
    };
    for (collection, expected) in truth {
        let listed = caller.list(&path(collection)).await;
        compare(collection, &by_id(&expected), &by_id(&listed));
    }
    let (groups, organization) = {
        let directory = tenant.directory.lock().expect("directory");
        let groups: Vec<(Value, Vec<Value>)> = directory
            .groups()
            .into_iter()
            .map(|group| {
                let id = group["id"]
                    .as_str()
                    .expect("an id")
                    .parse()
                    .expect("a GUID");
                (group, directory.members(id))
            })
            .collect();
        (groups, directory.organization())
    };
    let sample = groups.len().div_ceil(200).max(1);
    for (position, (group, members)) in groups.iter().enumerate() {
        // Every group of a small tenant; of a large one an even sample and every large group.
        if position % sample == 0 || members.len() > 100 {
            let listed = caller
                .list(&path(&format!(
                    "groups/{}/members",
                    group["id"].as_str().expect("id")
                )))
                .await;
            compare("members", &by_id(members), &by_id(&listed));
        }
    }
    let listed = caller.get(&path("organization")).await.expect(200).json();
    compare("organization", &by_id(&[organization]), &by_id(&[listed]));
}

/// The mailboxes once the pass after the run has asked for the kind of each that has an owner.
pub async fn mailboxes_with_their_kinds(caller: &Caller, tenant: Uuid) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let listed = caller.list(&format!("/tenants/{tenant}/mailboxes")).await;
        let is_open =
            |mailbox: &Value| mailbox["userId"].is_string() && mailbox["userPurpose"].is_null();
        if !listed.iter().any(is_open) {
            return listed;
        }
        assert!(begun.elapsed() < PATIENCE, "kinds did not arrive");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Fails unless all memberships of the tenant's groups are stored, and no others, as far as groups and
/// members are there. Looks into the table, because thousands of groups take too long to list.
pub fn assert_memberships_equal(raw: &Raw, tenant: &Tenant) {
    let directory = tenant.directory.lock().expect("directory");
    let id_of = |object: &Value| {
        let id = object["id"].as_str().expect("an id");
        id.parse::<Uuid>().expect("a GUID")
    };
    let groups: BTreeSet<Uuid> = directory.groups().iter().map(id_of).collect();
    let users: BTreeSet<Uuid> = directory.users().iter().map(id_of).collect();
    let mut truth = BTreeSet::new();
    for group in &groups {
        for member in directory.members(*group) {
            let kind = member["@odata.type"].as_str().expect("a type").to_owned();
            truth.insert((*group, id_of(&member), kind));
        }
    }
    let column = |name: &str| match raw.is_sqlite() {
        true => format!("lower(hex({name}))"),
        false => format!("{name}::text"),
    };
    let (group, member) = (column("group_id"), column("member_id"));
    let lines = raw.lines(&format!(
        "SELECT {group} || ' ' || {member} || ' ' || member_type AS line FROM group_members \
         WHERE tenant_id = {}",
        raw.uuid(tenant.id)
    ));
    let mut stored = BTreeSet::new();
    for line in &lines {
        let mut parts = line.split(' ');
        let mut id = || parts.next().and_then(|id| Uuid::parse_str(id).ok());
        let (group, member) = (id().expect("a group"), id().expect("a member"));
        let kind = parts.next().expect("a type").to_owned();
        let is_there = match kind.as_str() {
            "#microsoft.graph.user" => users.contains(&member),
            "#microsoft.graph.group" => groups.contains(&member),
            _other => true,
        };
        if is_there && groups.contains(&group) {
            stored.insert((group, member, kind));
        }
    }
    let differences: Vec<_> = truth.symmetric_difference(&stored).take(3).collect();
    assert!(
        differences.is_empty() && !truth.is_empty(),
        "{} memberships, {} stored: {differences:?}",
        truth.len(),
        stored.len()
    );
}

/// Every property of the truth must be listed with the same value; the API may know more.
fn compare(what: &str, truth: &BTreeMap<String, Value>, listed: &BTreeMap<String, Value>) {
    let missing: Vec<&String> = truth
        .keys()
        .filter(|key| !listed.contains_key(*key))
        .collect();
    let invented: Vec<&String> = listed
        .keys()
        .filter(|key| !truth.contains_key(*key))
        .collect();
    assert!(
        missing.is_empty() && invented.is_empty(),
        "{what}: {} missing {:?}, {} invented {:?}",
        missing.len(),
        missing.iter().take(3).collect::<Vec<_>>(),
        invented.len(),
        invented.iter().take(3).collect::<Vec<_>>(),
    );
    for (key, expected) in truth {
        let found = &listed[key];
        for (name, value) in expected.as_object().expect("an object") {
            let have = found
                .get(name)
                .unwrap_or_else(|| panic!("{what} {key}: no {name} in {found}"));
            assert_eq!(normal(have), normal(value), "{what} {key}: {name}");
        }
    }
}

/// Null and an empty collection are both "no value" for Microsoft.
fn normal(value: &Value) -> Value {
    match value {
        Value::Array(items) if items.is_empty() => Value::Null,
        Value::Number(number) => number.as_f64().map_or(Value::Null, Value::from),
        Value::Object(members) => Value::Object(
            members
                .iter()
                .map(|(name, member)| (name.clone(), normal(member)))
                .collect::<Map<_, _>>(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(normal).collect()),
        other => other.clone(),
    }
}

fn by_id(items: &[Value]) -> BTreeMap<String, Value> {
    items
        .iter()
        .map(|item| (item["id"].as_str().expect("an id").to_owned(), item.clone()))
        .collect()
}

fn by_name(items: &[Value]) -> BTreeMap<String, Value> {
    let key = |item: &Value| {
        format!(
            "{} {}",
            item["userPrincipalName"].as_str().unwrap_or_default(),
            item["isDeleted"]
        )
    };
    items.iter().map(|item| (key(item), item.clone())).collect()
}
