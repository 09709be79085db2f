//! Users, which are the contacts of clients: the domains of their addresses (psa.md §C3).

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use crate::{
    contract::{Cursor, ExternalId, HintPage, HintSource, TenantHint},
    domain,
    error::PsaError,
    wire,
};

use super::{
    http::Http,
    page::{List, Place},
};

#[derive(Deserialize)]
struct User {
    #[serde(default, deserialize_with = "wire::id")]
    client_id: Option<ExternalId>,
    #[serde(default, deserialize_with = "wire::flag")]
    inactive: Option<bool>,
    #[serde(default, deserialize_with = "wire::flag")]
    isserviceaccount: Option<bool>,
    #[serde(default, deserialize_with = "wire::text")]
    emailaddress: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    email2: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    email3: Option<String>,
}

/// A page of what the active users of all clients tell.
pub(super) async fn page(http: &Http, cursor: &Cursor) -> Result<HintPage, PsaError> {
    let place = Place::at(cursor, &http.address.system(), List::Contacts)?;
    let filters = [("includeactive", "true"), ("includeinactive", "false")];
    let rows = match place.read(http, &filters).await {
        Ok(rows) => rows,
        Err(PsaError::Permission { .. }) => {
            return Ok(HintPage {
                items: Vec::new(),
                next: None,
                left_out: Some(HintSource::Contacts),
            });
        }
        Err(error) => return Err(error),
    };
    Ok(HintPage {
        items: rows.fresh.into_iter().flat_map(hints).collect(),
        next: rows.next.map(|place| place.cursor()),
        left_out: None,
    })
}

/// One hint for each domain that a user has. The tenant that a user was imported from is none: guests and
/// the MSP's own people come from tenants of others.
fn hints(row: Value) -> Vec<TenantHint> {
    let Ok(user) = serde_json::from_value::<User>(row) else {
        return Vec::new();
    };
    let Some(customer) = user.client_id else {
        return Vec::new();
    };
    if user.inactive == Some(true) || user.isserviceaccount == Some(true) {
        return Vec::new();
    }
    let evidence: BTreeSet<_> = [user.emailaddress, user.email2, user.email3]
        .iter()
        .flatten()
        .flat_map(|addresses| addresses.split([',', ';', ' ']))
        .filter_map(domain::of_mail_address)
        .collect();
    evidence
        .into_iter()
        .map(|evidence| TenantHint {
            customer: customer.clone(),
            evidence,
        })
        .collect()
}
