//! X.509 certificates of app registrations, each with the private RSA key that belongs to it.
//!
//! A certificate here stands for itself: Microsoft compares it with the copies that were uploaded to
//! the registration
//! (<https://learn.microsoft.com/entra/identity-platform/certificate-credentials>), so neither its
//! issuer nor its own signature is looked at.

use aws_lc_rs::{
    digest::{SHA256, digest},
    rsa::KeyPair,
    signature::KeyPair as _,
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use chrono::{DateTime, Utc};
use jsonwebtoken::EncodingKey;
use x509_cert::der::{
    Decode, Reader, SliceReader,
    asn1::{ObjectIdentifier, UintRef},
};
use zeroize::Zeroizing;

use super::client_credential::CredentialError;

/// RFC 8017, the identifier of an RSA key for any use.
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// The shortest RSA modulus that is taken, in bytes.
const LEAST_MODULUS: usize = 256;

/// A certificate with its private key. `Debug` shows only what may be public.
pub(super) struct Certificate {
    pub(super) key: EncodingKey,
    /// Base64url of the SHA-256 of its DER form, as `x5t#S256` wants it.
    pub(super) thumbprint: String,
    pub(super) begins: DateTime<Utc>,
    pub(super) ends: DateTime<Utc>,
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate")
            .field("thumbprint", &self.thumbprint)
            .field("begins", &self.begins)
            .field("ends", &self.ends)
            .finish_non_exhaustive()
    }
}

/// All certificates of a PEM text with their keys, at least one. The blocks may stand in any order;
/// what is neither certificate nor key is passed over.
///
/// # Errors
/// When a certificate is without its key, a key without its certificate, or one of them cannot be
/// read, is no RSA or is too weak.
pub(super) fn read_all(pem: &str) -> Result<Vec<Certificate>, CredentialError> {
    let mut certificates: Vec<Public> = Vec::new();
    let mut keys = Vec::new();
    for block in Blocks(pem) {
        let block = block?;
        match block.label {
            "CERTIFICATE" => {
                let certificate = Public::read(&block)?;
                if !certificates
                    .iter()
                    .any(|known| known.der == certificate.der)
                {
                    certificates.push(certificate);
                }
            }
            "PRIVATE KEY" => keys.push(Private::read(&block, KeyPair::from_pkcs8)?),
            "RSA PRIVATE KEY" => keys.push(Private::read(&block, KeyPair::from_der)?),
            "ENCRYPTED PRIVATE KEY" => return Err(CredentialError::EncryptedKey),
            "EC PRIVATE KEY" => return Err(CredentialError::NotRsa),
            _other => {}
        }
    }
    if certificates.is_empty() {
        return Err(CredentialError::Missing("certificate"));
    }
    if keys.is_empty() {
        return Err(CredentialError::Missing("private key"));
    }
    let has_certificate =
        |key: &Private| certificates.iter().any(|certificate| key.fits(certificate));
    if !keys.iter().all(has_certificate) {
        return Err(CredentialError::KeyDoesNotFit);
    }
    let with_key = |certificate: Public| {
        let key = keys.iter().find(|key| key.fits(&certificate));
        let key = key.ok_or(CredentialError::Missing(
            "private key for one of its certificates",
        ))?;
        Ok(Certificate {
            key: key.signing.clone(),
            thumbprint: URL_SAFE_NO_PAD.encode(digest(&SHA256, &certificate.der)),
            begins: certificate.begins,
            ends: certificate.ends,
        })
    };
    certificates.into_iter().map(with_key).collect()
}

/// What a certificate says.
struct Public {
    der: Vec<u8>,
    /// The RSA key in the form of RFC 8017.
    key: Vec<u8>,
    begins: DateTime<Utc>,
    ends: DateTime<Utc>,
}

impl Public {
    fn read(block: &Block<'_>) -> Result<Self, CredentialError> {
        const UNREADABLE: CredentialError = CredentialError::Unreadable("certificate");
        let der = block.bytes().ok_or(UNREADABLE)?.to_vec();
        let Ok(parsed) = x509_cert::Certificate::from_der(&der) else {
            return Err(UNREADABLE);
        };
        let parsed = parsed.tbs_certificate;
        let key = parsed.subject_public_key_info;
        if key.algorithm.oid != RSA_ENCRYPTION {
            return Err(CredentialError::NotRsa);
        }
        let key = key.subject_public_key.raw_bytes().to_vec();
        if modulus_length(&key).ok_or(UNREADABLE)? < LEAST_MODULUS {
            return Err(CredentialError::TooWeak);
        }
        let time = |time: x509_cert::time::Time| {
            let seconds = i64::try_from(time.to_unix_duration().as_secs()).ok()?;
            DateTime::from_timestamp(seconds, 0)
        };
        Ok(Self {
            der,
            key,
            begins: time(parsed.validity.not_before).ok_or(UNREADABLE)?,
            ends: time(parsed.validity.not_after).ok_or(UNREADABLE)?,
        })
    }
}

/// Length of the modulus of an RSA key in the form of RFC 8017, in bytes.
fn modulus_length(key: &[u8]) -> Option<usize> {
    let mut reader = SliceReader::new(key).ok()?;
    let length = reader.sequence(|key| {
        let modulus = UintRef::decode(key)?;
        UintRef::decode(key)?;
        Ok(modulus.as_bytes().len())
    });
    length.ok()
}

/// A private RSA key.
struct Private {
    signing: EncodingKey,
    /// Its public half in the form of RFC 8017.
    public: Vec<u8>,
}

impl Private {
    fn read<E>(
        block: &Block<'_>,
        parse: impl FnOnce(&[u8]) -> Result<KeyPair, E>,
    ) -> Result<Self, CredentialError>
    where
        E: std::fmt::Display,
    {
        const UNREADABLE: CredentialError = CredentialError::Unreadable("private key");
        if block.body.contains("ENCRYPTED") {
            return Err(CredentialError::EncryptedKey);
        }
        let der = block.bytes().ok_or(UNREADABLE)?;
        let pair = parse(&der).map_err(|rejected| match rejected.to_string().as_str() {
            "TooSmall" => CredentialError::TooWeak,
            "WrongAlgorithm" => CredentialError::NotRsa,
            _other => UNREADABLE,
        })?;
        let Ok(signing) = EncodingKey::from_rsa_pem(block.whole.as_bytes()) else {
            return Err(UNREADABLE);
        };
        Ok(Self {
            signing,
            public: pair.public_key().as_ref().to_vec(),
        })
    }

    fn fits(&self, certificate: &Public) -> bool {
        self.public == certificate.key
    }
}

/// One block of a PEM text (RFC 7468).
struct Block<'a> {
    label: &'a str,
    body: &'a str,
    /// With its two marks.
    whole: &'a str,
}

impl Block<'_> {
    /// The bytes it stands for; erased when dropped, for they may be a key.
    fn bytes(&self) -> Option<Zeroizing<Vec<u8>>> {
        let mut base64 = Zeroizing::new(Vec::with_capacity(self.body.len()));
        base64.extend(self.body.bytes().filter(|byte| !byte.is_ascii_whitespace()));
        STANDARD.decode(base64.as_slice()).ok().map(Zeroizing::new)
    }
}

/// The blocks of a PEM text, one after the other; text around them is passed over.
struct Blocks<'a>(&'a str);

impl<'a> Iterator for Blocks<'a> {
    type Item = Result<Block<'a>, CredentialError>;

    fn next(&mut self) -> Option<Self::Item> {
        const BEGIN: &str = "-----BEGIN ";
        const DASHES: &str = "-----";
        let (_before, from_begin) = self.0.split_at_checked(self.0.find(BEGIN)?)?;
        let block = from_begin
            .strip_prefix(BEGIN)
            .and_then(|text| text.split_once(DASHES))
            .and_then(|(label, text)| {
                let end = format!("-----END {label}-----");
                let (body, rest) = text.split_once(&end)?;
                let whole = from_begin.get(..from_begin.len() - rest.len())?;
                self.0 = rest;
                Some(Block { label, body, whole })
            });
        if block.is_none() {
            self.0 = "";
        }
        Some(block.ok_or(CredentialError::Unreadable("block without an end")))
    }
}

#[cfg(test)]
mod tests;
