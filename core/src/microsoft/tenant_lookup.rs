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
    outbound::{Outbound, OutboundError, read_capped},
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
    NotFound(#[source] MicrosoftError),
    /// Microsoft says this can be no tenant's name.
    #[error("not a tenant's name")]
    Invalid(#[source] MicrosoftError),
    /// It names the tenant of personal accounts, or none that could be a customer.
    #[error("personal accounts are no tenant")]
    PersonalAccounts,
    /// It lives in another of Microsoft's clouds.
    #[error("tenant lives in another cloud")]
    WrongCloud {
        /// Which one, if that can be told.
        actual: Option<MicrosoftCloud>,
        /// What Microsoft said, if it was Microsoft who said so.
        source: Option<MicrosoftError>,
    },
    /// Microsoft could not be reached or failed; trying again may help.
    #[error("tenant lookup unavailable")]
    Unavailable(#[source] Option<OutboundError>),
    /// Microsoft refused for another reason.
    #[error("tenant lookup refused: {0}")]
    Refused(#[source] MicrosoftError),
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
    let response = http.execute(request).await.map_err(unavailable)?;
    let status = response.status();
    let body = read_capped(response, DOCUMENT_LIMIT)
        .await
        .map_err(unavailable)?;
    if status.is_success() {
        read(&body, hint, profile)
    } else {
        Err(refusal(MicrosoftError::from_answer(status.as_u16(), &body)))
    }
}

fn read(
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
mod tests {
    use super::*;

    const TENANT: &str = "0b8f1a52-6a5e-4b0e-8f6e-0d7a5f3b9c11";

    fn profile(cloud: MicrosoftCloud) -> CloudProfile {
        CloudProfile::new(cloud, None, None).unwrap()
    }

    fn document(issuer: &str, sub_scope: Option<&str>) -> Vec<u8> {
        serde_json::json!({
            "issuer": issuer,
            "token_endpoint": issuer.replace("/v2.0", "/oauth2/v2.0/token"),
            "tenant_region_scope": "EU",
            "tenant_region_sub_scope": sub_scope,
            "new": [1],
        })
        .to_string()
        .into_bytes()
    }

    #[test]
    fn domains_and_ids_are_read_strictly() {
        for (text, domain) in [
            ("contoso.com", "contoso.com"),
            (" Contoso.OnMicrosoft.com ", "contoso.onmicrosoft.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("a-b.c1.example", "a-b.c1.example"),
        ] {
            assert_eq!(
                TenantHint::parse(text),
                Ok(TenantHint::Domain(domain.to_owned())),
                "{text}"
            );
        }
        let id = TenantHint::Id(TENANT.parse().unwrap());
        assert_eq!(TenantHint::parse(&TENANT.to_uppercase()), Ok(id));
    }

    #[test]
    fn j6_what_could_change_the_path_is_no_tenant() {
        let long_label = format!("{}.example", "a".repeat(64));
        let long_name = format!("{}example", "a.".repeat(130));
        for text in [
            "",
            " ",
            "contoso",
            "common",
            "organizations",
            "consumers",
            "contoso.com/x",
            "../x.y",
            "a..b",
            ".contoso.com",
            "contoso.com.",
            "contoso.com?x=1",
            "contoso.com#x",
            "con toso.com",
            "contoso.com\r\nx",
            "%2e%2e.example",
            "contoso%2ecom",
            "user@contoso.com",
            "https://contoso.com",
            "contoso.com:443",
            "127.0.0.1",
            "0x7f.1",
            "[::1]",
            "-a.example",
            "a-.example",
            "a_b.example",
            "xn--.example",
            "{tenantid}",
            "00000000-0000-0000-0000-000000000000",
            "0b8f1a526a5e4b0e8f6e0d7a5f3b9c11",
            "{0b8f1a52-6a5e-4b0e-8f6e-0d7a5f3b9c11}",
            &long_label,
            &long_name,
        ] {
            assert_eq!(TenantHint::parse(text), Err(InvalidHint), "{text}");
        }
    }

    #[test]
    fn a_tenants_metadata_gives_its_id() {
        let profile = profile(MicrosoftCloud::Global);
        let hint = TenantHint::parse("contoso.example").unwrap();
        let body = document(
            &format!("https://login.microsoftonline.com/{TENANT}/v2.0"),
            None,
        );
        let found = read(&body, &hint, &profile).unwrap();
        assert_eq!(found.tenant_id.to_string(), TENANT);
        assert_eq!(found.domain.as_deref(), Some("contoso.example"));
        assert_eq!(found.region_scope.as_deref(), Some("EU"));
        assert_eq!(found.region_sub_scope, None);
    }

    #[test]
    fn an_overridden_authority_is_the_expected_issuer() {
        let profile =
            CloudProfile::new(MicrosoftCloud::Global, Some("http://127.0.0.1:9"), None).unwrap();
        let hint = TenantHint::parse("contoso.example").unwrap();
        let own = document(&format!("http://127.0.0.1:9/{TENANT}/v2.0"), None);
        assert!(read(&own, &hint, &profile).is_ok());
        let microsofts = document(
            &format!("https://login.microsoftonline.com/{TENANT}/v2.0"),
            None,
        );
        assert!(matches!(
            read(&microsofts, &hint, &profile),
            Err(LookupError::UnexpectedAnswer(_))
        ));
    }

    #[test]
    fn metadata_that_fits_no_single_tenant_is_refused() {
        let profile = profile(MicrosoftCloud::Global);
        let hint = TenantHint::parse("contoso.example").unwrap();
        for issuer in [
            "https://login.microsoftonline.com/{tenantid}/v2.0".to_owned(),
            format!("https://login.microsoftonline.com/{TENANT}/v1.0"),
            format!("https://login.microsoftonline.com/{TENANT}/v2.0/"),
            format!("https://login.microsoftonline.com.example/{TENANT}/v2.0"),
            format!("https://evil.example/{TENANT}/v2.0"),
            String::new(),
        ] {
            let read = read(&document(&issuer, None), &hint, &profile);
            assert!(
                matches!(read, Err(LookupError::UnexpectedAnswer(_))),
                "{issuer}"
            );
        }
        let other = TenantHint::parse("7c0a9f3e-1111-4222-8333-444455556666").unwrap();
        let body = document(
            &format!("https://login.microsoftonline.com/{TENANT}/v2.0"),
            None,
        );
        assert!(matches!(
            read(&body, &other, &profile),
            Err(LookupError::UnexpectedAnswer(_))
        ));
        assert!(matches!(
            read(b"<html>", &hint, &profile),
            Err(LookupError::UnexpectedAnswer(_))
        ));
        let consumers = document(
            &format!("https://login.microsoftonline.com/{CONSUMER_TENANT}/v2.0"),
            None,
        );
        assert!(matches!(
            read(&consumers, &hint, &profile),
            Err(LookupError::PersonalAccounts)
        ));
    }

    #[test]
    fn g8_a_tenant_of_another_cloud_is_told_by_its_hosts() {
        let hint = TenantHint::parse("contoso.example").unwrap();
        for (cloud, host, actual) in [
            (
                MicrosoftCloud::Global,
                "login.microsoftonline.us",
                MicrosoftCloud::UsGov,
            ),
            (
                MicrosoftCloud::Global,
                "login.partner.microsoftonline.cn",
                MicrosoftCloud::China,
            ),
            (
                MicrosoftCloud::UsGov,
                "login.microsoftonline.com",
                MicrosoftCloud::Global,
            ),
            (
                MicrosoftCloud::UsGovDod,
                "login.chinacloudapi.cn",
                MicrosoftCloud::China,
            ),
            (
                MicrosoftCloud::China,
                "login.microsoftonline.us",
                MicrosoftCloud::UsGov,
            ),
        ] {
            let body = document(&format!("https://{host}/{TENANT}/v2.0"), None);
            let read = read(&body, &hint, &profile(cloud));
            assert!(
                matches!(read, Err(LookupError::WrongCloud { actual: Some(found), .. }) if found == actual),
                "{cloud} {host}"
            );
        }
    }

    #[test]
    fn g8_the_two_us_government_clouds_are_told_apart_by_sub_scope() {
        let hint = TenantHint::parse("contoso.example").unwrap();
        for cloud in MicrosoftCloud::ALL {
            for (sub_scope, home) in [
                (None, None),
                (Some("somethingNew"), None),
                (Some("GCC"), Some(MicrosoftCloud::Global)),
                (Some("DODCON"), Some(MicrosoftCloud::UsGov)),
                (Some("DOD"), Some(MicrosoftCloud::UsGovDod)),
            ] {
                let profile = profile(cloud);
                let body = document(&format!("{}/{TENANT}/v2.0", profile.authority()), sub_scope);
                let fits = home.is_none_or(|home| home == cloud);
                assert_eq!(
                    read(&body, &hint, &profile).is_ok(),
                    fits,
                    "{cloud} {sub_scope:?}"
                );
            }
        }
    }

    #[test]
    fn microsofts_refusals_are_typed() {
        let refused = |status, number: u32| {
            let body = format!(r#"{{"error":"invalid_request","error_codes":[{number}]}}"#);
            refusal(MicrosoftError::from_answer(status, body.as_bytes()))
        };
        assert!(matches!(refused(400, 90002), LookupError::NotFound(_)));
        assert!(matches!(refused(400, 900_023), LookupError::Invalid(_)));
        for number in [90038, 900_432, 900_382] {
            assert!(matches!(
                refused(400, number),
                LookupError::WrongCloud {
                    source: Some(_),
                    ..
                }
            ));
        }
        assert!(matches!(
            refused(400, 90033),
            LookupError::Unavailable(None)
        ));
        assert!(matches!(
            refusal(MicrosoftError::from_answer(503, b"")),
            LookupError::Unavailable(None)
        ));
        assert!(matches!(refused(400, 9_002_313), LookupError::Refused(_)));
    }
}
