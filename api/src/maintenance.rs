//! What is tidied up once an hour: answers of repeated calls, links and events of long ago, the counts of keys
//! that have been silent, and what is left in the database's log of what was erased. Tenants whose syncs fail
//! are looked for on the way.

use std::time::Duration;

use tenantry_core::{access::OrgScope, consent, events, store::StoreError, tenants};
use tokio::sync::watch;

use crate::wiring::Services;

const INTERVAL: Duration = Duration::from_secs(3600);

/// Tidies up at the start and then every hour, until `stop` turns true.
pub async fn run(services: Services, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        if let Err(error) = tidy(&services).await {
            tracing::warn!(%error, "tidying up failed; it is tried again in an hour");
        }
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            _ = stop.changed() => {}
        }
    }
}

async fn tidy(services: &Services) -> Result<(), StoreError> {
    services.rate_limiter.forget_idle();
    let flows = consent::purge_flows(&services.store).await?;
    let (mut answers, mut forgotten, mut failing) = (0, 0, 0);
    for organization in services.organizations.list().await? {
        let scope = OrgScope::for_system(organization.id);
        answers += services.idempotency.purge(&scope).await?;
        forgotten += events::purge(&services.store, &scope).await?;
        failing += tenants::note_failing_syncs(&services.store, &scope).await?;
    }
    services.store.wipe_erased().await?;
    tracing::debug!(flows, answers, events = forgotten, failing, "tidied up");
    Ok(())
}
