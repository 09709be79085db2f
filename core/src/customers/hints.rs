//! Hints that stand beside the records: contacts' mail domains and the PSA's own map of tenants.

use std::collections::BTreeMap;

use tenantry_psa::{EvidenceKind, HintSource, TenantHint};

use super::queries::{self, HintRow};
use crate::{
    ids::PsaConnectionId,
    store::{Scoped, StoreError},
};

/// The word for a list of hints.
const fn word(source: HintSource) -> &'static str {
    match source {
        HintSource::TenantMap => "tenantMap",
        HintSource::Contacts => "contacts",
    }
}

/// Which list a hint stands in: only the map of tenants says what it says.
const fn source_of(kind: EvidenceKind) -> HintSource {
    match kind {
        EvidenceKind::TenantMap => HintSource::TenantMap,
        EvidenceKind::TenantId
        | EvidenceKind::InitialDomain
        | EvidenceKind::MailDomain
        | EvidenceKind::Website => HintSource::Contacts,
    }
}

/// Stores a page of hints of a full read. Contacts that say the same are counted over all pages of the
/// read; hints about records that are not ours are left out.
pub(crate) fn store_hints(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
    generation: i64,
    page: &[TenantHint],
) -> Result<(), StoreError> {
    let mut counted: BTreeMap<(&str, EvidenceKind, &str), i64> = BTreeMap::new();
    for hint in page {
        let (id, value) = (hint.customer.0.as_str(), hint.evidence.value.as_str());
        if !id.contains('\0') && !value.contains('\0') {
            *counted.entry((id, hint.evidence.kind, value)).or_default() += 1;
        }
    }
    let mut ids: Vec<&str> = counted.keys().map(|(id, _, _)| *id).collect();
    ids.dedup();
    let known = queries::known(tx, connection, &ids)?;
    let rows: Vec<HintRow<'_>> = counted
        .into_iter()
        .filter(|((id, _, _), _)| known.contains_key(*id))
        .map(|((external_id, kind, value), number)| HintRow {
            external_id,
            source: word(source_of(kind)),
            kind: kind.as_str(),
            value,
            contacts: match source_of(kind) {
                HintSource::Contacts => number,
                HintSource::TenantMap => 1,
            },
        })
        .collect();
    queries::upsert_hints(tx, connection, generation, &rows)
}

/// Deletes the hints of a list that a complete read of it did not see.
pub(crate) fn drop_unseen_hints(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
    source: HintSource,
    generation: i64,
) -> Result<(), StoreError> {
    queries::delete_unseen_hints(tx, connection, word(source), generation)
}
