//! What ConnectWise writes, as far as we read it. Everything but an id may be missing, `null` or empty, and
//! a reference may be `{}` (psa.md §A3).

use serde::Deserialize;
use serde_json::Value;

use crate::{
    contract::{ExternalId, Label},
    wire,
};

/// A reference to another record.
#[derive(Deserialize)]
pub(super) struct Reference {
    /// Its id.
    #[serde(default, deserialize_with = "wire::id")]
    pub id: Option<ExternalId>,
    /// Its name.
    #[serde(default, deserialize_with = "wire::text")]
    pub name: Option<String>,
    /// Its short name.
    #[serde(default, deserialize_with = "wire::text")]
    pub identifier: Option<String>,
}

impl Reference {
    /// The name that people see.
    pub fn shown(self) -> Option<String> {
        self.name.or(self.identifier)
    }

    /// Id and name; the id stands for a missing name.
    pub fn label(self) -> Option<Label> {
        let id = self.id?;
        let name = self.name.or(self.identifier);
        let name = name.unwrap_or_else(|| id.0.clone());
        Some(Label { id, name })
    }
}

/// What a record says about itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Info {
    /// When it last changed.
    #[serde(default, deserialize_with = "wire::text")]
    pub last_updated: Option<String>,
}

/// A field that the MSP added.
#[derive(Deserialize)]
pub(super) struct CustomField {
    /// Its name.
    #[serde(default, deserialize_with = "wire::text")]
    pub caption: Option<String>,
    /// Its value, of any type.
    #[serde(default, deserialize_with = "wire::text")]
    pub value: Option<String>,
}

/// A company.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Company {
    #[serde(default, deserialize_with = "wire::id")]
    pub id: Option<ExternalId>,
    #[serde(default, deserialize_with = "wire::text")]
    pub identifier: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    pub name: Option<String>,
    #[serde(default, deserialize_with = "wire::nested")]
    pub status: Option<Reference>,
    #[serde(default, deserialize_with = "wire::list")]
    pub types: Vec<Reference>,
    #[serde(default, deserialize_with = "wire::text")]
    pub address_line1: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    pub address_line2: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    pub city: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    pub state: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    pub zip: Option<String>,
    #[serde(default, deserialize_with = "wire::nested")]
    pub country: Option<Reference>,
    #[serde(default, deserialize_with = "wire::text")]
    pub phone_number: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    pub website: Option<String>,
    #[serde(default, deserialize_with = "wire::flag")]
    pub deleted_flag: Option<bool>,
    #[serde(default, deserialize_with = "wire::list")]
    pub custom_fields: Vec<CustomField>,
    #[serde(rename = "_info", default, deserialize_with = "wire::nested")]
    pub info: Option<Info>,
}

/// A row of a table: a status, a type, a board, a priority. Tables name their flags differently.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TableRow {
    #[serde(default, deserialize_with = "wire::id")]
    pub id: Option<ExternalId>,
    #[serde(default, deserialize_with = "wire::text")]
    pub name: Option<String>,
    #[serde(default, deserialize_with = "wire::flag")]
    inactive_flag: Option<bool>,
    #[serde(default, deserialize_with = "wire::flag")]
    inactive: Option<bool>,
    #[serde(default, deserialize_with = "wire::flag")]
    default_flag: Option<bool>,
    #[serde(default, deserialize_with = "wire::flag")]
    closed_status: Option<bool>,
    #[serde(default, deserialize_with = "wire::flag")]
    project_flag: Option<bool>,
}

impl TableRow {
    /// Whether it is out of use.
    pub fn is_inactive(&self) -> bool {
        self.inactive_flag == Some(true) || self.inactive == Some(true)
    }

    /// Whether ConnectWise takes it by itself.
    pub fn is_default(&self) -> bool {
        self.default_flag == Some(true)
    }

    /// Whether a ticket with this status is closed.
    pub fn closes(&self) -> bool {
        self.closed_status == Some(true)
    }

    /// Whether a board is for projects, where no service tickets go.
    pub fn is_for_projects(&self) -> bool {
        self.project_flag == Some(true)
    }

    /// Id and name.
    pub fn label(&self) -> Option<Label> {
        let id = self.id.clone()?;
        let name = self.name.clone().unwrap_or_else(|| id.0.clone());
        Some(Label { id, name })
    }
}

/// One of a contact's ways to be reached. Its type's name is the MSP's; `communicationType` is not.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CommunicationItem {
    #[serde(default, deserialize_with = "wire::text")]
    pub communication_type: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    pub value: Option<String>,
}

/// A contact.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Contact {
    #[serde(default, deserialize_with = "wire::nested")]
    pub company: Option<Reference>,
    #[serde(default, deserialize_with = "wire::flag")]
    pub inactive_flag: Option<bool>,
    #[serde(default, deserialize_with = "wire::list")]
    pub communication_items: Vec<CommunicationItem>,
}

/// A site of a company. Its state is a reference, the company's a text.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SiteRecord {
    #[serde(default, deserialize_with = "wire::id")]
    pub id: Option<ExternalId>,
    #[serde(default, deserialize_with = "wire::text")]
    pub name: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    pub address_line1: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    pub address_line2: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    pub city: Option<String>,
    #[serde(default, deserialize_with = "wire::nested")]
    pub state_reference: Option<Reference>,
    #[serde(default, deserialize_with = "wire::text")]
    pub zip: Option<String>,
    #[serde(default, deserialize_with = "wire::nested")]
    pub country: Option<Reference>,
    #[serde(default, deserialize_with = "wire::text")]
    pub phone_number: Option<String>,
    #[serde(default, deserialize_with = "wire::flag")]
    pub primary_address_flag: Option<bool>,
    #[serde(default, deserialize_with = "wire::flag")]
    pub inactive_flag: Option<bool>,
}

/// A callback.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CallbackRecord {
    #[serde(default, deserialize_with = "wire::id")]
    pub id: Option<ExternalId>,
    #[serde(default, deserialize_with = "wire::text")]
    pub url: Option<String>,
    #[serde(default, deserialize_with = "wire::id")]
    pub object_id: Option<ExternalId>,
    #[serde(rename = "type", default, deserialize_with = "wire::text")]
    pub kind: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    pub level: Option<String>,
    #[serde(default, deserialize_with = "wire::flag")]
    pub inactive_flag: Option<bool>,
}

/// A ticket.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TicketRecord {
    #[serde(default, deserialize_with = "wire::id")]
    pub id: Option<ExternalId>,
    #[serde(default, deserialize_with = "wire::nested")]
    pub board: Option<Reference>,
    #[serde(default, deserialize_with = "wire::nested")]
    pub status: Option<Reference>,
    #[serde(rename = "externalXRef", default, deserialize_with = "wire::text")]
    pub external_x_ref: Option<String>,
    #[serde(default, deserialize_with = "wire::flag")]
    pub closed_flag: Option<bool>,
}

/// The records of a list; entries of another shape are left out.
pub(super) fn records<T: serde::de::DeserializeOwned>(rows: Vec<Value>) -> Vec<T> {
    rows.into_iter()
        .filter_map(|row| serde_json::from_value(row).ok())
        .collect()
}
