//! From a domain or a GUID to the tenant behind it, by Microsoft's OpenID metadata.
//!
//! Nobody needs to be signed in for this. It happens before a link is made, so that a link is always
//! for one concrete tenant.

use std::str::FromStr;

use reqwest::{Method, Request};
use serde::Deserialize;
use url::{Host, Url};

use crate::{
    ids::TenantId,
    microsoft::{
        aadsts::MicrosoftError,
        cloud::{CloudProfile, MicrosoftCloud},
        consent_doctor::{self, DiagnosisCode},
        id_token::CONSUMER_TENANT,
    },
    outbound::{Outbound, OutboundError, Upstream, read_capped},
};

/// Metadata documents are a few kilobytes.
const DOCUMENT_LIMIT: usize = 256 * 1024;
/// Longest domain name.
const LONGEST_DOMAIN: usize = 253;

/// What somebody typed to name a tenant: a domain in its ASCII form, or a GUID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TenantHint {
    /// A domain, lower case, internationalised names as punycode.
    Domain(String),
    /// The tenant's id.
    Id(TenantId),
}

/// A text that can name no tenant.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("neither a domain name nor a tenant id")]
pub struct InvalidHint;

impl TenantHint {
    /// Reads what was typed; blanks around it are tolerated, nothing else is.
    ///
    /// # Errors
    /// When it is neither a domain with at least two labels nor a GUID.
    pub fn parse(text: &str) -> Result<Self, InvalidHint> {
        let text = text.trim();
        if let Ok(id) = TenantId::from_str(text) {
            return if id.as_uuid().is_nil() {
                Err(InvalidHint)
            } else {
                Ok(Self::Id(id))
            };
        }
        // Checked before anything decodes it: what is left can only be a name.
        let is_name = text
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '-' | '.'));
        if !is_name || text.len() > 4 * LONGEST_DOMAIN {
            return Err(InvalidHint);
        }
        let domain = match Host::parse(text) {
            Ok(Host::Domain(domain)) => domain,
            Ok(Host::Ipv4(_) | Host::Ipv6(_)) | Err(_) => return Err(InvalidHint),
        };
        let labels_fit = domain.split('.').all(is_label);
        if labels_fit && domain.contains('.') && domain.len() <= LONGEST_DOMAIN {
            Ok(Self::Domain(domain))
        } else {
            Err(InvalidHint)
        }
    }

    /// The domain, if it is one.
    pub fn domain(&self) -> Option<&str> {
        match self {
            Self::Domain(domain) => Some(domain),
            Self::Id(_) => None,
        }
    }

    fn segment(&self) -> String {
        match self {
            Self::Domain(domain) => domain.clone(),
            Self::Id(id) => id.to_string(),
        }
    }
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// A tenant that exists in this installation's cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedTenant {
    /// Microsoft's id of the tenant.
    pub tenant_id: TenantId,
    /// The domain that was typed, if one was.
    pub domain: Option<String>,
    /// Microsoft's region, such as `EU`.
    pub region_scope: Option<String>,
    /// Microsoft's sub-region: `GCC`, `DODCON`, `DOD`.
    pub region_sub_scope: Option<String>,
}

/// Why no tenant was found.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// Microsoft knows none by this name here.
    #[error("tenant not found")]
    NotFound(#[source] Box<MicrosoftError>),
    /// Microsoft says this can be no tenant's name.
    #[error("not a tenant's name")]
    Invalid(#[source] Box<MicrosoftError>),
    /// It names the tenant of personal accounts, or none that could be a customer.
    #[error("personal accounts are no tenant")]
    PersonalAccounts,
    /// It lives in another of Microsoft's clouds.
    #[error("tenant lives in another cloud")]
    WrongCloud {
        /// Which one, if that can be told.
        actual: Option<MicrosoftCloud>,
        /// What Microsoft said, if it was Microsoft who said so.
        source: Option<Box<MicrosoftError>>,
    },
    /// Microsoft could not be reached or failed; trying again may help.
    #[error("tenant lookup unavailable")]
    Unavailable(#[source] Option<OutboundError>),
    /// Microsoft refused for another reason.
    #[error("tenant lookup refused: {0}")]
    Refused(#[source] Box<MicrosoftError>),
    /// An answer that is no metadata document of one tenant of the configured authority.
    #[error("unexpected metadata: {0}")]
    UnexpectedAnswer(&'static str),
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    token_endpoint: Option<String>,
    tenant_region_scope: Option<String>,
    tenant_region_sub_scope: Option<String>,
}

/// Asks Microsoft which tenant a hint names.
///
/// # Errors
/// See [`LookupError`].
pub async fn resolve(
    hint: &TenantHint,
    profile: &CloudProfile,
    http: &Outbound,
) -> Result<ResolvedTenant, LookupError> {
    if matches!(hint, TenantHint::Id(id) if id.as_uuid() == CONSUMER_TENANT) {
        return Err(LookupError::PersonalAccounts);
    }
    let path = format!("/{}/v2.0/.well-known/openid-configuration", hint.segment());
    let request = Request::new(Method::GET, profile.authority().at(&path, None));
    let unavailable = |error| LookupError::Unavailable(Some(error));
    let response = http
        .execute(Upstream::Login, request)
        .await
        .map_err(unavailable)?;
    let status = response.status();
    let body = read_capped(response, DOCUMENT_LIMIT)
        .await
        .map_err(unavailable)?;
    if status.is_success() {
        read_metadata(&body, hint, profile)
    } else {
        Err(refusal(MicrosoftError::from_answer(status.as_u16(), &body)))
    }
}

/// Reads a tenant's OpenID metadata.
///
/// # Errors
/// When it is not that of one tenant of the configured authority and cloud, or of another tenant than
/// a GUID asked for.
pub(crate) fn read_metadata(
    body: &[u8],
    hint: &TenantHint,
    profile: &CloudProfile,
) -> Result<ResolvedTenant, LookupError> {
    let Ok(metadata) = serde_json::from_slice::<Metadata>(body) else {
        return Err(LookupError::UnexpectedAnswer("not a metadata document"));
    };
    for address in [Some(&metadata.issuer), metadata.token_endpoint.as_ref()]
        .into_iter()
        .flatten()
    {
        if let Some(actual) = foreign_cloud(address, profile) {
            return Err(LookupError::WrongCloud {
                actual: Some(actual),
                source: None,
            });
        }
    }
    let tenant_id = issuer_tenant(&metadata.issuer, profile).ok_or(
        LookupError::UnexpectedAnswer("issuer is not a tenant of the authority"),
    )?;
    if tenant_id.as_uuid() == CONSUMER_TENANT {
        return Err(LookupError::PersonalAccounts);
    }
    if matches!(hint, TenantHint::Id(id) if *id != tenant_id) {
        return Err(LookupError::UnexpectedAnswer("metadata of another tenant"));
    }
    let lives_in = metadata
        .tenant_region_sub_scope
        .as_deref()
        .and_then(cloud_of_sub_scope);
    if lives_in.is_some_and(|cloud| cloud != profile.cloud()) {
        return Err(LookupError::WrongCloud {
            actual: lives_in,
            source: None,
        });
    }
    Ok(ResolvedTenant {
        tenant_id,
        domain: hint.domain().map(str::to_owned),
        region_scope: metadata.tenant_region_scope,
        region_sub_scope: metadata.tenant_region_sub_scope,
    })
}

/// The tenant of an issuer `{authority}/{tid}/v2.0`, exactly.
fn issuer_tenant(issuer: &str, profile: &CloudProfile) -> Option<TenantId> {
    let path = issuer.strip_prefix(profile.authority().as_str())?;
    TenantId::from_str(path.strip_prefix('/')?.strip_suffix("/v2.0")?).ok()
}

/// The other cloud whose host stands in an address, if it is one.
fn foreign_cloud(address: &str, profile: &CloudProfile) -> Option<MicrosoftCloud> {
    let url = Url::parse(address).ok()?;
    if profile.authority().covers(&url) {
        return None;
    }
    let mut owners = MicrosoftCloud::owning(url.host_str()?).peekable();
    let first = owners.peek().copied();
    if owners.any(|owner| owner == profile.cloud()) {
        None
    } else {
        first
    }
}

/// The cloud that a sub-region belongs to. The two US Government clouds share their login, so this
/// is the only thing that tells them apart.
fn cloud_of_sub_scope(sub_scope: &str) -> Option<MicrosoftCloud> {
    match sub_scope.to_ascii_uppercase().as_str() {
        "GCC" => Some(MicrosoftCloud::Global),
        "DODCON" => Some(MicrosoftCloud::UsGov),
        "DOD" => Some(MicrosoftCloud::UsGovDod),
        _unknown => None,
    }
}

fn refusal(error: MicrosoftError) -> LookupError {
    let code = consent_doctor::diagnose(&error).code;
    let error = Box::new(error);
    if code == DiagnosisCode::TenantNotFound {
        LookupError::NotFound(error)
    } else if code == DiagnosisCode::InvalidTenant {
        LookupError::Invalid(error)
    } else if code == DiagnosisCode::WrongCloud {
        LookupError::WrongCloud {
            actual: None,
            source: Some(error),
        }
    } else if matches!(
        code,
        DiagnosisCode::MicrosoftUnavailable | DiagnosisCode::UpstreamThrottled
    ) {
        LookupError::Unavailable(None)
    } else {
        LookupError::Refused(error)
    }
}

#[cfg(test)]
mod tests;
