//! How the installation proves to Microsoft that it is its app registration.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use uuid::Uuid;

use crate::secrets::SecretText;

/// How long a client assertion is good for.
const ASSERTION_LIFETIME: TimeDelta = TimeDelta::minutes(9);
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// An app registration's id with its secret or certificate.
#[derive(Debug)]
pub struct ClientCredential {
    client_id: String,
    proof: Proof,
}

enum Proof {
    Secret(SecretText),
    Certificate {
        key: EncodingKey,
        thumbprint: String,
    },
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Secret(_) => "Secret",
            Self::Certificate { .. } => "Certificate",
        })
    }
}

/// Why a certificate cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CredentialError {
    /// The PEM text lacks a block.
    #[error("PEM text has no {0}")]
    Missing(&'static str),
    /// A block is not what its name says.
    #[error("PEM text has a {0} that cannot be read")]
    Unreadable(&'static str),
    /// The key does not sign.
    #[error("certificate's key does not sign")]
    NotSigning(#[source] jsonwebtoken::errors::Error),
}

impl ClientCredential {
    /// A registration with a client secret.
    pub fn with_secret(client_id: String, secret: SecretText) -> Self {
        Self {
            client_id,
            proof: Proof::Secret(secret),
        }
    }

    /// A registration with a certificate: PEM text with the certificate and its RSA key.
    ///
    /// # Errors
    /// When a block is missing or unreadable, or the key does not sign.
    pub fn with_certificate(client_id: String, pem: &SecretText) -> Result<Self, CredentialError> {
        let pem = pem.expose();
        let certificate =
            block(pem, "CERTIFICATE").ok_or(CredentialError::Missing("certificate"))?;
        let key_block = block(pem, "PRIVATE KEY")
            .or_else(|| block(pem, "RSA PRIVATE KEY"))
            .ok_or(CredentialError::Missing("private key"))?;
        let base64: String = certificate
            .lines()
            .filter(|line| !line.starts_with("-----"))
            .flat_map(|line| line.chars().filter(|c| !c.is_whitespace()))
            .collect();
        let Ok(der) = STANDARD.decode(base64) else {
            return Err(CredentialError::Unreadable("certificate"));
        };
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &der);
        let thumbprint = URL_SAFE_NO_PAD.encode(digest.as_ref());
        let Ok(key) = EncodingKey::from_rsa_pem(key_block.as_bytes()) else {
            return Err(CredentialError::Unreadable("private key"));
        };
        let credential = Self {
            client_id,
            proof: Proof::Certificate { key, thumbprint },
        };
        // A key that cannot sign is found at start, not in the middle of the first consent.
        credential.proof("", DateTime::UNIX_EPOCH)?;
        Ok(credential)
    }

    /// The application (client) id.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The form fields that prove the registration at a token endpoint.
    pub(crate) fn proof(
        &self,
        token_endpoint: &str,
        now: DateTime<Utc>,
    ) -> Result<Vec<(&'static str, String)>, CredentialError> {
        let (key, thumbprint) = match &self.proof {
            Proof::Secret(secret) => {
                return Ok(vec![("client_secret", secret.expose().to_owned())]);
            }
            Proof::Certificate { key, thumbprint } => (key, thumbprint),
        };
        let header = Header {
            x5t_s256: Some(thumbprint.clone()),
            ..Header::new(Algorithm::PS256)
        };
        let claims = Assertion {
            aud: token_endpoint,
            iss: &self.client_id,
            sub: &self.client_id,
            jti: Uuid::new_v4(),
            nbf: now.timestamp(),
            iat: now.timestamp(),
            exp: (now + ASSERTION_LIFETIME).timestamp(),
        };
        let assertion =
            jsonwebtoken::encode(&header, &claims, key).map_err(CredentialError::NotSigning)?;
        Ok(vec![
            ("client_assertion_type", ASSERTION_TYPE.to_owned()),
            ("client_assertion", assertion),
        ])
    }
}

#[derive(Serialize)]
struct Assertion<'a> {
    aud: &'a str,
    iss: &'a str,
    sub: &'a str,
    jti: Uuid,
    nbf: i64,
    iat: i64,
    exp: i64,
}

/// The first PEM block with this label, its markers included.
fn block<'a>(pem: &'a str, label: &str) -> Option<&'a str> {
    let begin = format!("-----BEGIN {label}-----");
    let end = format!("-----END {label}-----");
    let start = pem.find(&begin)?;
    let rest = pem.get(start..)?;
    let length = rest.find(&end)? + end.len();
    rest.get(..length)
}
