//! What each PSA is signed in with: a shape of its own for each.

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::{contract::PsaKind, secret::Secret};

/// ConnectWise: keys of an API member, and the integrator's client id.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectWiseCredentials {
    /// The company's id, as at the login page; upper and lower case differ.
    pub company_id: String,
    /// The API member's public key.
    pub public_key: String,
    /// Its private key.
    pub private_key: Secret,
    /// The GUID that the integrator registered with the vendor.
    pub client_id: String,
}

/// Autotask: an API user.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AutotaskCredentials {
    /// Its user name, an address.
    pub username: String,
    /// Its secret.
    pub secret: Secret,
    /// The tracking identifier that is bound to the user.
    pub integration_code: Secret,
}

/// HaloPSA: an API application.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HaloPsaCredentials {
    /// Its client id.
    pub client_id: String,
    /// Its client secret.
    pub client_secret: Secret,
    /// The tenant, for hosted instances.
    #[serde(default)]
    pub tenant: Option<String>,
    /// The authorisation server where it is not `{base}/auth`.
    #[serde(default)]
    pub auth_url: Option<String>,
}

/// What a connection signs in with.
#[derive(Debug)]
pub enum Credentials {
    /// ConnectWise PSA.
    ConnectWise(ConnectWiseCredentials),
    /// Autotask PSA.
    Autotask(AutotaskCredentials),
    /// HaloPSA.
    HaloPsa(HaloPsaCredentials),
}

/// A field that cannot be taken. The value is never told: it may be a secret in the wrong place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct CredentialFault {
    /// The field's name.
    pub field: String,
    /// What is wrong with it.
    pub why: String,
}

/// The longest value of a credential.
const MOST_CHARACTERS: usize = 1024;

impl PsaKind {
    /// The fields of its credentials, and whether each is needed.
    pub const fn credential_fields(self) -> &'static [(&'static str, bool)] {
        match self {
            Self::ConnectWise => &[
                ("companyId", true),
                ("publicKey", true),
                ("privateKey", true),
                ("clientId", true),
            ],
            Self::Autotask => &[
                ("username", true),
                ("secret", true),
                ("integrationCode", true),
            ],
            Self::HaloPsa => &[
                ("clientId", true),
                ("clientSecret", true),
                ("tenant", false),
                ("authUrl", false),
            ],
        }
    }
}

impl Credentials {
    /// Reads what a person entered; everything that is wrong with it at once.
    ///
    /// # Errors
    /// A fault for each field that is missing, unknown, empty, too long, or holds what no header can carry.
    pub fn parse(kind: PsaKind, entered: &Value) -> Result<Self, Vec<CredentialFault>> {
        let mut faults = Vec::new();
        let fault = |field: &str, why: &str| CredentialFault {
            field: field.to_owned(),
            why: why.to_owned(),
        };
        let Some(object) = entered.as_object() else {
            return Err(vec![fault("", "must be an object")]);
        };
        let fields = kind.credential_fields();
        for (name, value) in object {
            if !fields.iter().any(|(known, _needed)| known == name) {
                faults.push(fault(name, "is not a credential of this PSA"));
                continue;
            }
            match value {
                Value::Null => {}
                Value::String(text) if text.trim().is_empty() => {
                    faults.push(fault(name, "must not be empty"));
                }
                Value::String(text) if text.len() > MOST_CHARACTERS => {
                    faults.push(fault(name, "must have at most 1024 characters"));
                }
                Value::String(text) if text.chars().any(char::is_control) => {
                    faults.push(fault(
                        name,
                        "must not hold line breaks or control characters",
                    ));
                }
                Value::String(text) if name == "authUrl" && Url::parse(text).is_err() => {
                    faults.push(fault(
                        name,
                        "must be an address such as https://example.halopsa.com/auth",
                    ));
                }
                Value::String(_) => {}
                Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                    faults.push(fault(name, "must be text"));
                }
            }
        }
        for (name, needed) in fields {
            let is_there = object.get(*name).is_some_and(|value| !value.is_null());
            if *needed && !is_there {
                faults.push(fault(name, "is missing"));
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let parsed = match kind {
            PsaKind::ConnectWise => {
                ConnectWiseCredentials::deserialize(entered).map(Self::ConnectWise)
            }
            PsaKind::Autotask => AutotaskCredentials::deserialize(entered).map(Self::Autotask),
            PsaKind::HaloPsa => HaloPsaCredentials::deserialize(entered).map(Self::HaloPsa),
        };
        // The error's own text could repeat a value.
        parsed.or(Err(vec![fault("", "cannot be read")]))
    }

    /// Which PSA they are for.
    pub const fn kind(&self) -> PsaKind {
        match self {
            Self::ConnectWise(_) => PsaKind::ConnectWise,
            Self::Autotask(_) => PsaKind::Autotask,
            Self::HaloPsa(_) => PsaKind::HaloPsa,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_fault_is_named_at_once_and_no_value_is_repeated() {
        let entered = json!({
            "companyId": "", "publicKey": 7, "privateKey": "canary\n", "region": "canary",
        });
        let faults = Credentials::parse(PsaKind::ConnectWise, &entered).unwrap_err();
        let mut fields: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
        fields.sort_unstable();
        assert_eq!(
            fields,
            ["clientId", "companyId", "privateKey", "publicKey", "region"]
        );
        assert!(!format!("{faults:?}").contains("canary"));
        let text = Credentials::parse(PsaKind::Autotask, &json!("canary")).unwrap_err();
        assert!(!format!("{text:?}").contains("canary"));
    }

    #[test]
    fn v10_credentials_that_were_read_show_no_secret() {
        let entered = json!({"username": "api@northgate.example", "secret": "canary-1", "integrationCode": "canary-2"});
        let read = Credentials::parse(PsaKind::Autotask, &entered).unwrap();
        assert!(!format!("{read:?}").contains("canary"));
        let halo = json!({"clientId": "a", "clientSecret": "b", "tenant": null, "authUrl": "https://x.halopsa.com/auth"});
        assert!(Credentials::parse(PsaKind::HaloPsa, &halo).is_ok());
    }
}
