//! The SQL of what customers say about tenants.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use diesel::prelude::*;
use tenantry_psa::EvidenceKind;

use crate::{
    customers::evidence::{Hint, HintOrigin, KnownCustomer},
    ids::{CustomerId, PsaConnectionId},
    store::{
        Scoped, StoreError, on_conn,
        schema::{customers, psa_hints, psa_records},
        types::StoredUuid,
    },
};

/// Values that one statement asks for. PostgreSQL looks up as many by the index, and reads the whole table for
/// many more; SQLite takes at most 32,766 parameters.
const VALUES: usize = 1_000;

/// All active customers.
pub(crate) fn known_customers(tx: &mut Scoped<'_>) -> Result<Vec<KnownCustomer>, StoreError> {
    let org = tx.org();
    let rows: Vec<(CustomerId, String, String)> = on_conn!(tx.conn, |c| customers::table
        .filter(customers::org_id.eq(org))
        .filter(customers::active)
        .select((customers::id, customers::name, customers::domains))
        .load(c))?;
    let known = |(id, name, domains): (CustomerId, String, String)| {
        let domains = serde_json::from_str(&domains).or(Err(StoreError::Corrupt {
            what: "customer's domains",
        }))?;
        Ok(KnownCustomer { id, name, domains })
    };
    rows.into_iter().map(known).collect()
}

/// Of these customers, those that are there, with whether they are active.
pub(crate) fn activity_of(
    tx: &mut Scoped<'_>,
    ids: &[CustomerId],
) -> Result<Vec<(CustomerId, bool)>, StoreError> {
    let org = tx.org();
    Ok(on_conn!(tx.conn, |c| customers::table
        .filter(customers::org_id.eq(org))
        .filter(customers::id.eq_any(ids))
        .select((customers::id, customers::active))
        .load(c))?)
}

/// A hint as it is stored: connection, record, source, kind, value, contacts.
type HintRow = (StoredUuid, String, String, String, String, i64);

/// The hints with one of these values. A record that is no active customer at its PSA hints at nothing.
///
/// In two steps instead of a join: each is then a look-up by an index whatever PostgreSQL knows of the tables,
/// which is nothing right after a first sync.
pub(crate) fn hints(tx: &mut Scoped<'_>, values: &[String]) -> Result<Vec<Hint>, StoreError> {
    let org = tx.org();
    let mut rows: Vec<HintRow> = Vec::new();
    for some in values.chunks(VALUES) {
        let found: Vec<HintRow> = on_conn!(tx.conn, |c| psa_hints::table
            .filter(psa_hints::org_id.eq(org))
            .filter(psa_hints::value.eq_any(some))
            .select((
                psa_hints::connection_id,
                psa_hints::external_id,
                psa_hints::source,
                psa_hints::kind,
                psa_hints::value,
                psa_hints::contacts,
            ))
            .load(c))?;
        rows.extend(found);
    }
    let mut records: BTreeMap<StoredUuid, BTreeSet<&str>> = BTreeMap::new();
    for (connection, record, ..) in &rows {
        records.entry(*connection).or_default().insert(record);
    }
    let mut owners: HashMap<StoredUuid, HashMap<String, CustomerId>> = HashMap::new();
    for (connection, records) in records {
        let records: Vec<&str> = records.into_iter().collect();
        for some in records.chunks(VALUES) {
            let found = active_records(tx, connection, some)?;
            owners.entry(connection).or_default().extend(found);
        }
    }
    let mut hints = Vec::with_capacity(rows.len());
    for row in rows {
        let owner = owners.get(&row.0).and_then(|records| records.get(&row.1));
        if let Some(customer) = owner {
            hints.push(hint(*customer, row)?);
        }
    }
    Ok(hints)
}

/// Of these records of a connection, those that are active customers, with ours.
fn active_records(
    tx: &mut Scoped<'_>,
    connection: StoredUuid,
    records: &[&str],
) -> Result<Vec<(String, CustomerId)>, StoreError> {
    let org = tx.org();
    Ok(on_conn!(tx.conn, |c| psa_records::table
        .filter(psa_records::org_id.eq(org))
        .filter(psa_records::connection_id.eq(connection))
        .filter(psa_records::external_id.eq_any(records))
        .filter(psa_records::state.eq("active"))
        .select((psa_records::external_id, psa_records::customer_id))
        .load(c))?)
}

fn hint(customer: CustomerId, row: HintRow) -> Result<Hint, StoreError> {
    let (connection, _record, source, kind, value, contacts) = row;
    let origin = match source.as_str() {
        "record" => HintOrigin::Record,
        "contacts" => HintOrigin::Contacts,
        "tenantMap" => HintOrigin::TenantMap,
        _unknown => {
            return Err(StoreError::Corrupt {
                what: "hint's source",
            });
        }
    };
    let kind = EvidenceKind::ALL
        .into_iter()
        .find(|known| known.as_str() == kind)
        .ok_or(StoreError::Corrupt {
            what: "hint's kind",
        })?;
    Ok(Hint {
        customer,
        connection: PsaConnectionId::from_uuid(connection.0),
        origin,
        kind,
        value,
        contacts,
    })
}
