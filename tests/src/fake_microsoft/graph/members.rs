//! `/groups/{id}/members` and how members of all kinds are shown.

use uuid::Uuid;

use super::{answer::Answer, call::Call, permission::Need};
use crate::fake_microsoft::{
    directory::{
        Directory, Member, ObjectKind, Row, State,
        entity::{Members, Selection, quoted},
        schemas,
    },
    faults::Fault,
};

/// Which properties are shown of each kind of member.
pub struct Shown {
    /// In the order of `ObjectKind::ALL`; and whether the app may read the kind.
    kinds: Vec<(ObjectKind, Selection, bool)>,
    names: String,
}

impl Shown {
    /// From the text of a `$select`, which may name properties of any kind.
    pub fn new(call: &Call<'_>, select: Option<&str>) -> Result<Self, Answer> {
        let names: Option<Vec<&str>> = select.map(|text| text.split(',').map(str::trim).collect());
        let schemas = [
            &schemas::USER,
            &schemas::GROUP,
            &schemas::DEVICE,
            &schemas::SERVICE_PRINCIPAL,
            &schemas::ORG_CONTACT,
        ];
        for name in names.iter().flatten() {
            if !schemas.iter().any(|schema| schema.knows(name)) {
                return Err(call.unknown_property(name, "directoryObject"));
            }
        }
        let kinds = ObjectKind::ALL
            .into_iter()
            .zip(schemas)
            .map(|(kind, schema)| {
                let selection = match &names {
                    Some(names) => schema.selection(names.iter().copied()),
                    None => schema.default_selection(),
                };
                (kind, selection, call.reads_kind(kind))
            });
        let kinds = kinds.collect();
        let names = names.map_or_else(String::new, |names| format!("({})", names.join(",")));
        Ok(Self { kinds, names })
    }
}

/// Writes members as a JSON array.
pub fn write_members<'a>(
    out: &mut String,
    directory: &Directory,
    shown: &Shown,
    members: impl Iterator<Item = &'a Member>,
) {
    out.push('[');
    let mut first = true;
    for member in members {
        let table = directory.table(member.kind);
        let Some(row) = table.row(member.id) else {
            continue;
        };
        if !first {
            out.push(',');
        }
        first = false;
        write_object(out, shown, member.kind, &table.rows[row].entity);
    }
    out.push(']');
}

/// Writes one directory object with its type.
pub fn write_object(
    out: &mut String,
    shown: &Shown,
    kind: ObjectKind,
    entity: &crate::fake_microsoft::directory::entity::Entity,
) {
    let mut object = Members::open(out);
    object.named("@odata.type", kind.odata_type());
    let choice = shown.kinds.iter().find(|(one, ..)| *one == kind);
    if let Some((_, selection, readable)) = choice {
        if *readable {
            entity.write_listed(&mut object, selection);
        } else {
            selection.write_concealed(entity, &mut object);
        }
    }
    object.close();
}

/// `GET /users/{id}/memberOf`: the groups, on one page.
pub fn member_of(call: &Call<'_>, user: &str) -> Result<Answer, Answer> {
    call.require(Need::Users)?;
    call.require(Need::Members)?;
    call.allow(&["$select", "$top"])?;
    let shown = Shown::new(call, call.option("$select"))?;
    call.page_size(100, 999)?;
    let directory = call.tenant.directory.lock().expect("directory");
    let id = Uuid::parse_str(user).ok();
    let id = id.filter(|id| directory.find(ObjectKind::User, *id).is_some_and(is_live));
    let id = id.ok_or_else(|| call.ids.not_found(user))?;
    let rows = directory.groups.rows.iter().zip(&directory.memberships);
    let groups: Vec<Member> = rows
        .filter(|(group, members)| {
            is_live(group) && members.list.iter().any(|member| member.id == id)
        })
        .map(|(group, _)| Member {
            kind: ObjectKind::Group,
            id: group.id,
            ordinal: 0,
        })
        .collect();
    let origin = &call.cloud.graph_origin;
    let context = format!("{origin}/v1.0/$metadata#directoryObjects{}", shown.names);
    let mut body = String::new();
    let mut members = Members::open(&mut body);
    members.named("@odata.context", &quoted(&context));
    write_members(members.value_of("value"), &directory, &shown, groups.iter());
    members.close();
    Ok(Answer::json(body))
}

fn is_live(row: &Row) -> bool {
    row.state == State::Live
}

/// `GET /groups/{id}/members`.
pub fn list(call: &Call<'_>, group: &str) -> Result<Answer, Answer> {
    call.require(Need::Members)?;
    call.allow(&["$select", "$top", "$count", "$skiptoken"])?;
    let shown = Shown::new(call, call.option("$select"))?;
    let size = call.page_size(100, 999)?;
    let counted = call.wants_count()?;
    let start = u32::try_from(call.position()?).unwrap_or(u32::MAX);
    let directory = call.tenant.directory.lock().expect("directory");
    let id = Uuid::parse_str(group).ok();
    let id = id.filter(|id| directory.find(ObjectKind::Group, *id).is_some());
    let id = id.ok_or_else(|| call.ids.not_found(group))?;
    let row = directory.groups.row(id).expect("the group was found");
    let membership = &directory.memberships[row];
    let live = |member: &&Member| {
        let found = directory.find(member.kind, member.id);
        found.is_some_and(|row| row.state == State::Live)
    };
    let (size, ends_early) = match &call.fault {
        Some(Fault::ShortList(most)) => (*most, true),
        Some(Fault::EmptyPages) => (0, false),
        _ => (size, false),
    };
    let page: Vec<&Member> = membership
        .from_ordinal(start)
        .iter()
        .filter(live)
        .take(size + 1)
        .collect();
    let next = page
        .get(size)
        .filter(|_| !ends_early)
        .map(|member| call.next_link(u64::from(member.ordinal), call.ids.request.as_u64_pair().0));
    let next = match &call.fault {
        Some(Fault::NextLink(link)) => Some(link.clone()),
        _ => next,
    };
    let origin = &call.cloud.graph_origin;
    let context = format!("{origin}/v1.0/$metadata#directoryObjects{}", shown.names);
    let mut body = String::with_capacity(page.len() * 200 + 512);
    let mut members = Members::open(&mut body);
    members.named("@odata.context", &quoted(&context));
    if counted && start == 0 {
        let count = membership.list.iter().filter(live).count();
        members.named("@odata.count", &count.to_string());
    }
    if let Some(next) = next {
        members.named("@odata.nextLink", &quoted(&next));
    }
    let out = members.value_of("value");
    write_members(out, &directory, &shown, page.into_iter().take(size));
    members.close();
    Ok(Answer::json(body))
}
