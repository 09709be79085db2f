//! Groups and who is in them.

use serde_json::json;
use uuid::Uuid;

use super::{add_others, licenses::Products};
use crate::fake_microsoft::directory::{
    Directory, Membership, ObjectKind,
    entity::{Entity, quoted},
    schemas,
};

/// Members of an ordinary group, and of one in a hundred.
const USUAL_MEMBERS: usize = 15;
const MANY_MEMBERS: usize = 400;

/// Generates the groups with these ids.
pub fn generate(directory: &mut Directory, ids: &[Uuid], products: &Products) {
    for (number, id) in ids.iter().enumerate() {
        let mut entity = entity(number, *id, &directory.domain);
        if products.group == Some(*id) {
            let license = json!([{"disabledPlans": [], "skuId": products.group_sku()}]);
            entity.assign(&schemas::GROUP, &json!({"assignedLicenses": license}));
        }
        directory.groups.insert(*id, entity);
        let membership = membership(directory, number, ids);
        directory.memberships.push(membership);
    }
}

fn membership(directory: &mut Directory, number: usize, ids: &[Uuid]) -> Membership {
    let mut members = Membership::default();
    let users = directory.users.rows.len();
    let wanted = if number % 100 == 50 {
        MANY_MEMBERS
    } else {
        USUAL_MEMBERS
    };
    let count = match number {
        // A few groups are empty.
        _ if number % 60 == 7 => 0,
        _ => wanted.min(users),
    };
    // Steps up to users / count never meet the same user twice.
    if let Some(longest) = users.checked_div(count) {
        let start = directory.random.below(users);
        let stride = 1 + directory.random.below(longest);
        for step in 0..count {
            let user = &directory.users.rows[(start + step * stride) % users];
            members.push_new(ObjectKind::User, user.id);
        }
    }
    if number.is_multiple_of(10) && ids.len() > number + 1 {
        members.push_new(ObjectKind::Group, ids[number + 1]);
    }
    if number == 0 {
        for (kind, id) in add_others(directory) {
            members.push_new(kind, id);
        }
    }
    members
}

fn entity(number: usize, id: Uuid, domain: &str) -> Entity {
    let name = match number % 4 {
        0 => format!("Team {number}"),
        1 => format!("Équipe {number}"),
        2 => format!("zentrale Gruppe {number}"),
        _ => format!("グループ {number}"),
    };
    let mailed = matches!(number % 6, 1 | 2 | 3 | 5);
    let security = matches!(number % 6, 0 | 4 | 5);
    let dynamic = number % 6 == 4;
    let kinds = match number % 6 {
        1 | 2 => r#"["Unified"]"#,
        4 => r#"["DynamicMembership"]"#,
        _ => "[]",
    };
    let bool_of = |value: bool| Some(if value { "true".into() } else { "false".into() });
    let day = 1 + number % 28;
    let values = vec![
        Some(quoted(&id.to_string())),
        Some(quoted(&name)),
        match number % 5 {
            0 => Some("null".into()),
            1 => None,
            2 => Some(quoted("")),
            _ => Some(quoted(&format!("Everyone of \"{name}\""))),
        },
        if mailed {
            Some(quoted(&format!("group{number}@{domain}")))
        } else {
            Some("null".into())
        },
        bool_of(mailed),
        bool_of(security),
        Some(kinds.into()),
        match number % 6 {
            1 => Some(quoted("Private")),
            2 => Some(quoted("Public")),
            3 => Some(quoted("FutureVisibility")),
            4 => Some("null".into()),
            _ => None,
        },
        dynamic.then(|| quoted("user.department -eq \"Sales\"")),
        dynamic.then(|| quoted(if number % 12 == 4 { "On" } else { "Paused" })),
        (number % 40 == 6).then(|| "true".into()),
        (number % 9 == 3).then(|| "true".into()),
        (number % 6 == 1).then(|| r#"["Team"]"#.into()),
        Some(quoted(&format!("2020-05-{day:02}T10:00:00Z"))),
        None,
        Some(quoted(&format!("group{number}"))),
    ];
    Entity::new(&schemas::GROUP, values)
}
