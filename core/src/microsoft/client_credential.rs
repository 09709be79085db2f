//! How an app registration proves to Microsoft that it is itself: by a client secret, or by an
//! assertion signed with the key of a certificate.
//!
//! There may be several certificates at once, for Microsoft may not know a new one yet, and what stands
//! in a file is read again when it changes: see [`candidates`] for the choice, [`file`] for the reading.

mod candidates;
mod file;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, Header};
use serde::Serialize;
use uuid::Uuid;

use self::{
    candidates::{Candidates, Proof, Sending},
    file::{Followed, digest_of},
};
use crate::{
    microsoft::{
        aadsts::MicrosoftError,
        certificate::{self, Certificate},
        consent_doctor::{DiagnosisCode, diagnose},
    },
    secrets::SecretText,
};

pub use self::file::FileTrouble;

/// How long a client assertion is good for.
const ASSERTION_LIFETIME: TimeDelta = TimeDelta::minutes(9);
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// An app registration's id with its secret or certificates. Clones share what Microsoft said of them.
#[derive(Clone)]
pub struct ClientCredential {
    client_id: Arc<str>,
    kind: ProofKind,
    /// The digest of the secret whose end is known from elsewhere, and that end.
    secret_end: Option<([u8; 32], DateTime<Utc>)>,
    file: Option<Arc<Followed>>,
    state: Arc<Mutex<State>>,
}

/// What changes while the process runs.
struct State {
    /// SHA-256 of the text that the candidates were read from.
    digest: [u8; 32],
    candidates: Candidates,
    trouble: Option<FileTrouble>,
}

/// What a registration proves itself by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProofKind {
    /// A client secret.
    Secret,
    /// A certificate, or several.
    Certificate,
}

impl ProofKind {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Secret, Self::Certificate];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Certificate => "certificate",
        }
    }
}

/// Why a certificate cannot be used. No message holds anything of the text.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CredentialError {
    /// The PEM text lacks a block.
    #[error("PEM text has no {0}")]
    Missing(&'static str),
    /// A block is not what its name says.
    #[error("PEM text has a {0} that cannot be read")]
    Unreadable(&'static str),
    /// The private key needs a password.
    #[error("private key is encrypted; write it without a password (`openssl pkey`)")]
    EncryptedKey,
    /// A private key is that of no certificate of the text.
    #[error("private key belongs to another certificate")]
    KeyDoesNotFit,
    /// Certificate or key is of another kind than RSA, the only one that Microsoft takes.
    #[error("certificate or its private key is not RSA")]
    NotRsa,
    /// The RSA key is shorter than 2048 bits.
    #[error("RSA key is shorter than 2048 bits")]
    TooWeak,
    /// The key does not sign.
    #[error("certificate's key does not sign")]
    NotSigning(#[source] jsonwebtoken::errors::Error),
}

/// Which secret or certificate a proof was made with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark([u8; 32]);

impl Mark {
    /// The mark of the form fields that [`ClientCredential::proof`] gave.
    pub(crate) fn of(proof: &[(&'static str, String)]) -> Self {
        let sent = proof.last().map_or("", |(_name, value)| value.as_str());
        // An assertion begins with its header, which is the same for all of one certificate.
        let stable = match sent.split_once('.') {
            Some((header, _)) if proof.len() > 1 => header,
            Some(_) | None => sent,
        };
        Self(digest_of(stable))
    }
}

/// Since when Microsoft refuses a credential, as far as this process has met it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The first time.
    pub since: DateTime<Utc>,
    /// Microsoft's number at the last time.
    pub aadsts: Option<u32>,
}

/// What is known about a credential.
#[derive(Debug, Clone)]
pub struct CredentialStatus {
    /// Secret or certificate.
    pub kind: ProofKind,
    /// When it ends, where that is known; of several certificates the last end, leaving out those
    /// that Microsoft does not accept while it accepts another.
    pub expires_at: Option<DateTime<Utc>>,
    /// Set while nothing that is there is accepted.
    pub refusal: Option<Refusal>,
    /// How many certificates there are, or one secret.
    pub count: usize,
    /// How many of them Microsoft refused last.
    pub refused: usize,
    /// Set while the changed file cannot be used, and what was read before is used on.
    pub trouble: Option<FileTrouble>,
}

impl ClientCredential {
    /// A registration with a client secret.
    pub fn with_secret(client_id: String, secret: SecretText) -> Self {
        let digest = digest_of(secret.expose());
        Self::new(
            client_id,
            ProofKind::Secret,
            digest,
            Candidates::of_secret(secret),
        )
    }

    /// A registration with a certificate: PEM text with the certificate and its RSA key. There may be
    /// several certificates, each with its key, in any order. One that has ended is no error: see
    /// [`Self::expires_at`].
    ///
    /// # Errors
    /// When a certificate or key is missing, unreadable, too weak, or belongs to no other block.
    pub fn with_certificate(client_id: String, pem: &SecretText) -> Result<Self, CredentialError> {
        let candidates = certificates(pem)?;
        Ok(Self::new(
            client_id,
            ProofKind::Certificate,
            digest_of(pem.expose()),
            candidates,
        ))
    }

    fn new(client_id: String, kind: ProofKind, digest: [u8; 32], candidates: Candidates) -> Self {
        let state = State {
            digest,
            candidates,
            trouble: None,
        };
        Self {
            client_id: client_id.into(),
            kind,
            secret_end: None,
            file: None,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// The same, read again from this file whenever that changes.
    #[must_use]
    pub fn follow(self, path: PathBuf) -> Self {
        Self {
            file: Some(Arc::new(Followed::new(path))),
            ..self
        }
    }

    /// The same, with the end of the secret, which nothing but the portal tells. It is not believed of
    /// a secret that takes this one's place.
    #[must_use]
    pub fn with_secret_end(self, end: DateTime<Utc>) -> Self {
        let digest = self.state().digest;
        Self {
            secret_end: Some((digest, end)),
            ..self
        }
    }

    /// The application (client) id.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// When the credential ends, where that is known; of several certificates the last end.
    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.expiry(&self.state())
    }

    fn expiry(&self, state: &State) -> Option<DateTime<Utc>> {
        match self.kind {
            ProofKind::Certificate => state.candidates.end(),
            ProofKind::Secret => self
                .secret_end
                .and_then(|(digest, end)| (digest == state.digest).then_some(end)),
        }
    }

    /// What is known about the credential; looks at its file first, so this can block for a moment.
    pub fn status(&self, now: DateTime<Utc>) -> CredentialStatus {
        let state = self.fresh_state(now);
        CredentialStatus {
            kind: self.kind,
            expires_at: self.expiry(&state),
            refusal: state.candidates.refusal().cloned(),
            count: state.candidates.count(),
            refused: state.candidates.refused_count(),
            trouble: state.trouble.clone(),
        }
    }

    /// The form fields that prove the registration at a token endpoint, for a request that can be sent
    /// again after a refusal. Looks at the credential's file first, so this can block for a moment.
    ///
    /// # Errors
    /// When the certificate's key does not sign.
    pub(crate) fn proof(
        &self,
        token_endpoint: &str,
        now: DateTime<Utc>,
    ) -> Result<Vec<(&'static str, String)>, CredentialError> {
        self.proof_for(Sending::UntilAccepted, token_endpoint, now)
    }

    /// The same for a request that must not be sent twice: a certificate that Microsoft has accepted
    /// comes before a newer one of which that is not known.
    ///
    /// # Errors
    /// When the certificate's key does not sign.
    pub(crate) fn proof_sent_once(
        &self,
        token_endpoint: &str,
        now: DateTime<Utc>,
    ) -> Result<Vec<(&'static str, String)>, CredentialError> {
        self.proof_for(Sending::Once, token_endpoint, now)
    }

    fn proof_for(
        &self,
        sending: Sending,
        token_endpoint: &str,
        now: DateTime<Utc>,
    ) -> Result<Vec<(&'static str, String)>, CredentialError> {
        let proof = self.fresh_state(now).candidates.choose(sending, now);
        let certificate = match proof.as_deref() {
            None => return Err(CredentialError::Missing("certificate")),
            Some(Proof::Secret(secret)) => {
                return Ok(vec![("client_secret", secret.expose().to_owned())]);
            }
            Some(Proof::Certificate(certificate)) => certificate,
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
        sign(certificate, &claims)
    }

    /// Notes that Microsoft refused a request with this proof. Whether another proof is worth trying
    /// at once: the refusal is about the credential, and there is another that was not refused in the
    /// last minute.
    pub(crate) fn refused(&self, mark: Mark, error: &MicrosoftError, now: DateTime<Utc>) -> bool {
        if diagnose(error).code != DiagnosisCode::OwnCredentialRejected {
            return false;
        }
        let mut state = self.fresh_state(now);
        state.candidates.refuse(mark, error.aadsts, now)
    }

    /// Notes that Microsoft gave a token for this proof.
    pub(crate) fn accepted(&self, mark: Mark) {
        self.state().candidates.accept(mark);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state after a look at the file.
    fn fresh_state(&self, now: DateTime<Utc>) -> MutexGuard<'_, State> {
        let mut state = self.state();
        if let Some(file) = &self.file {
            file.look(self.kind, &mut state, now);
        }
        state
    }
}

impl std::fmt::Debug for ClientCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientCredential")
            .field("client_id", &self.client_id)
            .field("kind", &self.kind)
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

/// The certificates of a PEM text, each tried: a key that cannot sign is found here, not in the middle
/// of the first consent.
fn certificates(pem: &SecretText) -> Result<Candidates, CredentialError> {
    let certificates = certificate::read_all(pem.expose())?;
    let tried = certificates.into_iter().map(|certificate| {
        let mark = Mark::of(&sign(&certificate, &())?);
        Ok((certificate, mark))
    });
    tried
        .collect::<Result<_, _>>()
        .map(Candidates::of_certificates)
}

/// The form fields of an assertion.
fn sign(
    certificate: &Certificate,
    claims: &impl Serialize,
) -> Result<Vec<(&'static str, String)>, CredentialError> {
    let header = Header {
        x5t_s256: Some(certificate.thumbprint.clone()),
        ..Header::new(Algorithm::PS256)
    };
    let assertion = jsonwebtoken::encode(&header, claims, &certificate.key)
        .map_err(CredentialError::NotSigning)?;
    Ok(vec![
        ("client_assertion_type", ASSERTION_TYPE.to_owned()),
        ("client_assertion", assertion),
    ])
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

#[cfg(test)]
mod tests;
