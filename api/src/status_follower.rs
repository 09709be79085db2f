//! Keeps the status documents of this process current where others write them too: on PostgreSQL,
//! workers and other API processes have documents of their own in memory.
//!
//! What changed is read when another process says so. While none can be heard, everything is looked
//! at once a second.

use std::time::Duration;

use tenantry_core::{
    access::OrgScope,
    ids::OrgId,
    store::{ChangedStatuses, StoreError},
};
use tokio::sync::watch;

use crate::wiring::Services;

/// How old a status may be that another process changed, while nobody is heard.
const INTERVAL: Duration = Duration::from_secs(1);

/// Follows the database until `stop` turns true.
pub async fn run(services: Services, mut stop: watch::Receiver<bool>) {
    let notices = services.store.notices().clone();
    // What was told and could not be read is read with everything else.
    let mut is_behind = false;
    while !*stop.borrow() {
        let changed = tokio::select! {
            changed = notices.statuses() => Some(changed),
            () = tokio::time::sleep(INTERVAL) => None,
            _ = stop.changed() => continue,
        };
        let read = match changed {
            Some(ChangedStatuses::Of(organizations)) if !is_behind => {
                follow_some(&services, organizations).await
            }
            None if notices.is_listening() && !is_behind => continue,
            Some(ChangedStatuses::Of(_) | ChangedStatuses::Perhaps) | None => {
                follow(&services).await
            }
        };
        if let Err(error) = &read
            && !is_behind
        {
            // Said once, not once a second while the database is away.
            tracing::warn!(%error, "the statuses of other processes cannot be read");
        }
        is_behind = read.is_err();
    }
}

/// Reads what others wrote since the last time.
pub async fn follow(services: &Services) -> Result<(), StoreError> {
    let organizations = services.organizations.list().await?;
    follow_some(services, organizations.into_iter().map(|one| one.id)).await
}

async fn follow_some(
    services: &Services,
    organizations: impl IntoIterator<Item = OrgId>,
) -> Result<(), StoreError> {
    for organization in organizations {
        let scope = OrgScope::for_system(organization);
        services.sync.load_status(&scope).await?;
    }
    Ok(())
}
