//! The vault: one data key for each connection, wrapped by the master key, and secrets that open only
//! in the place they were sealed for.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use aws_lc_rs::{digest, rand};
use uuid::Uuid;
use zeroize::Zeroize as _;

use super::{
    SecretBytes, SecretText,
    envelope::{self, DecryptError, KeyIds, SealError},
    master_key::{KEY_LENGTH, MasterKey, SubKey},
};
use crate::ids::OrgId;

/// Messages one data key may seal: far below where random nonces become a risk.
const MOST_SEALINGS: u64 = 1 << 31;

/// What a secret is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecretKind {
    /// PKCE verifier of an authorization request.
    FlowVerifier,
    /// Nonce of an authorization request.
    FlowNonce,
    /// The token of a connect link.
    LinkToken,
    /// The stored answer of an idempotent call.
    IdempotentAnswer,
    /// An administrator's refresh token.
    RefreshToken,
    /// The secret of a registration of the customer's own.
    ClientSecret,
    /// The certificate of one, with its key.
    ClientCertificate,
    /// What a connection to a PSA signs in with.
    PsaCredentials,
    /// The secrets of a PSA's webhook: of its address, and of its signature.
    PsaCallback,
}

impl SecretKind {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::FlowVerifier => b"flow verifier",
            Self::FlowNonce => b"flow nonce",
            Self::LinkToken => b"link token",
            Self::IdempotentAnswer => b"idempotent answer",
            Self::RefreshToken => b"refresh token",
            Self::ClientSecret => b"client secret",
            Self::ClientCertificate => b"client certificate",
            Self::PsaCredentials => b"psa credentials",
            Self::PsaCallback => b"psa callback",
        }
    }
}

/// Whether a secret serves reading a tenant or changing it: one never opens as the other (G2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Reading.
    Read,
    /// Changing.
    Write,
}

/// The place a secret belongs to. All of it is bound into the sealed form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VaultContext {
    /// The organisation.
    pub org: OrgId,
    /// The connection, or the row where there is none.
    pub subject: Uuid,
    /// The tenant; nil where there is none.
    pub tenant: Uuid,
    /// What it is.
    pub kind: SecretKind,
    /// What it serves.
    pub purpose: Purpose,
    /// Which version of the row's secret it is.
    pub generation: u64,
}

/// A failure of the vault.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum VaultError {
    /// A secret could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A secret could not be opened.
    #[error(transparent)]
    Decrypt(#[from] DecryptError),
}

/// The data key of one connection, in clear for as long as it is used.
pub struct DataKey {
    key: SecretBytes<KEY_LENGTH>,
    ids: KeyIds,
    sealings: AtomicU64,
}

/// Seals and opens. Cheap to clone.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

struct Inner {
    wrap: SecretBytes<KEY_LENGTH>,
    kek: [u8; 8],
    installation: Uuid,
    decrypts: AtomicU64,
}

impl Vault {
    /// The vault of an installation.
    pub fn new(master: &MasterKey, installation: Uuid) -> Self {
        let hash = digest::digest(&digest::SHA256, &master.check_value());
        let mut kek = [0; 8];
        for (byte, from) in kek.iter_mut().zip(hash.as_ref()) {
            *byte = *from;
        }
        let wrap = master.sub_key(SubKey::Wrap);
        Self(Arc::new(Inner {
            wrap,
            kek,
            installation,
            decrypts: AtomicU64::new(0),
        }))
    }

    /// A new data key and its wrapped form for the database.
    ///
    /// # Errors
    /// [`SealError`] when the system gives no randomness.
    pub fn new_data_key(&self, context: &VaultContext) -> Result<(DataKey, Vec<u8>), VaultError> {
        let key = SecretBytes::filled_by(|bytes| rand::fill(bytes).or(Err(SealError)))?;
        let mut dek = [0; 16];
        rand::fill(&mut dek).or(Err(SealError))?;
        let ids = KeyIds {
            kek: self.0.kek,
            dek,
        };
        let wrapped = envelope::seal(&self.0.wrap, ids, &self.key_aad(context), key.expose())?;
        Ok((
            DataKey {
                key,
                ids,
                sealings: AtomicU64::new(0),
            },
            wrapped,
        ))
    }

    /// The data key that was wrapped for this organisation, subject and tenant.
    ///
    /// # Errors
    /// [`DecryptError`] for whatever reason it does not open.
    pub fn unwrap_data_key(
        &self,
        context: &VaultContext,
        wrapped: &[u8],
    ) -> Result<DataKey, DecryptError> {
        self.opened(context, || {
            let ids = envelope::key_ids(wrapped)?;
            if ids.kek != self.0.kek {
                return Err(DecryptError);
            }
            let plain = envelope::open(&self.0.wrap, &self.key_aad(context), wrapped)?;
            let key = SecretBytes::copy_of(&plain).ok_or(DecryptError)?;
            Ok(DataKey {
                key,
                ids,
                sealings: AtomicU64::new(0),
            })
        })
    }

    /// Seals a secret for its place.
    ///
    /// # Errors
    /// [`SealError`] when the key has sealed too often or the system gives no randomness.
    pub fn seal(
        &self,
        key: &DataKey,
        context: &VaultContext,
        secret: &SecretText,
    ) -> Result<Vec<u8>, VaultError> {
        if key.sealings.fetch_add(1, Relaxed) >= MOST_SEALINGS {
            return Err(SealError.into());
        }
        Ok(envelope::seal(
            &key.key,
            key.ids,
            &self.secret_aad(context),
            secret.expose().as_bytes(),
        )?)
    }

    /// Opens a secret in its place.
    ///
    /// # Errors
    /// [`DecryptError`] for whatever reason it does not open.
    pub fn open(
        &self,
        key: &DataKey,
        context: &VaultContext,
        sealed: &[u8],
    ) -> Result<SecretText, DecryptError> {
        self.opened(context, || {
            // The master key may have been another one then: only the data key has to be the same.
            if envelope::key_ids(sealed)?.dek != key.ids.dek {
                return Err(DecryptError);
            }
            let mut plain = envelope::open(&key.key, &self.secret_aad(context), sealed)?;
            match String::from_utf8(std::mem::take(&mut *plain)) {
                Ok(text) => Ok(SecretText::new(text)),
                Err(not_text) => {
                    not_text.into_bytes().zeroize();
                    Err(DecryptError)
                }
            }
        })
    }

    /// How many times something was decrypted, or tried to be, since the start: listing must not move
    /// it (V12).
    pub fn decrypts(&self) -> u64 {
        self.0.decrypts.load(Relaxed)
    }

    /// Counts an opening, and alerts the operator to every one that fails, whatever the cause (V4).
    fn opened<T>(
        &self,
        context: &VaultContext,
        open: impl FnOnce() -> Result<T, DecryptError>,
    ) -> Result<T, DecryptError> {
        self.0.decrypts.fetch_add(1, Relaxed);
        let outcome = open();
        if outcome.is_err() {
            tracing::error!(
                organizationId = %context.org,
                subject = %context.subject,
                tenantId = %context.tenant,
                kind = ?context.kind,
                "a sealed secret could not be opened: damaged, moved or sealed by another key"
            );
        }
        outcome
    }

    /// What a wrapped data key is bound to.
    fn key_aad(&self, context: &VaultContext) -> Vec<u8> {
        fields(&[
            b"data key",
            self.0.installation.as_bytes(),
            context.org.as_uuid().as_bytes(),
            context.subject.as_bytes(),
            context.tenant.as_bytes(),
        ])
    }

    /// What a sealed secret is bound to.
    fn secret_aad(&self, context: &VaultContext) -> Vec<u8> {
        fields(&[
            b"secret",
            self.0.installation.as_bytes(),
            context.org.as_uuid().as_bytes(),
            context.subject.as_bytes(),
            context.tenant.as_bytes(),
            context.kind.label(),
            match context.purpose {
                Purpose::Read => b"read",
                Purpose::Write => b"write",
            },
            &context.generation.to_be_bytes(),
        ])
    }
}

/// Fields with their lengths before them, so that no two lists of fields have the same bytes.
fn fields(fields: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in fields {
        let length = u32::try_from(field.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(field);
    }
    bytes
}

/// ```compile_fail,E0599
/// fn twice(key: tenantry_core::secrets::DataKey) {
///     let second: tenantry_core::secrets::DataKey = key.clone();
/// }
/// ```
#[cfg(doctest)]
mod v10_a_data_key_cannot_be_cloned {}

/// ```compile_fail,E0277
/// fn show(key: tenantry_core::secrets::DataKey) {
///     println!("{key:?}");
/// }
/// ```
#[cfg(doctest)]
mod v10_a_data_key_cannot_be_printed {}

#[cfg(test)]
mod tests {
    use super::*;

    fn master(byte: u8) -> MasterKey {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        MasterKey::from_base64(&SecretText::new(STANDARD.encode([byte; 32]))).unwrap()
    }

    fn vault() -> Vault {
        Vault::new(&master(1), Uuid::from_u128(1))
    }

    fn context() -> VaultContext {
        VaultContext {
            org: OrgId::from_uuid(Uuid::from_u128(2)),
            subject: Uuid::from_u128(3),
            tenant: Uuid::from_u128(4),
            kind: SecretKind::FlowVerifier,
            purpose: Purpose::Read,
            generation: 1,
        }
    }

    /// Every way in which a place can differ.
    fn elsewhere() -> Vec<VaultContext> {
        let here = context();
        vec![
            VaultContext {
                org: OrgId::from_uuid(Uuid::from_u128(9)),
                ..here
            },
            VaultContext {
                subject: Uuid::from_u128(9),
                ..here
            },
            VaultContext {
                tenant: Uuid::from_u128(9),
                ..here
            },
            // Swapped values of one length are still other values.
            VaultContext {
                subject: here.tenant,
                tenant: here.subject,
                ..here
            },
            VaultContext {
                kind: SecretKind::FlowNonce,
                ..here
            },
            VaultContext {
                purpose: Purpose::Write,
                ..here
            },
            VaultContext {
                generation: 2,
                ..here
            },
        ]
    }

    fn secret() -> SecretText {
        SecretText::new("0123456789-verifier".to_owned())
    }

    #[test]
    fn v3_a_secret_opens_in_its_place_and_in_no_other() {
        let vault = vault();
        let (key, wrapped) = vault.new_data_key(&context()).unwrap();
        let sealed = vault.seal(&key, &context(), &secret()).unwrap();
        let key = vault.unwrap_data_key(&context(), &wrapped).unwrap();
        assert!(
            vault
                .open(&key, &context(), &sealed)
                .unwrap()
                .matches("0123456789-verifier")
        );
        for other in elsewhere() {
            assert_eq!(
                vault.open(&key, &other, &sealed).err(),
                Some(DecryptError),
                "{other:?}"
            );
        }
    }

    #[test]
    fn v2_a_data_key_unwraps_for_its_connection_only() {
        let vault = vault();
        let (_, wrapped) = vault.new_data_key(&context()).unwrap();
        for other in elsewhere().into_iter().take(4) {
            assert_eq!(
                vault.unwrap_data_key(&other, &wrapped).err(),
                Some(DecryptError),
                "{other:?}"
            );
        }
    }

    #[test]
    fn v2_two_connections_never_share_a_key() {
        let vault = vault();
        let (one, _) = vault.new_data_key(&context()).unwrap();
        let (two, _) = vault.new_data_key(&context()).unwrap();
        let sealed = vault.seal(&one, &context(), &secret()).unwrap();
        assert_eq!(
            vault.open(&two, &context(), &sealed).err(),
            Some(DecryptError)
        );
    }

    #[test]
    fn v3_another_installation_or_master_key_opens_nothing() {
        let (_, wrapped) = vault().new_data_key(&context()).unwrap();
        let elsewhere = Vault::new(&master(1), Uuid::from_u128(2));
        assert_eq!(
            elsewhere.unwrap_data_key(&context(), &wrapped).err(),
            Some(DecryptError)
        );
        let other_key = Vault::new(&master(2), Uuid::from_u128(1));
        assert_eq!(
            other_key.unwrap_data_key(&context(), &wrapped).err(),
            Some(DecryptError)
        );
    }

    #[test]
    fn v3_fields_of_different_lists_never_have_the_same_bytes() {
        let lists: [&[&[u8]]; 6] = [
            &[b"ab", b"c"],
            &[b"a", b"bc"],
            &[b"abc"],
            &[b"abc", b""],
            &[b"", b"abc"],
            &[b"", b"ab", b"c"],
        ];
        let encoded: std::collections::HashSet<_> = lists.iter().map(|list| fields(list)).collect();
        assert_eq!(encoded.len(), lists.len());
    }

    #[test]
    fn v12_decrypts_are_counted_and_sealing_is_none() {
        let vault = vault();
        let (key, wrapped) = vault.new_data_key(&context()).unwrap();
        let sealed = vault.seal(&key, &context(), &secret()).unwrap();
        assert_eq!(vault.decrypts(), 0);
        let key = vault.unwrap_data_key(&context(), &wrapped).unwrap();
        vault.open(&key, &context(), &sealed).unwrap();
        assert_eq!(vault.decrypts(), 2);
    }

    /// Places that differ in each way, with ids that are each other's, so that swapped fields are
    /// among them.
    fn places() -> Vec<VaultContext> {
        let kinds = [
            SecretKind::FlowVerifier,
            SecretKind::FlowNonce,
            SecretKind::LinkToken,
            SecretKind::IdempotentAnswer,
            SecretKind::RefreshToken,
            SecretKind::ClientSecret,
            SecretKind::ClientCertificate,
            SecretKind::PsaCredentials,
            SecretKind::PsaCallback,
        ];
        let ids = [
            (1, 2, 3),
            (1, 2, 4),
            (1, 3, 2),
            (2, 1, 3),
            (2, 3, 1),
            (3, 2, 1),
            (1, 1, 1),
            (0, 2, 3),
        ];
        let mut places = Vec::new();
        for (org, subject, tenant) in ids {
            for kind in kinds {
                for purpose in [Purpose::Read, Purpose::Write] {
                    for generation in [0, 1, 256] {
                        places.push(VaultContext {
                            org: OrgId::from_uuid(Uuid::from_u128(org)),
                            subject: Uuid::from_u128(subject),
                            tenant: Uuid::from_u128(tenant),
                            kind,
                            purpose,
                            generation,
                        });
                    }
                }
            }
        }
        places
    }

    #[test]
    fn v3_every_secret_moved_to_every_other_place_stays_shut() {
        let vault = vault();
        // One key for all, so that only what is bound can tell the places apart.
        let (key, _) = vault.new_data_key(&context()).unwrap();
        let places = places();
        for home in &places {
            let sealed = vault.seal(&key, home, &secret()).unwrap();
            for other in &places {
                let opened = vault.open(&key, other, &sealed);
                assert_eq!(opened.is_ok(), home == other, "{home:?} {other:?}");
            }
        }
    }

    #[test]
    fn v2_every_data_key_moved_to_every_other_connection_stays_wrapped() {
        let vault = vault();
        let places = places();
        for home in places.iter().step_by(42) {
            let (_, wrapped) = vault.new_data_key(home).unwrap();
            for other in &places {
                let same = (home.org, home.subject, home.tenant)
                    == (other.org, other.subject, other.tenant);
                let unwrapped = vault.unwrap_data_key(other, &wrapped);
                assert_eq!(unwrapped.is_ok(), same, "{home:?} {other:?}");
            }
        }
    }

    #[test]
    fn v1_what_another_implementation_sealed_opens() {
        // Made elsewhere after the layout in envelope.rs, so that the stored form cannot drift unseen.
        let wrapped = hex::decode(concat!(
            "0101d9a733aedf3e87d7d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4050505050505050505050505",
            "184e24ef6418139bf3d403f8556e2d865222f17f2cce2940a3bff46296711c4d6aa0bc27f3ebc035b014d7e15b620c04",
        ));
        let sealed = hex::decode(concat!(
            "0101d9a733aedf3e87d7d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4060606060606060606060606",
            "a83507099c7b1cb8fda062de156f941d36c34d3b87940a7a9e3be1ecd37281f1d0d39f",
        ));
        let key = vault()
            .unwrap_data_key(&context(), &wrapped.unwrap())
            .unwrap();
        let opened = vault().open(&key, &context(), &sealed.unwrap()).unwrap();
        assert!(opened.matches("0123456789-verifier"));
    }

    #[test]
    fn v3_a_wrapped_key_and_a_sealed_secret_cannot_stand_in_for_each_other() {
        let vault = vault();
        let (key, wrapped) = vault.new_data_key(&context()).unwrap();
        let sealed = vault.seal(&key, &context(), &secret()).unwrap();
        assert!(vault.open(&key, &context(), &wrapped).is_err());
        assert!(vault.unwrap_data_key(&context(), &sealed).is_err());
        // Not even when the header claims another data key.
        let (other, _) = vault.new_data_key(&context()).unwrap();
        let mut relabelled = sealed;
        relabelled[10..26].copy_from_slice(&other.ids.dek);
        assert!(vault.open(&other, &context(), &relabelled).is_err());
        assert!(vault.open(&key, &context(), &relabelled).is_err());
    }

    #[test]
    fn v4_every_cause_is_refused_alike_and_counted() {
        let vault = vault();
        let (key, _) = vault.new_data_key(&context()).unwrap();
        let mut refused = 0;
        for stored in [
            &b""[..],
            b"a refresh token",
            &[b'A'; 500],
            &[0; 500],
            &[1; 500],
        ] {
            assert_eq!(
                vault.open(&key, &context(), stored).err(),
                Some(DecryptError)
            );
            assert_eq!(
                vault.unwrap_data_key(&context(), stored).err(),
                Some(DecryptError)
            );
            refused += 2;
            assert_eq!(vault.decrypts(), refused);
        }
    }

    #[test]
    fn v6_a_data_key_that_sealed_too_often_seals_no_more() {
        let vault = vault();
        let (key, _) = vault.new_data_key(&context()).unwrap();
        key.sealings.store(MOST_SEALINGS - 1, Relaxed);
        assert!(vault.seal(&key, &context(), &secret()).is_ok());
        let refused = vault.seal(&key, &context(), &secret());
        assert_eq!(refused.err(), Some(VaultError::Seal(SealError)));
    }
}
