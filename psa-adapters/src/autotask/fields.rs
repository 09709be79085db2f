//! What a database says about its own fields: picklists, and which may be asked by (psa.md §B3).

use std::sync::Arc;

use serde::Deserialize;

use crate::{
    autotask::{
        Autotask,
        errors::protocol,
        http::{Call, Client},
    },
    contract::{ExternalId, Label},
    error::PsaError,
    wire,
};

/// The fields of an entity.
#[derive(Deserialize)]
pub(super) struct Fields {
    #[serde(deserialize_with = "wire::list")]
    fields: Vec<Field>,
}

/// A field.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Field {
    #[serde(deserialize_with = "wire::text")]
    name: Option<String>,
    #[serde(deserialize_with = "wire::flag")]
    is_queryable: Option<bool>,
    #[serde(deserialize_with = "wire::list")]
    picklist_values: Vec<PicklistValue>,
}

/// A value that a field may have.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PicklistValue {
    // Text here, a number in the records.
    #[serde(deserialize_with = "wire::id")]
    value: Option<ExternalId>,
    #[serde(deserialize_with = "wire::text")]
    label: Option<String>,
    #[serde(deserialize_with = "wire::flag")]
    is_active: Option<bool>,
    #[serde(deserialize_with = "wire::flag")]
    is_default_value: Option<bool>,
}

impl PicklistValue {
    /// Its id and name; none where it has no id.
    pub(super) fn label(&self) -> Option<Label> {
        let id = self.value.clone()?;
        let name = self.label.clone().unwrap_or_else(|| id.0.clone());
        Some(Label { id, name })
    }

    /// Whether it may still be chosen.
    pub(super) fn is_active(&self) -> bool {
        self.is_active.unwrap_or(true)
    }

    /// Whether Autotask takes it by itself.
    pub(super) fn is_default(&self) -> bool {
        self.is_default_value.unwrap_or(false)
    }
}

impl Fields {
    /// None are known.
    pub(super) fn unknown() -> Self {
        Self { fields: Vec::new() }
    }

    fn find(&self, name: &str) -> Option<&Field> {
        let is_it = |field: &&Field| {
            field
                .name
                .as_deref()
                .is_some_and(|known| known.eq_ignore_ascii_case(name))
        };
        self.fields.iter().find(is_it)
    }

    /// Whether rows may be asked by this field.
    pub(super) fn is_queryable(&self, name: &str) -> bool {
        self.find(name)
            .is_some_and(|field| field.is_queryable == Some(true))
    }

    /// The values a field may have; none where it is unknown.
    pub(super) fn values(&self, name: &str) -> &[PicklistValue] {
        self.find(name)
            .map_or(&[], |field| field.picklist_values.as_slice())
    }

    /// The values that may still be chosen.
    pub(super) fn choices(&self, name: &str) -> Vec<Label> {
        let active = self.values(name).iter().filter(|value| value.is_active());
        active.filter_map(PicklistValue::label).collect()
    }

    /// A value's id with its name; the id serves as name where there is none.
    pub(super) fn resolve(&self, name: &str, id: &ExternalId) -> Label {
        let mut labels = self.values(name).iter().filter_map(PicklistValue::label);
        labels
            .find(|label| label.id == *id)
            .unwrap_or_else(|| Label {
                id: id.clone(),
                name: id.0.clone(),
            })
    }
}

impl Client {
    /// The fields of an entity, as `entityInformation` lists them.
    pub(super) async fn fields(&self, entity: &'static str) -> Result<Fields, PsaError> {
        let segments = [entity, "entityInformation", "fields"];
        let value = self.ask(&Call::get(entity, &segments)).await?;
        Fields::deserialize(value).or(Err(protocol(200, "the answer lists no fields")))
    }
}

impl Autotask {
    /// The fields of companies.
    pub(super) async fn company_fields(&self) -> Result<Arc<Fields>, PsaError> {
        self.company_fields
            .get(self.now(), self.client.fields("Companies"))
            .await
    }

    /// The fields of tickets.
    pub(super) async fn ticket_fields(&self) -> Result<Arc<Fields>, PsaError> {
        self.ticket_fields
            .get(self.now(), self.client.fields("Tickets"))
            .await
    }
}
