//! Proposals for 2,000 tenants without a customer among 10,000 customers of a PSA.

use std::time::Instant;

use anyhow::{Result, ensure};
use tenantry_tests::{app::TestApp, fake_psa::FakeConnectWise};
use uuid::Uuid;

use crate::{
    DATABASES,
    customer_sync::{companies, server},
    table::Table,
};

/// Tenants without a customer.
const TENANTS: usize = 2_000;

/// One round, on each database.
pub async fn round(table: &mut Table) -> Result<()> {
    for (backend, database) in DATABASES {
        let psa = FakeConnectWise::start(companies()).await;
        let app = server(backend).await;
        let connection = app.owner.connect_psa(&psa).await;
        let run = app.owner.sync_psa(&connection, "full").await;
        ensure!(run["state"] == "completed", "{run:#}");
        add_tenants(&app);
        let case = format!("matching on {database}");
        let begun = Instant::now();
        app.owner.get("/customer-matches").await.expect(200);
        table.note(
            &case,
            "first page of 100, seconds",
            begun.elapsed().as_secs_f64(),
        );
        let begun = Instant::now();
        let all = app.owner.list("/customer-matches").await;
        table.note(
            &case,
            "all pages of 1,000, seconds",
            begun.elapsed().as_secs_f64(),
        );
        ensure!(all.len() == TENANTS, "{} tenants", all.len());
        let proposed = all
            .iter()
            .filter(|one| one["candidates"].as_array().is_some_and(|c| !c.is_empty()))
            .count();
        table.note(&case, "tenants with a candidate", proposed as f64);
    }
    Ok(())
}

/// Connected tenants past the API: each has the domain of some company.
fn add_tenants(app: &TestApp) {
    let raw = app.database.raw();
    let domains = raw.lines(&format!(
        "SELECT DISTINCT value AS line FROM psa_hints WHERE kind IN ('website', 'mailDomain') ORDER BY 1 LIMIT {TENANTS}"
    ));
    let org = raw.uuid(app.organization.parse().expect("an id"));
    let now = raw.now();
    let mut rows = Vec::new();
    for number in 0..TENANTS {
        let domain = match domains.get(number) {
            Some(domain) => domain.clone(),
            None => format!("t{number}.example"),
        };
        let tenant = raw.uuid(Uuid::new_v4());
        rows.push(format!(
            "({org}, {tenant}, 'adminConsent', 'connected', 'Tenant {number}', '{domain}', '{domain}', '[]', '[]', '[]', true, 1, {now}, {now})"
        ));
    }
    raw.execute(&format!(
        "INSERT INTO tenants (org_id, tenant_id, connection_type, status, display_name, default_domain, search_text, \
            granted_permissions, missing_permissions, tags, notifications, version, connected_at, created_at) VALUES {}",
        rows.join(", ")
    ));
}
