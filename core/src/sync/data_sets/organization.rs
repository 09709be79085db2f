//! `organization`: the tenant's own description, one object.

use serde::Deserialize;

use super::document;
use crate::{
    inventory::{self, ObjectKind, ObjectRow, documents::Organization},
    microsoft::{graph::GraphPath, page::Page, throttle::Workload},
    store::types::StoredUuid,
    sync::{
        checkpoint::{Checkpoint, Position},
        error::SyncError,
        queries,
        step::Step,
    },
    tenants,
};

#[derive(Deserialize)]
struct VerifiedDomain {
    name: Option<String>,
    #[serde(rename = "isDefault")]
    is_default: Option<bool>,
}

/// Reads the one object.
pub(super) async fn read(step: &Step) -> Result<(), SyncError> {
    let generation = step.full_read().await?;
    let url = step
        .run
        .graph
        .v1(GraphPath::of("organization").query("$select", Organization::SELECT));
    let body = step
        .run
        .graph
        .get(&url, Workload::Identity, &step.meter)
        .await?;
    let organizations = decode(&body)?;
    let [organization] = organizations.as_slice() else {
        return Err(SyncError::UnexpectedAnswer(format!(
            "{} organisations instead of one",
            organizations.len()
        )));
    };
    let tenant = step.run.tenant;
    if !organization.id.eq_ignore_ascii_case(&tenant.to_string()) {
        return Err(SyncError::UnexpectedAnswer(
            "the organisation of another tenant".to_owned(),
        ));
    }
    let name = organization.display_name.value().cloned();
    let domains: Vec<VerifiedDomain> = match organization.verified_domains.value() {
        Some(raw) => serde_json::from_str(raw.get())
            .map_err(|error| SyncError::UnexpectedAnswer(format!("verifiedDomains: {error}")))?,
        None => Vec::new(),
    };
    let default_domain = domains
        .iter()
        .find(|domain| domain.is_default == Some(true))
        .and_then(|domain| domain.name.clone());
    let search: Vec<String> = domains
        .into_iter()
        .filter_map(|domain| domain.name)
        .collect();
    let row = ObjectRow {
        key: StoredUuid(tenant.as_uuid()),
        name: name.as_deref().map(str::to_lowercase),
        document: document(organization)?,
    };
    let advance = |checkpoint: &mut Checkpoint| {
        checkpoint.expected = Some(1);
        checkpoint.position = Position::End;
    };
    step.commit_page(advance, move |tx| {
        tenants::note_organization(
            tx,
            tenant,
            name.as_deref(),
            default_domain.as_deref(),
            &search,
        )?;
        let kind = ObjectKind::Organization;
        Ok(inventory::store_objects(tx, tenant, kind, generation, &[row])?.into())
    })
    .await?;
    let data_set = step.data_set;
    step.complete(move |tx| Ok(queries::complete_read(tx, tenant, data_set.name(), None)?))
        .await
}

pub(super) fn decode(body: &[u8]) -> Result<Vec<Organization<'_>>, SyncError> {
    let page: Page<'_, Organization<'_>> = Page::read(body)?;
    Ok(page.value)
}
