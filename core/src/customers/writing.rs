//! Storing what a PSA's list says: a page in a few statements, whatever it brings.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tenantry_psa::{Customer as PsaCustomer, EvidenceKind};
use uuid::Uuid;

use super::{
    Customer, CustomerSource, Fields, RecordState, following,
    model::MOST_DOMAINS,
    queries::{self, HintRow, RecordRow, StoredRecord},
    record::{Told, customer_name},
};
use crate::{
    ids::{CustomerId, PsaConnectionId},
    psa::PsaConnection,
    store::{Scoped, StoreError},
};

/// What is being read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading<'a> {
    /// Through which connection.
    pub(crate) connection: &'a PsaConnection,
    /// The full read under way, or the last one while changes are read.
    pub(crate) generation: i64,
}

/// What a page changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// Records of the page, each once.
    pub(crate) read: i64,
    /// Those of them that this full read had not brought before.
    pub(crate) new: i64,
    /// Customers that were made.
    pub(crate) created: i64,
    /// Customers whose record changed, without those that were deactivated.
    pub(crate) updated: i64,
    /// Customers that were deactivated.
    pub(crate) deactivated: i64,
}

/// A record whose text differs from what is stored.
struct Changed<'a> {
    from: &'a PsaCustomer,
    told: Told,
    customer: CustomerId,
}

/// Stores a page of customers. What a page says twice counts once, by its last word; what is stored the
/// same already only learns that it was seen. A record that was never a customer while we looked makes
/// none.
pub(crate) fn store_page(
    tx: &mut Scoped<'_>,
    reading: Reading<'_>,
    page: &[PsaCustomer],
) -> Result<Written, StoreError> {
    let connection = reading.connection;
    let page: BTreeMap<&str, &PsaCustomer> = page
        .iter()
        .filter(|customer| !customer.id.0.contains('\0'))
        .map(|customer| (customer.id.0.as_str(), customer))
        .collect();
    let ids: Vec<&str> = page.keys().copied().collect();
    let known: HashMap<String, StoredRecord> = queries::known(tx, connection.id, &ids)?;
    let unknown: Vec<&str> = ids
        .iter()
        .copied()
        .filter(|id| !known.contains_key(*id))
        .collect();
    let source = CustomerSource::of(connection.kind);
    let adopted: HashMap<String, CustomerId> =
        queries::of_origin(tx, source, &connection.system, &unknown)?;

    let mut written = Written {
        read: count(page.len()),
        ..Written::default()
    };
    let mut seen = Vec::new();
    let mut changed = Vec::new();
    let mut created = Vec::new();
    for (id, customer) in page {
        let stored = known.get(id);
        let is_new = stored.is_none_or(|stored| stored.generation != reading.generation);
        written.new += i64::from(is_new);
        let told = Told::of(customer)?;
        match stored {
            Some(stored) if told.says(&stored.hash) && stored.state != RecordState::Gone => {
                if is_new || stored.misses > 0 {
                    seen.push(id);
                }
            }
            Some(stored) => changed.push(Changed {
                from: customer,
                told,
                customer: stored.customer,
            }),
            None => {
                let owner = match adopted.get(id) {
                    Some(adopted) => *adopted,
                    None if told.state == RecordState::Active => {
                        let new = made_of(tx, connection, customer);
                        let id = new.id;
                        created.push(new);
                        id
                    }
                    None => continue,
                };
                changed.push(Changed {
                    from: customer,
                    told,
                    customer: owner,
                });
            }
        }
    }

    // Customers before records, as whoever merges them does: so that the two never wait for each other.
    let owners: Vec<CustomerId> = changed.iter().map(|one| one.customer).collect();
    queries::locked(tx, &owners)?;
    let new: BTreeSet<CustomerId> = created.iter().map(|customer| customer.id).collect();
    queries::upsert(tx, &created)?;
    keep_rests(tx, reading, &mut changed, &known)?;
    store_changed(tx, reading, &changed, &known)?;
    queries::touch(tx, connection.id, &seen, reading.generation)?;

    let others: BTreeSet<CustomerId> = changed
        .iter()
        .map(|one| one.customer)
        .filter(|id| !new.contains(id))
        .collect();
    let ids: Vec<CustomerId> = others.iter().copied().collect();
    let followed = following::follow(tx, &ids)?;
    written.created = count(new.len());
    written.deactivated = count(followed.deactivated.len());
    written.updated = count(others.difference(&followed.deactivated).count());
    Ok(written)
}

/// Stores that single records were asked for and are not there. As in lists, one look is not believed:
/// what the next full read misses, too, is gone.
pub(crate) fn note_missing(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
    ids: &[&str],
) -> Result<(), StoreError> {
    queries::miss(tx, connection, ids)
}

/// Where a list told less than the record holds, what is known of the rest stands.
fn keep_rests(
    tx: &mut Scoped<'_>,
    reading: Reading<'_>,
    changed: &mut [Changed<'_>],
    known: &HashMap<String, StoredRecord>,
) -> Result<(), StoreError> {
    let thin: Vec<&str> = changed
        .iter()
        .filter(|one| !one.told.complete)
        .map(|one| one.from.id.0.as_str())
        .filter(|id| known.contains_key(*id))
        .collect();
    if thin.is_empty() {
        return Ok(());
    }
    let mut rests = queries::rests(tx, reading.connection.id, &thin)?;
    for one in changed.iter_mut().filter(|one| !one.told.complete) {
        let id = one.from.id.0.as_str();
        if let (Some(stored), Some((code, document))) = (known.get(id), rests.remove(id)) {
            one.told.keep_rest(code, document, &stored.hash);
        }
    }
    Ok(())
}

fn store_changed(
    tx: &mut Scoped<'_>,
    reading: Reading<'_>,
    changed: &[Changed<'_>],
    known: &HashMap<String, StoredRecord>,
) -> Result<(), StoreError> {
    let connection = reading.connection.id;
    let records: Vec<RecordRow<'_>> = changed
        .iter()
        .map(|one| RecordRow {
            external_id: &one.from.id.0,
            customer: one.customer,
            told: &one.told,
        })
        .collect();
    queries::upsert_records(tx, connection, reading.generation, &records)?;
    // What is new has no hints that could be outdated, and a list that left evidence out outdates none.
    let ids: Vec<&str> = changed
        .iter()
        .filter(|one| one.told.complete)
        .map(|one| one.from.id.0.as_str())
        .filter(|id| known.contains_key(*id))
        .collect();
    let hints: BTreeSet<HintRow<'_>> = changed
        .iter()
        .flat_map(|one| {
            one.from
                .evidence
                .iter()
                .filter(|evidence| !evidence.value.contains('\0'))
                .map(|evidence| HintRow {
                    external_id: &one.from.id.0,
                    source: "record",
                    kind: evidence.kind.as_str(),
                    value: &evidence.value,
                    contacts: 1,
                })
        })
        .collect();
    let hints: Vec<HintRow<'_>> = hints.into_iter().collect();
    queries::replace_record_hints(tx, connection, reading.generation, &ids, &hints)
}

/// A customer that a PSA has and we do not.
fn made_of(tx: &Scoped<'_>, connection: &PsaConnection, from: &PsaCustomer) -> Customer {
    let domains: BTreeSet<String> = from
        .evidence
        .iter()
        .filter(|one| one.kind == EvidenceKind::Website && !one.value.contains('\0'))
        .map(|one| one.value.clone())
        .collect();
    Customer {
        id: CustomerId::from_uuid(Uuid::now_v7()),
        name: customer_name(&from.name, &from.id.0),
        domains: domains.into_iter().take(MOST_DOMAINS).collect(),
        source: CustomerSource::of(connection.kind),
        external_id: Some(from.id.0.clone()),
        source_system: Some(connection.system.clone()),
        active: true,
        manual: Fields::default(),
        merged_into: None,
        psa_records: Vec::new(),
        tenants: Vec::new(),
        version: 1,
        created_at: tx.now(),
        changed_at: tx.now(),
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
