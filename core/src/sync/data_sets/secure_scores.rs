//! `secureScores`: one score a day with the score of each control, about 90 days.

use chrono::DateTime;
use uuid::Uuid;

use super::{document, finish_full_read, read_list};
use crate::{
    ids::TenantId,
    inventory::{self, ObjectKind, ObjectRow, documents::SecureScore, text_key},
    microsoft::{page::Page, throttle::Workload},
    store::types::StoredUuid,
    sync::{
        error::SyncError,
        pages::{DecodedPage, Pages},
        step::Step,
    },
};

/// Reads all scores. They are few and large, so the page size is left to Microsoft.
pub(super) async fn read(step: &Step) -> Result<(), SyncError> {
    step.full_read().await?;
    let tenant = step.run.tenant;
    let first = step.run.graph.v1("security/secureScores");
    let pages = Pages::new(Workload::Security, move |body, generation| {
        decode_page(body, tenant, generation)
    });
    read_list(step, &pages, &first).await?;
    finish_full_read(step, ObjectKind::SecureScore).await
}

pub(super) fn decode_page(
    body: &[u8],
    tenant: TenantId,
    generation: i64,
) -> Result<DecodedPage, SyncError> {
    let page: Page<'_, SecureScore<'_>> = Page::read(body)?;
    let mut rows: Vec<ObjectRow> = page.value.iter().map(row).collect::<Result<_, _>>()?;
    rows.sort_unstable_by_key(|row| row.key);
    rows.dedup_by_key(|row| row.key);
    Ok(DecodedPage {
        items: page.value.len(),
        next_link: page.next_link.as_deref().map(str::to_owned),
        delta_link: None,
        write: Box::new(move |tx| {
            let kind = ObjectKind::SecureScore;
            let new = inventory::store_objects(tx, tenant, kind, generation, &rows)?;
            Ok(new.into())
        }),
    })
}

fn row(score: &SecureScore<'_>) -> Result<ObjectRow, SyncError> {
    let created = score.created_date_time.value().map(String::as_str);
    Ok(ObjectRow {
        key: StoredUuid(newest_first(created, &score.id)),
        name: None,
        document: document(score)?,
    })
}

/// A key that sorts newer days first: how far the day is from the end of time, then the id.
fn newest_first(created: Option<&str>, id: &str) -> Uuid {
    let seconds = created
        .and_then(|text| DateTime::parse_from_rfc3339(text).ok())
        .and_then(|time| u64::try_from(time.timestamp()).ok())
        .unwrap_or(0);
    let (_, own) = text_key(id).as_u64_pair();
    Uuid::from_u64_pair(u64::MAX - seconds, own)
}

#[cfg(test)]
mod tests {
    use super::newest_first;

    #[test]
    fn newer_scores_sort_first_and_undated_ones_last() {
        let newer = newest_first(Some("2026-11-20T00:00:00Z"), "a");
        let older = newest_first(Some("2026-11-19T00:00:00Z"), "a");
        let undated = newest_first(None, "a");
        assert!(newer < older && older < undated);
        assert_ne!(newer, newest_first(Some("2026-11-20T00:00:00Z"), "b"));
    }
}
