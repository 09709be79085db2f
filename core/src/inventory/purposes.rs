//! The kind of a mailbox, which comes later than the mailbox.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{ObjectKind, documents::Mailbox, queries};
use crate::{
    ids::TenantId,
    store::{Scoped, StoreError},
};

/// Writes the kinds of these mailboxes into their documents as they stand now.
pub(crate) fn set_purposes(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    purposes: &BTreeMap<Uuid, String>,
) -> Result<(), StoreError> {
    let keys: Vec<Uuid> = purposes.keys().copied().collect();
    for (key, text) in queries::live_among(tx, tenant, ObjectKind::Mailbox, &keys)? {
        let mut mailbox: Mailbox =
            serde_json::from_str(&text).or(Err(StoreError::Corrupt { what: "mailbox" }))?;
        mailbox.user_purpose = purposes.get(&key).cloned();
        let document =
            serde_json::to_string(&mailbox).or(Err(StoreError::Corrupt { what: "mailbox" }))?;
        queries::replace_document(tx, tenant, ObjectKind::Mailbox, key, &document)?;
    }
    Ok(())
}
