//! Reading the inventory: lists, single objects and the summary.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json, value::RawValue};
use uuid::Uuid;

use super::{
    ObjectKind,
    license_names::{self, LicenseNamesFile},
    queries,
};
use crate::{
    access::OrgScope,
    ids::TenantId,
    store::{Store, StoreError},
    tenants,
};

/// What to list.
#[derive(Debug, Clone, Default)]
pub struct ListingQuery {
    /// After this key.
    pub after: Option<Uuid>,
    /// At most so many.
    pub limit: u16,
    /// Text that the display name must contain.
    pub search: Option<String>,
}

/// A page of a collection.
#[derive(Debug)]
pub struct Listing {
    /// The objects as stored.
    pub items: Vec<Box<RawValue>>,
    /// Key of the last object, when there are more.
    pub next: Option<Uuid>,
    /// How many there are in all.
    pub total: i64,
    /// End of the last complete read; null before the first.
    pub as_of: Option<DateTime<Utc>>,
}

/// How much there is of everything.
#[derive(Debug)]
pub struct Summary {
    /// Users.
    pub users: i64,
    /// Groups.
    pub groups: i64,
    /// SKUs.
    pub licenses: i64,
    /// Devices.
    pub devices: i64,
    /// Mailboxes that are not deleted.
    pub mailboxes: i64,
    /// Current and highest Secure Score of the newest day, as Microsoft wrote them.
    pub secure_score: Option<(Value, Value)>,
}

/// Why nothing can be listed.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// The tenant, group or object is not there, or not in this organisation.
    #[error("not found")]
    NotFound,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads what the last sync found.
#[derive(Clone)]
pub struct InventoryService {
    store: Store,
    names: Arc<LicenseNamesFile>,
}

impl InventoryService {
    /// With the names that licences are shown under.
    pub fn new(store: Store, names: Arc<LicenseNamesFile>) -> Self {
        Self { store, names }
    }

    /// A page of a collection in key order; Secure Scores newest first.
    pub async fn list(
        &self,
        scope: &OrgScope,
        tenant: TenantId,
        kind: ObjectKind,
        query: ListingQuery,
    ) -> Result<Listing, InventoryError> {
        let listing = self
            .store
            .read(scope, move |tx| {
                require_tenant(tx, tenant)?;
                let search = query.search.as_deref();
                let rows = queries::live_documents(
                    tx,
                    tenant,
                    kind,
                    query.after,
                    search,
                    i64::from(query.limit) + 1,
                )?;
                let total = match search {
                    Some(search) => queries::count_matching(tx, tenant, kind, search)?,
                    None => queries::count(tx, tenant, kind)?,
                };
                let as_of = queries::as_of(tx, tenant, data_set_of(kind))?;
                let (rows, next) = cut(rows, query.limit);
                let items = rows
                    .into_iter()
                    .map(|(_, document)| raw(document))
                    .collect::<Result<_, _>>()?;
                Ok::<_, InventoryError>(Listing {
                    items,
                    next,
                    total,
                    as_of,
                })
            })
            .await?;
        match kind {
            ObjectKind::License => self.with_names(listing),
            ObjectKind::Organization
            | ObjectKind::User
            | ObjectKind::Group
            | ObjectKind::SecureScore
            | ObjectKind::Device
            | ObjectKind::Mailbox => Ok(listing),
        }
    }

    /// The one object that describes the tenant, and since when; `None` before the first sync.
    pub async fn organization(
        &self,
        scope: &OrgScope,
        tenant: TenantId,
    ) -> Result<Option<Box<RawValue>>, InventoryError> {
        self.store
            .read(scope, move |tx| {
                require_tenant(tx, tenant)?;
                let document =
                    queries::live_document(tx, tenant, ObjectKind::Organization, tenant.as_uuid())?;
                Ok(document.map(raw).transpose()?)
            })
            .await
    }

    /// Members of a group: Graph's id and type, with the name we know.
    pub async fn members(
        &self,
        scope: &OrgScope,
        tenant: TenantId,
        group: Uuid,
        query: ListingQuery,
    ) -> Result<Listing, InventoryError> {
        self.store
            .read(scope, move |tx| {
                require_tenant(tx, tenant)?;
                if queries::live_document(tx, tenant, ObjectKind::Group, group)?.is_none() {
                    return Err(InventoryError::NotFound);
                }
                let rows =
                    queries::members(tx, tenant, group, query.after, i64::from(query.limit) + 1)?;
                let rows: Vec<(Uuid, (String, Option<String>))> = rows
                    .into_iter()
                    .map(|(id, kind, name)| (id, (kind, name)))
                    .collect();
                let (rows, next) = cut(rows, query.limit);
                let ids: Vec<Uuid> = rows.iter().map(|(id, _)| *id).collect();
                let mut names = display_names(tx, tenant, ObjectKind::User, &ids)?;
                names.extend(display_names(tx, tenant, ObjectKind::Group, &ids)?);
                let items = rows
                    .into_iter()
                    .map(|(id, (kind, name))| {
                        let name = names.get(&id).cloned().unwrap_or_else(|| json!(name));
                        raw(json!({"@odata.type": kind, "id": id, "displayName": name}).to_string())
                    })
                    .collect::<Result<_, _>>()?;
                let total = queries::count_members(tx, tenant, group)?;
                let as_of = queries::as_of(tx, tenant, data_set_of(ObjectKind::Group))?;
                Ok(Listing {
                    items,
                    next,
                    total,
                    as_of,
                })
            })
            .await
    }

    /// How much there is of everything.
    pub async fn summary(
        &self,
        scope: &OrgScope,
        tenant: TenantId,
    ) -> Result<Summary, InventoryError> {
        self.store
            .read(scope, move |tx| {
                require_tenant(tx, tenant)?;
                let newest =
                    queries::live_documents(tx, tenant, ObjectKind::SecureScore, None, None, 1)?;
                Ok(Summary {
                    users: queries::count(tx, tenant, ObjectKind::User)?,
                    groups: queries::count(tx, tenant, ObjectKind::Group)?,
                    licenses: queries::count(tx, tenant, ObjectKind::License)?,
                    devices: queries::count(tx, tenant, ObjectKind::Device)?,
                    mailboxes: queries::count(tx, tenant, ObjectKind::Mailbox)?,
                    secure_score: newest
                        .first()
                        .map(|(_, document)| score(document))
                        .transpose()?,
                })
            })
            .await
    }

    fn with_names(&self, listing: Listing) -> Result<Listing, InventoryError> {
        let names = self.names.names();
        let items = listing
            .items
            .into_iter()
            .map(|item| {
                let mut sku: Value =
                    serde_json::from_str(item.get()).or(Err(corrupt("license")))?;
                let text = |name: &str| {
                    sku.get(name)
                        .and_then(Value::as_str)
                        .unwrap_or_default()
                        .to_owned()
                };
                let (sku_id, part) = (text("skuId"), text("skuPartNumber"));
                let sku_id = Uuid::try_parse(&sku_id).or(Err(corrupt("license")))?;
                let (name, source) = license_names::display_name(sku_id, &part, &names);
                if let Some(members) = sku.as_object_mut() {
                    members.insert("displayName".to_owned(), json!(name));
                    members.insert("displayNameSource".to_owned(), json!(source.as_str()));
                    members.insert("isFree".to_owned(), json!(license_names::is_free(sku_id)));
                }
                raw(sku.to_string())
            })
            .collect::<Result<_, StoreError>>()?;
        Ok(Listing { items, ..listing })
    }
}

fn require_tenant(
    tx: &mut crate::store::Scoped<'_>,
    tenant: TenantId,
) -> Result<(), InventoryError> {
    if tenants::exists(tx, tenant)? {
        Ok(())
    } else {
        Err(InventoryError::NotFound)
    }
}

/// The data set that brings a collection.
const fn data_set_of(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Organization => "organization",
        ObjectKind::User => "users",
        ObjectKind::Group => "groups",
        ObjectKind::License => "licenses",
        ObjectKind::SecureScore => "secureScores",
        ObjectKind::Device => "devices",
        ObjectKind::Mailbox => "mailboxes",
    }
}

fn corrupt(what: &'static str) -> StoreError {
    StoreError::Corrupt { what }
}

fn raw(document: String) -> Result<Box<RawValue>, StoreError> {
    RawValue::from_string(document).or(Err(corrupt("document")))
}

/// One row more than asked for was read: it tells whether there is a next page.
fn cut<T>(mut rows: Vec<(Uuid, T)>, limit: u16) -> (Vec<(Uuid, T)>, Option<Uuid>) {
    let limit = usize::from(limit);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().map(|(key, _)| *key).filter(|_| more);
    (rows, next)
}

fn display_names(
    tx: &mut crate::store::Scoped<'_>,
    tenant: TenantId,
    kind: ObjectKind,
    ids: &[Uuid],
) -> Result<std::collections::HashMap<Uuid, Value>, StoreError> {
    queries::stored_documents(tx, tenant, kind, ids)?
        .into_iter()
        .map(|(id, document)| {
            let document: Value = serde_json::from_str(&document).or(Err(corrupt("document")))?;
            Ok((id, document.get("displayName").cloned().unwrap_or_default()))
        })
        .collect()
}

fn score(document: &str) -> Result<(Value, Value), StoreError> {
    let document: Value = serde_json::from_str(document).or(Err(corrupt("secure score")))?;
    let number = |name: &str| document.get(name).cloned().unwrap_or_default();
    Ok((number("currentScore"), number("maxScore")))
}
