//! Pages of groups with their members, in the two shapes that Microsoft Graph has for them.
//!
//! In a delta enumeration a large group comes as several items, each with another slice of its
//! members: slices are united, never replaced. An item with nothing but a slice leaves the group's own
//! row as it is. In a list, `$expand` shows at most twenty members of each group.

use std::collections::HashMap;

use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{
    directory::{self, Change, PageRows},
    document, guid,
};
use crate::{
    ids::TenantId,
    inventory::{self, MemberRow, ObjectKind, ObjectRow, documents::Group},
    microsoft::page::Page,
    store::{Scoped, types::StoredUuid},
    sync::{error::SyncError, pages::DecodedPage},
};

/// Members that `$expand` shows of a group, by what is known; not verified by Microsoft's documents.
pub(super) const EXPANDED: i64 = 20;

/// Groups and memberships of one page: what comes last holds.
#[derive(Default)]
struct GroupPage {
    groups: PageRows,
    members: HashMap<(Uuid, Uuid), Option<String>>,
}

/// What a page is part of.
#[derive(Clone, Copy)]
pub(super) enum Round {
    Full,
    Changes,
}

/// A page of a delta enumeration or of a round of changes.
pub(super) fn decode_delta(
    body: &[u8],
    tenant: TenantId,
    generation: i64,
    round: Round,
) -> Result<DecodedPage, SyncError> {
    let page: Page<'_, &RawValue> = Page::read(body)?;
    directory::require_link(&page)?;
    let mut rows = GroupPage::default();
    for item in &page.value {
        let change: Change<'_> = directory::read_item(item)?;
        let key = guid(&change.id)?;
        rows.take(key, item, change)?;
    }
    let items = page.value.len();
    Ok(DecodedPage {
        items,
        next_link: page.next_link.as_deref().map(str::to_owned),
        delta_link: page.delta_link.as_deref().map(str::to_owned),
        write: Box::new(move |tx| {
            let new = rows.store(tx, tenant, generation)?;
            // In a round of changes each item counts, even if it changes nothing here.
            Ok(match round {
                Round::Full => new.into(),
                Round::Changes => items.into(),
            })
        }),
    })
}

impl GroupPage {
    /// Stores it, and says how many of its groups the read had not seen before.
    fn store(
        self,
        tx: &mut Scoped<'_>,
        tenant: TenantId,
        generation: i64,
    ) -> Result<usize, SyncError> {
        let (groups, removed) = self.groups.into_parts();
        let new = inventory::store_objects(tx, tenant, ObjectKind::Group, generation, &groups)?;
        inventory::mark_removed(tx, tenant, ObjectKind::Group, &removed)?;
        let (there, gone) = split(self.members);
        inventory::upsert_members(tx, tenant, generation, &there)?;
        inventory::remove_members(tx, tenant, &gone)?;
        Ok(new)
    }

    fn take(&mut self, key: Uuid, item: &RawValue, change: Change<'_>) -> Result<(), SyncError> {
        if change.removed.is_some() {
            self.groups.remove(key);
            return Ok(());
        }
        let group: Group<'_> = directory::read_item(item)?;
        if group.has_properties() {
            self.groups.put(key, row(key, &group)?);
        }
        for member in change.members.into_iter().flatten() {
            let present = member.removed.is_none();
            let kind = member
                .member_type
                .unwrap_or_else(|| "#microsoft.graph.directoryObject".to_owned());
            self.members
                .insert((key, guid(&member.id)?), present.then_some(kind));
        }
        Ok(())
    }
}

/// A page of a list with `$expand=members`.
pub(super) fn decode_expanded(
    body: &[u8],
    tenant: TenantId,
    generation: i64,
) -> Result<DecodedPage, SyncError> {
    let page: Page<'_, &RawValue> = Page::read(body)?;
    let mut rows = GroupPage::default();
    for item in &page.value {
        let group: Group<'_> = directory::read_item(item)?;
        let key = guid(&group.id)?;
        rows.groups.put(key, row(key, &group)?);
        let expanded: Expanded = directory::read_item(item)?;
        for member in expanded.whole_or_large()? {
            let (member, member_type) = member.read()?;
            rows.members.insert((key, member), Some(member_type));
        }
    }
    Ok(DecodedPage {
        items: page.value.len(),
        next_link: page.next_link.as_deref().map(str::to_owned),
        delta_link: None,
        write: Box::new(move |tx| Ok(rows.store(tx, tenant, generation)?.into())),
    })
}

/// A page of the members of one group.
pub(super) fn decode_members(
    body: &[u8],
    group: Uuid,
) -> Result<(Vec<MemberRow>, Option<String>), SyncError> {
    let page: Page<'_, Member> = Page::read(body)?;
    let next_link = page.next_link.map(std::borrow::Cow::into_owned);
    let mut rows = Vec::with_capacity(page.value.len());
    for member in page.value {
        let (member, member_type) = member.read()?;
        rows.push(MemberRow {
            group: StoredUuid(group),
            member: StoredUuid(member),
            member_type,
        });
    }
    rows.sort_unstable_by_key(|row| row.member);
    rows.dedup_by_key(|row| row.member);
    Ok((rows, next_link))
}

/// What `$expand=members` adds to a group.
#[derive(Deserialize)]
struct Expanded {
    members: Option<Vec<Member>>,
    #[serde(rename = "members@odata.nextLink")]
    more: Option<IgnoredAny>,
}

impl Expanded {
    /// The members shown: all of them, or so many that the group is asked for all.
    fn whole_or_large(self) -> Result<Vec<Member>, SyncError> {
        let missing = |what: &str| Err(SyncError::UnexpectedAnswer(what.to_owned()));
        let Some(members) = self.members else {
            return missing("a group without the members that were asked for");
        };
        let large = i64::try_from(members.len()).is_ok_and(|shown| shown >= EXPANDED);
        if self.more.is_some() && !large {
            return missing("a group with fewer members than are shown of a large one");
        }
        Ok(members)
    }
}

/// A member as lists show it; or, among what an object is a member of, a group.
#[derive(Deserialize)]
pub(super) struct Member {
    id: String,
    #[serde(rename = "@odata.type")]
    member_type: Option<String>,
}

impl Member {
    /// Its id and its type.
    pub(super) fn read(self) -> Result<(Uuid, String), SyncError> {
        let Some(member_type) = self.member_type else {
            let what = "a member without its type".to_owned();
            return Err(SyncError::UnexpectedAnswer(what));
        };
        Ok((guid(&self.id)?, member_type))
    }
}

fn row(key: Uuid, group: &Group<'_>) -> Result<ObjectRow, SyncError> {
    let name = group
        .display_name
        .value()
        .map(String::as_str)
        .unwrap_or_default();
    let mail = group.mail.value().map(String::as_str).unwrap_or_default();
    Ok(ObjectRow {
        key: StoredUuid(key),
        name: Some(format!("{name} {mail}").to_lowercase()),
        document: document(group)?,
    })
}

/// Memberships to write, sorted, and to take out.
fn split(members: HashMap<(Uuid, Uuid), Option<String>>) -> (Vec<MemberRow>, Vec<(Uuid, Uuid)>) {
    let mut there = Vec::with_capacity(members.len());
    let mut gone = Vec::new();
    for ((group, member), kind) in members {
        match kind {
            Some(member_type) => there.push(MemberRow {
                group: StoredUuid(group),
                member: StoredUuid(member),
                member_type,
            }),
            None => gone.push((group, member)),
        }
    }
    there.sort_unstable_by_key(|row| (row.group, row.member));
    gone.sort_unstable();
    (there, gone)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn expanded(group: Value) -> Result<usize, SyncError> {
        let body = json!({"value": [group]}).to_string();
        let tenant = TenantId::from_uuid(Uuid::nil());
        decode_expanded(body.as_bytes(), tenant, 1).map(|page| page.items)
    }

    fn member() -> Value {
        json!({"@odata.type": "#microsoft.graph.user", "id": Uuid::from_u128(8)})
    }

    #[test]
    fn a_list_whose_members_cannot_be_trusted_is_refused() {
        let id = Uuid::from_u128(7);
        let whole = json!({"id": id, "displayName": "A", "members": [member()]});
        assert_eq!(expanded(whole).unwrap(), 1);
        let large: Vec<Value> = (0..20).map(|_| member()).collect();
        let large = json!({"id": id, "members": large, "members@odata.nextLink": "https://next"});
        assert_eq!(expanded(large).unwrap(), 1);
        for hidden in [
            json!({"id": id, "displayName": "A"}),
            json!({"id": id, "members": null}),
            json!({"id": id, "members": [member()], "members@odata.nextLink": "https://next"}),
            json!({"id": id, "members": [{"id": Uuid::from_u128(8)}]}),
        ] {
            let refused = expanded(hidden.clone());
            assert!(
                matches!(refused, Err(SyncError::UnexpectedAnswer(_))),
                "{hidden}"
            );
        }
    }
}
