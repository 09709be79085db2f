//! Users that came back: deleted before, restored now.
//!
//! A deleted user keeps its memberships, but no list shows them; and when it is restored, only the
//! changes of users tell. So its groups are asked for.

use std::collections::{HashMap, HashSet};

use chrono::DateTime;
use uuid::Uuid;

use super::{group_pages::Member, is_refusal};
use crate::{
    ids::TenantId,
    inventory::{self, MemberRow, ObjectKind},
    microsoft::{
        data_set::DataSet,
        graph::GraphPath,
        graph_batch::BATCH_SIZE,
        page::{LinkGuard, Page},
        throttle::Workload,
    },
    store::{Scoped, StoreError, types::StoredUuid},
    sync::{error::SyncError, queries, step::Step},
};

/// Users asked for between two commits.
const PART: usize = 4 * BATCH_SIZE;
const USER: &str = "#microsoft.graph.user";
const GROUP: &str = "#microsoft.graph.group";

/// Which of these users, given when they were created, came back: we do not have them, although they
/// are older than our last complete read.
pub(super) fn among(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    created: HashMap<Uuid, Option<String>>,
) -> Result<Vec<Uuid>, StoreError> {
    let Some(as_of) = inventory::as_of(tx, tenant, DataSet::Users.name())? else {
        return Ok(Vec::new());
    };
    let is_new = |created: &Option<String>| {
        let created = created.as_deref().map(DateTime::parse_from_rfc3339);
        created.is_some_and(|created| created.is_ok_and(|created| created >= as_of))
    };
    let old: Vec<Uuid> = created
        .into_iter()
        .filter_map(|(user, created)| (!is_new(&created)).then_some(user))
        .collect();
    let known: HashSet<Uuid> = inventory::live_among(tx, tenant, ObjectKind::User, &old)?
        .into_iter()
        .map(|(user, _document)| user)
        .collect();
    Ok(old
        .into_iter()
        .filter(|user| !known.contains(user))
        .collect())
}

/// Asks for the groups of the users that came back in this round. Where Microsoft refuses, the next
/// full read brings them.
pub(super) async fn read_memberships(step: &Step) -> Result<(), SyncError> {
    let returned = step.checkpoint().unwrap_or_default().returned;
    for users in returned.chunks(PART) {
        let items = users
            .iter()
            .map(|user| {
                let path = GraphPath::of("users").id(*user);
                (*user, path.then("memberOf?$select=id&$top=999"))
            })
            .collect();
        let graph = &step.run.graph;
        let mut rows = Vec::new();
        for (user, outcome) in graph.batch(items, Workload::Identity, &step.meter).await? {
            let mut body = match outcome {
                Ok(body) => body,
                Err(error) if is_refusal(&error) => {
                    tracing::info!(%error, "the groups of a restored user are not shown");
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let mut guard = LinkGuard::new();
            loop {
                let page: Page<'_, Member> = Page::read(&body)?;
                let (link, items) = (page.next_link.map(String::from), page.value.len());
                for member_of in page.value {
                    let (group, kind) = member_of.read()?;
                    if kind == GROUP {
                        rows.push(MemberRow {
                            group: StoredUuid(group),
                            member: StoredUuid(user),
                            member_type: USER.to_owned(),
                        });
                    }
                }
                let Some(link) = link else { break };
                guard.admit(&link, items)?;
                let next = graph.link(&link)?;
                body = graph.get(&next, Workload::Identity, &step.meter).await?;
            }
        }
        rows.sort_unstable_by_key(|row| (row.group, row.member));
        rows.dedup_by_key(|row| (row.group, row.member));
        let tenant = step.run.tenant;
        step.write(move |tx| {
            let groups = queries::refresh_state(tx, tenant, DataSet::Groups.name())?;
            inventory::upsert_members(tx, tenant, groups.generation, &rows)?;
            Ok(())
        })
        .await?;
    }
    Ok(())
}
