//! What every handler may ask for, built once by the wiring.

use std::sync::Arc;

use crate::{
    auth::{KeyCache, RateLimiter},
    drain::Drain,
    metrics::Metrics,
    paging::Cursors,
    problem::{Problem, catalogue},
    readiness::Readiness,
};
use ipnet::IpNet;
use tenantry_core::{
    audit::AuditService,
    consent::ConsentService,
    customers::CustomerService,
    idempotency::Idempotency,
    inventory::InventoryService,
    matching::{MatchingService, OwnDomainsService},
    microsoft::cloud::Origin,
    organizations::OrganizationService,
    secrets::SecretText,
    sync::SyncService,
    tenants::TenantService,
};

/// Everything the handlers share.
pub struct AppState {
    /// Where browsers reach this installation, without a slash at the end.
    pub public_url: Origin,
    /// Networks whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The bearer token of `/metrics`, where one is set.
    pub metrics_token: Option<SecretText>,
    /// Recognises API keys.
    pub keys: KeyCache,
    /// Counts the calls of each key.
    pub rate_limiter: Arc<RateLimiter>,
    /// Signs cursors.
    pub cursors: Cursors,
    /// The answers of creating calls.
    pub idempotency: Idempotency,
    /// Organisations.
    pub organizations: OrganizationService,
    /// Customers.
    pub customers: CustomerService,
    /// Which customers tenants belong to.
    pub matching: MatchingService,
    /// The organisation's own domains.
    pub own_domains: OwnDomainsService,
    /// Tenants.
    pub tenants: TenantService,
    /// Connecting them; none without an app registration.
    pub consent: Option<ConsentService>,
    /// The audit.
    pub audit: AuditService,
    /// Syncs.
    pub sync: SyncService,
    /// What syncs found.
    pub inventory: InventoryService,
    /// What is measured.
    pub metrics: Arc<Metrics>,
    /// Whether the process is ready, and why not.
    pub readiness: Readiness,
    /// Whether the process is ending.
    pub drain: Drain,
}

impl AppState {
    /// Where browsers reach this installation, without a slash at the end.
    pub fn public_url(&self) -> &str {
        self.public_url.as_str()
    }

    /// Connecting tenants.
    ///
    /// # Errors
    /// A problem when this installation has no app registration.
    pub fn consent(&self) -> Result<&ConsentService, Problem> {
        self.consent.as_ref().ok_or_else(|| {
            Problem::new(&catalogue::REGISTRATION_MISCONFIGURED)
                .detail("This installation has no app registration, so it cannot talk to Microsoft.")
                .action("Whoever runs this installation registers an app in Entra and sets TENANTRY_MICROSOFT_CLIENT_ID and its secret or certificate.")
        })
    }

    /// Whether it is the bearer token of `/metrics`.
    pub fn is_metrics_token(&self, presented: &str) -> bool {
        self.metrics_token
            .as_ref()
            .is_some_and(|token| token.matches(presented))
    }
}
