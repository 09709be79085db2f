//! What Autotask writes, as far as it is used. Every field may be missing (psa.md §D3).

use serde::Deserialize;

use crate::{
    contract::{Address, ExternalId},
    wire,
};

/// The answer of a query.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct QueryAnswer {
    /// The rows; none in what is no page.
    pub(super) items: Option<Vec<serde_json::Value>>,
    /// Where it goes on.
    #[serde(default, deserialize_with = "wire::nested")]
    pub(super) page_details: Option<PageDetails>,
}

/// What a page says about its list.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PageDetails {
    /// The next page; none: this was the last.
    #[serde(default, deserialize_with = "wire::text")]
    pub(super) next_page_url: Option<String>,
}

/// The answer of a GET by id: `{"item": null}` where there is no such record.
#[derive(Deserialize)]
pub(super) struct Item<T> {
    /// The record.
    pub(super) item: Option<T>,
}

/// The answer of a creation.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Created {
    /// The new record's id.
    #[serde(default, deserialize_with = "wire::id")]
    pub(super) item_id: Option<ExternalId>,
}

/// A custom field ("user-defined field") of a record. Values are text whatever the field's type.
#[derive(Deserialize)]
pub(super) struct CustomField {
    #[serde(default, deserialize_with = "wire::text")]
    pub(super) name: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    pub(super) value: Option<String>,
}

/// The address fields that companies and locations share.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Place {
    #[serde(deserialize_with = "wire::text")]
    address1: Option<String>,
    #[serde(deserialize_with = "wire::text")]
    address2: Option<String>,
    #[serde(deserialize_with = "wire::text")]
    additional_address_information: Option<String>,
    #[serde(deserialize_with = "wire::text")]
    city: Option<String>,
    #[serde(deserialize_with = "wire::text")]
    state: Option<String>,
    // One zone writes a number.
    #[serde(deserialize_with = "wire::text")]
    postal_code: Option<String>,
    #[serde(rename = "countryID", deserialize_with = "wire::id")]
    pub(super) country: Option<ExternalId>,
}

impl Place {
    /// As an address, in the country of this name.
    pub(super) fn address(self, country: Option<String>) -> Address {
        let lines = [
            self.address1,
            self.address2,
            self.additional_address_information,
        ];
        Address {
            lines: lines.into_iter().flatten().collect(),
            city: self.city,
            state: self.state,
            postal_code: self.postal_code,
            country,
        }
    }
}

/// A company.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Company {
    #[serde(deserialize_with = "wire::id")]
    pub(super) id: Option<ExternalId>,
    #[serde(deserialize_with = "wire::text")]
    pub(super) company_name: Option<String>,
    #[serde(deserialize_with = "wire::text")]
    pub(super) company_number: Option<String>,
    #[serde(deserialize_with = "wire::id")]
    pub(super) company_type: Option<ExternalId>,
    #[serde(deserialize_with = "wire::flag")]
    pub(super) is_active: Option<bool>,
    #[serde(deserialize_with = "wire::text")]
    pub(super) phone: Option<String>,
    #[serde(deserialize_with = "wire::text")]
    pub(super) web_address: Option<String>,
    #[serde(deserialize_with = "wire::text")]
    pub(super) last_activity_date: Option<String>,
    #[serde(deserialize_with = "wire::text")]
    pub(super) last_tracked_modified_date_time: Option<String>,
    #[serde(deserialize_with = "wire::list")]
    pub(super) user_defined_fields: Vec<CustomField>,
    #[serde(flatten)]
    pub(super) place: Place,
}

/// A contact.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Contact {
    #[serde(rename = "companyID", deserialize_with = "wire::id")]
    pub(super) company: Option<ExternalId>,
    // An integer here, a boolean at companies.
    #[serde(deserialize_with = "wire::flag")]
    pub(super) is_active: Option<bool>,
    #[serde(deserialize_with = "wire::text")]
    pub(super) email_address: Option<String>,
    #[serde(deserialize_with = "wire::text")]
    pub(super) email_address2: Option<String>,
    #[serde(deserialize_with = "wire::text")]
    pub(super) email_address3: Option<String>,
}

/// A location of a company.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Location {
    #[serde(deserialize_with = "wire::id")]
    pub(super) id: Option<ExternalId>,
    #[serde(deserialize_with = "wire::text")]
    pub(super) name: Option<String>,
    #[serde(deserialize_with = "wire::text")]
    pub(super) phone: Option<String>,
    #[serde(deserialize_with = "wire::flag")]
    pub(super) is_active: Option<bool>,
    #[serde(deserialize_with = "wire::flag")]
    pub(super) is_primary: Option<bool>,
    #[serde(flatten)]
    pub(super) place: Place,
}

/// A country.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Country {
    #[serde(deserialize_with = "wire::id")]
    pub(super) id: Option<ExternalId>,
    #[serde(deserialize_with = "wire::text")]
    pub(super) display_name: Option<String>,
    #[serde(deserialize_with = "wire::text")]
    pub(super) name: Option<String>,
}

/// A webhook as it was set up.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Webhook {
    #[serde(deserialize_with = "wire::id")]
    pub(super) id: Option<ExternalId>,
    #[serde(deserialize_with = "wire::text")]
    pub(super) name: Option<String>,
    #[serde(deserialize_with = "wire::flag")]
    pub(super) is_ready: Option<bool>,
}

/// A ticket.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct TicketRecord {
    #[serde(deserialize_with = "wire::id")]
    pub(super) id: Option<ExternalId>,
    #[serde(deserialize_with = "wire::text")]
    pub(super) ticket_number: Option<String>,
    #[serde(deserialize_with = "wire::id")]
    pub(super) status: Option<ExternalId>,
    #[serde(rename = "companyID", deserialize_with = "wire::id")]
    pub(super) company: Option<ExternalId>,
    #[serde(rename = "externalID", deserialize_with = "wire::text")]
    pub(super) external_id: Option<String>,
}

/// How much of the hour's requests is used up, by all integrations of the database together.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ThresholdInformation {
    pub(super) external_request_threshold: Option<u32>,
    pub(super) request_threshold_timeframe: Option<u32>,
    pub(super) current_timeframe_request_count: Option<u32>,
}
