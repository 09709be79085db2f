//! The tenants that HaloPSA itself has mapped to clients, in its Azure connections (psa.md §C3).

use serde::Deserialize;
use serde_json::Value;

use crate::{
    contract::{EvidenceKind, ExternalId, HintPage, HintSource, TenantHint},
    domain,
    error::PsaError,
    wire,
};

use super::{
    errors::Right,
    http::{Http, record, unexpected},
    page::{List, Place, integer},
};

/// Connections to Microsoft's partner programme, which see the tenants of clients.
const PARTNER: (&str, &str) = ("type", "2");

#[derive(Deserialize)]
struct Connection {
    #[serde(default, deserialize_with = "wire::list")]
    mappings_client: Vec<Mapping>,
}

#[derive(Deserialize)]
struct Mapping {
    #[serde(default, deserialize_with = "wire::id")]
    client_id: Option<ExternalId>,
    #[serde(default, deserialize_with = "wire::text")]
    azure_tenant_id: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    azure_tenant_domain: Option<String>,
}

/// All of the map. It is short, and many API agents may not read it: then it is left out, and contacts are
/// read all the same.
pub(super) async fn read(http: &Http) -> Result<HintPage, PsaError> {
    let (items, left_out) = match hints(http).await {
        Ok(items) => (items, None),
        Err(error) if is_refusal(&error) => (Vec::new(), Some(HintSource::TenantMap)),
        Err(error) => return Err(error),
    };
    let contacts = Place::start(http.address.system(), List::Contacts);
    Ok(HintPage {
        items,
        next: Some(contacts.cursor()),
        left_out,
    })
}

/// Whether the map is not for us, rather than not to be had right now. A 401 may stand for a missing right
/// here; where it means the credentials, the contacts say so next.
fn is_refusal(error: &PsaError) -> bool {
    match error {
        PsaError::Permission { .. }
        | PsaError::Auth { .. }
        | PsaError::NotFound
        | PsaError::Validation { .. }
        | PsaError::Protocol { .. } => true,
        PsaError::Config { .. }
        | PsaError::RateLimited { .. }
        | PsaError::Transient { .. }
        | PsaError::Ambiguous
        | PsaError::Conflict
        | PsaError::AddressRefused => false,
    }
}

async fn hints(http: &Http) -> Result<Vec<TenantHint>, PsaError> {
    let mut hints = Vec::new();
    for id in connections(http).await? {
        let query = [
            PARTNER,
            ("includedetails", "true"),
            ("includetenants", "true"),
        ];
        let answer = http
            .get(
                Right::TenantMap,
                "AzureADConnection",
                Some(&id.to_string()),
                &query,
            )
            .await;
        let connection = match answer {
            Ok(answer) => record(answer),
            Err(PsaError::NotFound) => continue,
            Err(error) => return Err(error),
        };
        let Ok(connection) = serde_json::from_value::<Connection>(connection) else {
            return Err(unexpected("an Azure connection that is none"));
        };
        hints.extend(connection.mappings_client.iter().filter_map(hint));
    }
    // Two connections may see one tenant. One on two clients stays so: it decides nothing, and whoever
    // matches must see that.
    hints.sort_by(|one, other| {
        (&one.customer, &one.evidence).cmp(&(&other.customer, &other.evidence))
    });
    hints.dedup();
    Ok(hints)
}

/// The ids of the connections, in whatever shape they come.
pub(super) async fn connections(http: &Http) -> Result<Vec<i64>, PsaError> {
    let answer = http
        .get(Right::TenantMap, "AzureADConnection", None, &[PARTNER])
        .await?;
    let connections = match answer {
        Value::Array(connections) => connections,
        Value::Object(object) if object.contains_key("id") => vec![Value::Object(object)],
        Value::Object(object) => object
            .into_iter()
            .find_map(|(_, value)| match value {
                Value::Array(connections) => Some(connections),
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Object(_) => None,
            })
            .unwrap_or_default(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            return Err(unexpected("no list of Azure connections"));
        }
    };
    Ok(connections
        .iter()
        .filter_map(|connection| integer(&wire::id_of(connection.get("id")?)?))
        .collect())
}

/// A row says the tenant by its id; where it has none, by its initial domain.
fn hint(mapping: &Mapping) -> Option<TenantHint> {
    let evidence = mapping
        .azure_tenant_id
        .as_deref()
        .and_then(domain::of_tenant_map)
        .or_else(|| {
            let domain = mapping.azure_tenant_domain.as_deref()?;
            domain::evidence(EvidenceKind::InitialDomain, domain).filter(|evidence| {
                evidence.value.contains(".onmicrosoft.")
                    || evidence.value.contains(".partner.onmschina.")
            })
        })?;
    Some(TenantHint {
        customer: mapping.client_id.clone()?,
        evidence,
    })
}
