//! Clients, which are customers (psa.md §C3).

use std::collections::BTreeMap;

use chrono::TimeDelta;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    contract::{
        Address, Cursor, Customer, CustomerQuery, CustomerState, Evidence, ExternalId, Label, Page,
    },
    domain,
    error::PsaError,
    wire,
};

use super::{
    errors::Right,
    http::{Http, unexpected},
    page::{List, Place, Rows, integer},
};

/// The longest list whose clients are all read in full: with four calls at a time under half of what may be
/// asked in five minutes.
const MOST_DETAILS: u64 = 100;
/// How many details are read side by side.
const SIDE_BY_SIDE: usize = 4;
/// How far a read of changes goes back before the moment it is asked for: clocks differ, and whether the
/// filter includes its own second is not known.
const OVERLAP: TimeDelta = TimeDelta::minutes(15);
/// The most pages that are looked through for types.
const MOST_TYPE_PAGES: usize = 20;

#[derive(Deserialize)]
struct Client {
    #[serde(default, deserialize_with = "wire::id")]
    id: Option<ExternalId>,
    #[serde(default, deserialize_with = "wire::text")]
    name: Option<String>,
    #[serde(default, deserialize_with = "wire::flag")]
    inactive: Option<bool>,
    #[serde(default, deserialize_with = "wire::flag")]
    isopportunity: Option<bool>,
    #[serde(default, deserialize_with = "wire::text")]
    customertype_new: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    website: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    domain: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    main_phonenumber: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    accountsid: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    alastupdate: Option<String>,
    #[serde(default, deserialize_with = "wire::list")]
    customfields: Vec<CustomField>,
}

#[derive(Deserialize)]
struct CustomField {
    #[serde(default, deserialize_with = "wire::text")]
    name: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    label: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    value: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    display: Option<String>,
}

/// A page of clients.
pub(super) async fn list(
    http: &Http,
    query: &CustomerQuery,
    cursor: Option<&Cursor>,
) -> Result<Page<Customer>, PsaError> {
    let system = http.address.system();
    let place = match cursor {
        None => Place::start(system, List::Clients),
        Some(cursor) => Place::at(cursor, &system, List::Clients)?,
    };
    let since = query
        .modified_since
        .and_then(|since| since.checked_sub_signed(OVERLAP))
        // Without a zone, and meant as UTC.
        .map(|since| since.format("%Y-%m-%dT%H:%M:%S").to_string());
    let mut filters = vec![("includeactive", "true"), ("includeinactive", "true")];
    if let Some(since) = &since {
        filters.push(("lastupdatefromdate", since));
    }
    let Rows {
        mut fresh,
        next,
        count,
        so_far,
    } = place.read(http, &filters).await?;
    if !query.types.is_empty() {
        fresh = of_types(fresh, &query.types)?;
    }
    let with_details = count.unwrap_or(so_far) <= MOST_DETAILS;
    let rows = if with_details {
        in_full(http, fresh).await?
    } else {
        fresh.into_iter().map(|row| (row, false)).collect()
    };
    Ok(Page {
        items: rows
            .into_iter()
            .filter_map(|(row, complete)| customer(row, complete))
            .collect(),
        next: next.map(|place| place.cursor()),
        expected: count,
    })
}

/// The rows in full, and whether each is: where the detail is not to be had, the list's word stands.
async fn in_full(http: &Http, rows: Vec<Value>) -> Result<Vec<(Value, bool)>, PsaError> {
    let reads: Vec<_> = rows
        .into_iter()
        .map(|row| async {
            let id = row.get("id").and_then(wire::id_of);
            let detail = match id {
                Some(id) => detail(http, id).await?,
                None => None,
            };
            Ok(detail.map_or((row, false), |detail| (detail, true)))
        })
        .collect();
    stream::iter(reads)
        .buffered(SIDE_BY_SIDE)
        .try_collect()
        .await
}

async fn detail(http: &Http, id: ExternalId) -> Result<Option<Value>, PsaError> {
    let Some(number) = integer(&id) else {
        return Ok(None);
    };
    let query = [("includedetails", "true")];
    match http
        .get(Right::Clients, "Client", Some(&number.to_string()), &query)
        .await
    {
        Ok(Value::Null) | Err(PsaError::NotFound) => Ok(None),
        Ok(detail) if detail.get("id").and_then(wire::id_of).as_ref() == Some(&id) => {
            Ok(Some(detail))
        }
        Ok(_) => Err(unexpected("another record than the client asked for")),
        Err(error) => Err(error),
    }
}

/// One client; none where there is none, and for one that is only an opportunity.
pub(super) async fn get(http: &Http, id: &ExternalId) -> Result<Option<Customer>, PsaError> {
    let detail = detail(http, id.clone()).await?;
    Ok(detail.and_then(|row| customer(row, true)))
}

/// The site that a client has as its main one; none: there is no such client.
pub(super) async fn main_site(
    http: &Http,
    id: &ExternalId,
) -> Result<Option<Option<ExternalId>>, PsaError> {
    Ok(detail(http, id.clone())
        .await?
        .map(|client| client.get("main_site_id").and_then(wire::id_of)))
}

/// The types that clients have: HaloPSA documents no list of them.
pub(super) async fn types(http: &Http) -> Result<Vec<Label>, PsaError> {
    let mut types = BTreeMap::new();
    let mut place = Some(Place::start(http.address.system(), List::Clients));
    for _page in 0..MOST_TYPE_PAGES {
        let Some(here) = place else { break };
        let filters = [("includeactive", "true"), ("includeinactive", "false")];
        let rows = here.read(http, &filters).await?;
        for row in rows.fresh {
            if let Some(name) = row.get("customertype_new").and_then(wire::text_of) {
                types.entry(name.to_lowercase()).or_insert(name);
            }
        }
        place = rows.next;
    }
    Ok(types.into_values().map(label).collect())
}

/// A type is known by its name alone.
fn label(name: String) -> Label {
    Label {
        id: ExternalId(name.clone()),
        name,
    }
}

fn of_types(rows: Vec<Value>, wanted: &[String]) -> Result<Vec<Value>, PsaError> {
    let wanted: Vec<String> = wanted
        .iter()
        .map(|name| name.trim().to_lowercase())
        .collect();
    let mut kept = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(kind) = row.get("customertype_new") else {
            // What cannot be told apart must not be taken for gone.
            return Err(PsaError::Config {
                what: "this HaloPSA does not list the type of clients: choose no customer types"
                    .to_owned(),
            });
        };
        let kind = wire::text_of(kind).unwrap_or_default().to_lowercase();
        if wanted.contains(&kind) {
            kept.push(row);
        }
    }
    Ok(kept)
}

fn customer(row: Value, complete: bool) -> Option<Customer> {
    let client: Client = serde_json::from_value(row).ok()?;
    let id = client.id.filter(|id| integer(id).is_some())?;
    if client.isopportunity == Some(true) {
        return None;
    }
    let mut evidence: Vec<Evidence> = client
        .customfields
        .iter()
        .filter_map(of_custom_field)
        .chain(client.website.as_deref().and_then(domain::of_website))
        .chain(
            client
                .domain
                .iter()
                .flat_map(|domains| domains.split([',', ';', ' ']))
                .filter_map(domain::of_website),
        )
        .collect();
    evidence.sort();
    evidence.dedup();
    let name = client
        .name
        .or_else(|| client.accountsid.clone())
        .unwrap_or_else(|| id.0.clone());
    Some(Customer {
        id,
        name,
        code: client.accountsid,
        state: if client.inactive == Some(true) {
            CustomerState::Inactive
        } else {
            CustomerState::Active
        },
        types: client.customertype_new.map(label).into_iter().collect(),
        phone: client.main_phonenumber,
        website: client.website,
        // A client's addresses are those of its sites.
        address: Address::default(),
        updated_at: client.alastupdate.filter(|moment| is_moment(moment)),
        evidence,
        complete,
    })
}

/// Both its names count: one is made of the other by dropping spaces.
fn of_custom_field(field: &CustomField) -> Option<Evidence> {
    let name = format!(
        "{} {}",
        field.name.as_deref().unwrap_or_default(),
        field.label.as_deref().unwrap_or_default()
    );
    let of = |text: &Option<String>| domain::of_custom_field(&name, text.as_deref()?);
    of(&field.value).or_else(|| of(&field.display))
}

/// HaloPSA writes these for a moment that there is not (psa.md §C7).
fn is_moment(text: &str) -> bool {
    !["0001-01-01", "1899-12-30"]
        .iter()
        .any(|nothing| text.starts_with(nothing))
}

#[cfg(test)]
mod tests;
