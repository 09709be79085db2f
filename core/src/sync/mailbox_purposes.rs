//! The pass after a run that asks for the kind of each mailbox. Low priority, and harmless to lose:
//! a mailbox without a kind is simply asked about by the next pass.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{
    data_sets::purposes,
    engine::Outcome,
    error::SyncError,
    queue::{self, ClaimedWork, Lease},
};
use crate::{
    access::OrgScope,
    ids::TenantId,
    inventory::{self, ObjectKind, documents::Mailbox},
    microsoft::{graph::GraphClient, graph_error::GraphError, meter::Meter},
    store::{Store, StoreError},
    tenants,
};

/// Mailboxes asked about between two commits.
const PAGE: i64 = 200;
/// Passes that may fail one after the other before the next run has to bring a new one.
const MOST_ATTEMPTS: i32 = 3;

/// Asks for the kind of every mailbox that has an owner and no kind yet.
pub(super) async fn pass(
    store: &Store,
    graph: &GraphClient,
    work: &ClaimedWork,
    tenant: TenantId,
) -> Result<Outcome, StoreError> {
    let scope = OrgScope::for_system(work.org);
    match fill(store, graph, work.lease, tenant, &scope).await {
        Ok(()) => {}
        Err(SyncError::LeaseLost) => return Ok(Outcome::Done),
        Err(SyncError::Store(error)) => return Err(error),
        Err(error) if work.attempt < MOST_ATTEMPTS && is_passing(&error) => {
            return Ok(Outcome::Later);
        }
        Err(error) => {
            tracing::info!(%error, tenantId = %tenant, "kinds of mailboxes stay unknown until the next sync");
        }
    }
    let finished = work.clone();
    store.global(move |tx| queue::finish(tx, &finished)).await?;
    Ok(Outcome::Done)
}

fn is_passing(error: &SyncError) -> bool {
    matches!(
        error,
        SyncError::Graph(GraphError::Unavailable { .. } | GraphError::Throttled { .. })
    )
}

async fn fill(
    store: &Store,
    graph: &GraphClient,
    lease: Lease,
    tenant: TenantId,
    scope: &OrgScope,
) -> Result<(), SyncError> {
    let Some(connection) = store
        .read(scope, move |tx| tenants::load_connection(tx, tenant))
        .await?
    else {
        return Ok(());
    };
    let session = graph.session(&connection);
    let meter = Meter::default();
    let mut after = None;
    loop {
        let page = store
            .read(scope, move |tx| {
                inventory::live_documents(tx, tenant, ObjectKind::Mailbox, after, None, PAGE)
            })
            .await?;
        let Some((last, _)) = page.last() else {
            return Ok(());
        };
        after = Some(*last);
        let mut open = Vec::new();
        for (key, text) in page {
            let mailbox: Mailbox =
                serde_json::from_str(&text).or(Err(StoreError::Corrupt { what: "mailbox" }))?;
            let owner = mailbox
                .user_id
                .as_deref()
                .and_then(|id| Uuid::try_parse(id).ok());
            if let (Some(owner), None) = (owner, &mailbox.user_purpose) {
                open.push((owner, key));
            }
        }
        if open.is_empty() {
            continue;
        }
        let asked = purposes::ask(&session, open, &meter).await?;
        if asked.reaches_nobody_else(&session) {
            tracing::info!(tenantId = %tenant, "the administrator's sign-in does not reach other people's mailboxes; their kinds stay unknown");
            return Ok(());
        }
        let found: BTreeMap<Uuid, String> = asked
            .purposes
            .into_iter()
            .filter_map(|(key, purpose)| Some((key, purpose?)))
            .collect();
        store
            .write(scope, move |tx| {
                lease.require_held(&mut tx.global())?;
                Ok::<_, SyncError>(inventory::set_purposes(tx, tenant, &found)?)
            })
            .await?;
    }
}
