//! Keeps the status documents of this process current where others write them too: on PostgreSQL,
//! workers and other API processes have documents of their own in memory.

use std::time::Duration;

use tenantry_core::{access::OrgScope, store::StoreError};
use tokio::sync::watch;

use crate::wiring::Services;

/// How old a status may be that another process changed.
const INTERVAL: Duration = Duration::from_millis(500);

/// Follows the database until `stop` turns true.
pub async fn run(services: Services, mut stop: watch::Receiver<bool>) {
    let mut failing = false;
    while !*stop.borrow() {
        match follow(&services).await {
            Ok(()) => failing = false,
            Err(error) => {
                // Said once, not twice a second while the database is away.
                if !failing {
                    tracing::warn!(%error, "the statuses of other processes cannot be read");
                }
                failing = true;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            _ = stop.changed() => {}
        }
    }
}

/// Reads what others wrote since the last time.
pub async fn follow(services: &Services) -> Result<(), StoreError> {
    for organization in services.organizations.list().await? {
        let scope = OrgScope::for_system(organization.id);
        services.sync.load_status(&scope).await?;
    }
    Ok(())
}
