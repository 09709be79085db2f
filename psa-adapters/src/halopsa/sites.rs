//! Sites of a client (psa.md §C3).

use serde::Deserialize;
use serde_json::Value;

use crate::{
    contract::{Address, ExternalId, Site},
    error::PsaError,
    wire,
};

use super::{
    clients,
    errors::Right,
    http::Http,
    page::{List, Place, integer},
};

/// For so many sites without an address the details are asked for, which may have one.
const MOST_DETAILS: usize = 20;

#[derive(Deserialize)]
struct SiteRow {
    #[serde(default, deserialize_with = "wire::id")]
    id: Option<ExternalId>,
    #[serde(default, deserialize_with = "wire::text")]
    name: Option<String>,
    #[serde(default, deserialize_with = "wire::id")]
    client_id: Option<ExternalId>,
    #[serde(default, deserialize_with = "wire::flag")]
    inactive: Option<bool>,
    #[serde(default, deserialize_with = "wire::text")]
    phonenumber: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    delivery_address_line1: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    delivery_address_line2: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    delivery_address_line3: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    delivery_address_line4: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    delivery_address_line5: Option<String>,
    #[serde(default, deserialize_with = "wire::nested")]
    delivery_address: Option<DeliveryAddress>,
    #[serde(default, deserialize_with = "wire::text")]
    country_code_name: Option<String>,
}

#[derive(Deserialize)]
struct DeliveryAddress {
    #[serde(default, deserialize_with = "wire::text")]
    line1: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    line2: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    line3: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    line4: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    postcode: Option<String>,
}

impl SiteRow {
    /// Two lines of street, then town, county, postal code.
    fn address(&self) -> Address {
        let nested = self.delivery_address.as_ref();
        let or = |flat: &Option<String>, nested: Option<&Option<String>>| {
            flat.clone().or_else(|| nested.cloned().flatten())
        };
        let lines = [
            or(&self.delivery_address_line1, nested.map(|a| &a.line1)),
            or(&self.delivery_address_line2, nested.map(|a| &a.line2)),
        ];
        Address {
            lines: lines.into_iter().flatten().collect(),
            city: or(&self.delivery_address_line3, nested.map(|a| &a.line3)),
            state: or(&self.delivery_address_line4, nested.map(|a| &a.line4)),
            postal_code: or(&self.delivery_address_line5, nested.map(|a| &a.postcode)),
            country: self.country_code_name.clone(),
        }
    }
}

/// All sites of a client.
pub(super) async fn list(http: &Http, customer: &ExternalId) -> Result<Vec<Site>, PsaError> {
    let number = integer(customer).ok_or(PsaError::NotFound)?.to_string();
    let main = clients::main_site(http, customer)
        .await?
        .ok_or(PsaError::NotFound)?;
    let filters = [
        ("client_id", number.as_str()),
        ("includeactive", "true"),
        ("includeinactive", "true"),
    ];
    let mut sites = Vec::new();
    let mut details = 0;
    let mut place = Some(Place::start(http.address.system(), List::Sites));
    while let Some(here) = place {
        let rows = here.read(http, &filters).await?;
        for row in rows.fresh {
            let Ok(mut row) = serde_json::from_value::<SiteRow>(row) else {
                continue;
            };
            // A filter that an instance does not know is ignored.
            let (Some(id), true) = (row.id.clone(), row.client_id.as_ref() == Some(customer))
            else {
                continue;
            };
            if row.address().lines.is_empty() && details < MOST_DETAILS {
                details += 1;
                row = detail(http, &id).await?.unwrap_or(row);
            }
            sites.push(Site {
                name: row.name.clone().unwrap_or_else(|| id.0.clone()),
                address: row.address(),
                phone: row.phonenumber.clone(),
                primary: main.as_ref() == Some(&id),
                active: row.inactive != Some(true),
                id,
            });
        }
        place = rows.next;
    }
    Ok(sites)
}

async fn detail(http: &Http, id: &ExternalId) -> Result<Option<SiteRow>, PsaError> {
    let Some(number) = integer(id) else {
        return Ok(None);
    };
    let query = [("includedetails", "true")];
    match http
        .get(Right::Sites, "Site", Some(&number.to_string()), &query)
        .await
    {
        Ok(detail @ Value::Object(_)) => Ok(serde_json::from_value(detail).ok()),
        Ok(
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_),
        )
        | Err(PsaError::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}
