//! Numbers the changes of an organisation's status documents in the order of their commits, so that a
//! reader of all of them can say with one number what it has seen.

use diesel::prelude::*;

use super::{
    Scoped, StatusSnapshot, StoreError,
    dialect::notices,
    on_conn,
    schema::{status_sequences, tenant_status},
};

/// Numbers what the transaction publishes; of a tenant that changed twice in it, the last. To be done
/// last: the row of `status_sequences` stays locked until the commit, which is what makes numbers and
/// commits agree in their order, and whoever holds it waits for nobody any more. The other processes
/// are told.
pub(super) fn number(tx: &mut Scoped<'_>) -> Result<Vec<StatusSnapshot>, StoreError> {
    let mut changes: Vec<StatusSnapshot> = Vec::new();
    for change in std::mem::take(&mut tx.updates) {
        changes.retain(|earlier| earlier.tenant != change.tenant);
        changes.push(change);
    }
    for change in &mut changes {
        change.sequence = next(tx)?;
        let org = tx.org();
        on_conn!(tx.conn, |c| diesel::update(
            tenant_status::table
                .filter(tenant_status::org_id.eq(org))
                .filter(tenant_status::tenant_id.eq(change.tenant))
        )
        .set(tenant_status::sequence.eq(change.sequence))
        .execute(c))?;
    }
    if !changes.is_empty() {
        notices::tell_statuses(tx)?;
    }
    Ok(changes)
}

fn next(tx: &mut Scoped<'_>) -> Result<i64, StoreError> {
    let org = tx.org();
    let first = (
        status_sequences::org_id.eq(org),
        status_sequences::last.eq(1_i64),
    );
    Ok(on_conn!(tx.conn, |c| diesel::insert_into(
        status_sequences::table
    )
    .values(first)
    .on_conflict(status_sequences::org_id)
    .do_update()
    .set(status_sequences::last.eq(status_sequences::last + 1))
    .returning(status_sequences::last)
    .get_result(c))?)
}
