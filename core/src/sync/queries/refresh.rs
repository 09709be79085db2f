//! The SQL of what outlives a run: generations, delta links, removals that wait.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use crate::{
    ids::TenantId,
    store::{Scoped, StoreError, on_conn, schema::data_set_states, types::StoredTime},
};

/// What outlives a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::sync) struct Refresh {
    pub(in crate::sync) generation: i64,
    pub(in crate::sync) delta_link: Option<String>,
    pub(in crate::sync) as_of: Option<DateTime<Utc>>,
    pub(in crate::sync) held_back_generation: Option<i64>,
}

/// Generation, delta link, as of, generation held back.
type RefreshRow = (i64, Option<String>, Option<StoredTime>, Option<i64>);

pub(in crate::sync) fn refresh_state(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    name: &str,
) -> Result<Refresh, StoreError> {
    let org = tx.org();
    let row: Option<RefreshRow> = on_conn!(tx.conn, |c| {
        data_set_states::table
            .filter(data_set_states::org_id.eq(org))
            .filter(data_set_states::tenant_id.eq(tenant))
            .filter(data_set_states::name.eq(name))
            .select((
                data_set_states::generation,
                data_set_states::delta_link,
                data_set_states::as_of,
                data_set_states::held_back_generation,
            ))
            .first(c)
            .optional()
    })?;
    Ok(row.map_or_else(
        Refresh::default,
        |(generation, delta_link, as_of, held_back_generation)| Refresh {
            generation,
            delta_link,
            as_of: as_of.map(|time| time.0),
            held_back_generation,
        },
    ))
}

/// Begins a full read: the next generation, which is stored before anything of it is.
pub(in crate::sync) fn next_generation(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    name: &str,
) -> Result<i64, StoreError> {
    let org = tx.org();
    let row = (
        data_set_states::org_id.eq(org),
        data_set_states::tenant_id.eq(tenant),
        data_set_states::name.eq(name),
        data_set_states::generation.eq(1_i64),
    );
    Ok(on_conn!(tx.conn, |c| diesel::insert_into(
        data_set_states::table
    )
    .values(row)
    .on_conflict((
        data_set_states::org_id,
        data_set_states::tenant_id,
        data_set_states::name
    ))
    .do_update()
    .set(data_set_states::generation.eq(data_set_states::generation + 1))
    .returning(data_set_states::generation)
    .get_result(c))?)
}

/// Ends a read: where the next one begins, and since when the data set is whole.
pub(in crate::sync) fn complete_read(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    name: &str,
    delta_link: Option<&str>,
) -> Result<(), StoreError> {
    let (org, now) = (tx.org(), StoredTime(tx.now()));
    on_conn!(tx.conn, |c| diesel::update(
        data_set_states::table
            .filter(data_set_states::org_id.eq(org))
            .filter(data_set_states::tenant_id.eq(tenant))
            .filter(data_set_states::name.eq(name))
    )
    .set((
        data_set_states::as_of.eq(now),
        data_set_states::delta_link.eq(delta_link)
    ))
    .execute(c))?;
    Ok(())
}

/// Remembers which full read missed objects whose removal waits, or that none waits.
pub(in crate::sync) fn store_held_back(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    name: &str,
    held_back: i64,
    generation: Option<i64>,
) -> Result<(), StoreError> {
    let org = tx.org();
    on_conn!(tx.conn, |c| diesel::update(
        data_set_states::table
            .filter(data_set_states::org_id.eq(org))
            .filter(data_set_states::tenant_id.eq(tenant))
            .filter(data_set_states::name.eq(name))
    )
    .set((
        data_set_states::held_back.eq(held_back),
        data_set_states::held_back_generation.eq(generation)
    ))
    .execute(c))?;
    Ok(())
}
