//! What a connection may authenticate with.

use std::str::FromStr;

use crate::{
    microsoft::client_credential::{ClientCredential, CredentialError},
    secrets::{SecretKind, SecretText},
    tenants::UnknownWord,
};

/// The kinds of stored credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialKind {
    /// A refresh token of the administrator who signed in.
    RefreshToken,
    /// The secret of a registration of the customer's own.
    ClientSecret,
    /// The certificate of one, with its key: PEM.
    ClientCertificate,
}

impl CredentialKind {
    /// All of them.
    pub const ALL: [Self; 3] = [
        Self::RefreshToken,
        Self::ClientSecret,
        Self::ClientCertificate,
    ];

    /// The word in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RefreshToken => "refreshToken",
            Self::ClientSecret => "clientSecret",
            Self::ClientCertificate => "clientCertificate",
        }
    }

    pub(super) const fn secret_kind(self) -> SecretKind {
        match self {
            Self::RefreshToken => SecretKind::RefreshToken,
            Self::ClientSecret => SecretKind::ClientSecret,
            Self::ClientCertificate => SecretKind::ClientCertificate,
        }
    }
}

impl FromStr for CredentialKind {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(UnknownWord)
    }
}

/// A credential in clear, on its way into the store or to its use.
#[derive(Debug)]
pub enum Credential {
    /// A refresh token.
    RefreshToken(SecretText),
    /// A registration of the customer's own with its secret.
    ClientSecret {
        /// Its application (client) id.
        client_id: String,
        /// The secret's value.
        secret: SecretText,
    },
    /// A registration of the customer's own with its certificate.
    ClientCertificate {
        /// Its application (client) id.
        client_id: String,
        /// Certificate and private key.
        pem: SecretText,
    },
}

impl Credential {
    /// Its kind.
    pub fn kind(&self) -> CredentialKind {
        match self {
            Self::RefreshToken(_) => CredentialKind::RefreshToken,
            Self::ClientSecret { .. } => CredentialKind::ClientSecret,
            Self::ClientCertificate { .. } => CredentialKind::ClientCertificate,
        }
    }

    pub(super) fn client_id(&self) -> Option<&str> {
        match self {
            Self::RefreshToken(_) => None,
            Self::ClientSecret { client_id, .. } | Self::ClientCertificate { client_id, .. } => {
                Some(client_id)
            }
        }
    }

    pub(super) fn secret(&self) -> &SecretText {
        match self {
            Self::RefreshToken(secret)
            | Self::ClientSecret { secret, .. }
            | Self::ClientCertificate { pem: secret, .. } => secret,
        }
    }

    /// The registration that it proves; `None` for a refresh token, which proves a person.
    ///
    /// # Errors
    /// When a certificate or its key cannot be used.
    pub fn to_registration(&self) -> Result<Option<ClientCredential>, CredentialError> {
        match self {
            Self::RefreshToken(_) => Ok(None),
            Self::ClientSecret { client_id, secret } => {
                let secret = SecretText::new(secret.expose().to_owned());
                Ok(Some(ClientCredential::with_secret(
                    client_id.clone(),
                    secret,
                )))
            }
            Self::ClientCertificate { client_id, pem } => {
                ClientCredential::with_certificate(client_id.clone(), pem).map(Some)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_exactly_as_they_are_written() {
        for kind in CredentialKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        assert_eq!("secret".parse::<CredentialKind>(), Err(UnknownWord));
    }

    #[test]
    fn v9_a_credential_shows_no_secret() {
        let shown = format!(
            "{:?}",
            [
                Credential::RefreshToken(SecretText::new("0.AXEA-canary".to_owned())),
                Credential::ClientCertificate {
                    client_id: "id".to_owned(),
                    pem: SecretText::new("-----BEGIN canary".to_owned()),
                },
            ]
        );
        assert!(!shown.contains("canary"), "{shown}");
    }
}
