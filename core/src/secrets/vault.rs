//! The vault: seals a secret for the one row it belongs to, and opens it only there.
//!
//! Every connection has a data key of its own; the master key's wrapping key wraps that, and rooms
//! keep both the wrapped key and what it sealed beside their rows.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use aws_lc_rs::rand;
use uuid::Uuid;
use zeroize::Zeroize;

use super::{
    DecryptError, EncryptError, MasterKey, SecretBytes, SecretText,
    envelope::{self, Envelope, Header, bind},
    master_key::KeyPurpose,
};
use crate::ids::OrgId;

/// What kind of secret is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CredentialKind {
    /// The PKCE verifier of an authorization request.
    FlowVerifier,
    /// The nonce of an authorization request.
    FlowNonce,
    /// The token of a link to connect.
    LinkToken,
    /// The answer to a call with an `Idempotency-Key`.
    IdempotentAnswer,
    /// The secret of a customer's own app registration.
    ClientSecret,
    /// A refresh token.
    RefreshToken,
    /// The private key of a certificate.
    CertificateKey,
}

impl CredentialKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::FlowVerifier,
        Self::FlowNonce,
        Self::LinkToken,
        Self::IdempotentAnswer,
        Self::ClientSecret,
        Self::RefreshToken,
        Self::CertificateKey,
    ];

    /// The word for it. It is bound into what is sealed: never change one.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FlowVerifier => "flowVerifier",
            Self::FlowNonce => "flowNonce",
            Self::LinkToken => "linkToken",
            Self::IdempotentAnswer => "idempotentAnswer",
            Self::ClientSecret => "clientSecret",
            Self::RefreshToken => "refreshToken",
            Self::CertificateKey => "certificateKey",
        }
    }
}

/// What a secret lets its user do with the tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Read it.
    Read,
    /// Change it.
    Write,
}

impl Purpose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// What a secret belongs to. It opens only where all of this is the same as when it was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VaultContext {
    /// The organisation of the row.
    pub org: OrgId,
    /// The connection, or the id of the row where there is none.
    pub connection: Uuid,
    /// Microsoft's `tid`, or nil where there is no tenant.
    pub tenant: Uuid,
    /// What kind of secret it is.
    pub kind: CredentialKind,
    /// What it lets do.
    pub purpose: Purpose,
    /// How often the row's secret was replaced.
    pub generation: u64,
}

/// Why the vault did not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// What is stored does not open here.
    #[error(transparent)]
    Decrypt(#[from] DecryptError),
    /// Nothing could be sealed.
    #[error(transparent)]
    Encrypt(#[from] EncryptError),
}

/// The data key of one connection, in the clear. Drop it after use; it is stored only wrapped.
#[derive(Debug)]
pub struct DataKey {
    id: [u8; 16],
    key: SecretBytes<32>,
}

#[derive(Debug)]
struct Keys {
    wrap: SecretBytes<32>,
    kek: [u8; 16],
    installation: Uuid,
    decrypts: AtomicU64,
}

/// Seals and opens. A clone is the same vault: the key stays where it is, and the count is one.
#[derive(Debug, Clone)]
pub struct Vault(Arc<Keys>);

impl Vault {
    /// The vault of an installation. Whether the master key fits the database is checked before, by
    /// [`MasterKey::fits`].
    pub fn new(master: &MasterKey, installation: Uuid) -> Self {
        let derived = master.derive(KeyPurpose::WrapId);
        let mut kek = [0; 16];
        kek.iter_mut()
            .zip(derived.expose())
            .for_each(|(to, from)| *to = *from);
        Self(Arc::new(Keys {
            wrap: master.derive(KeyPurpose::Wrap),
            kek,
            installation,
            decrypts: AtomicU64::new(0),
        }))
    }

    /// Makes a data key and wraps it for the context's organisation, connection and tenant; kind,
    /// purpose and generation do not matter here. Returns it with its wrapped form, which is stored.
    ///
    /// # Errors
    /// [`VaultError::Encrypt`] when the system gives no randomness.
    pub fn new_data_key(&self, context: &VaultContext) -> Result<(DataKey, Vec<u8>), VaultError> {
        let key = SecretBytes::filled_by(|bytes| rand::fill(bytes)).or(Err(EncryptError))?;
        let mut id = [0; 16];
        rand::fill(&mut id).or(Err(EncryptError))?;
        let header = Header::new(self.0.kek, id)?;
        let binding = self.wrap_binding(context);
        let wrapped = envelope::seal(&self.0.wrap, &header, &binding, key.expose())?;
        Ok((DataKey { id, key }, wrapped))
    }

    /// The data key of the context's organisation, connection and tenant, from its wrapped form.
    ///
    /// # Errors
    /// [`VaultError::Decrypt`] when it was not wrapped by this installation for just these.
    pub fn unwrap_data_key(
        &self,
        context: &VaultContext,
        wrapped: &[u8],
    ) -> Result<DataKey, VaultError> {
        self.counted(context, || {
            let envelope = Envelope::decode(wrapped)?;
            let bytes = envelope.open(&self.0.wrap, &self.wrap_binding(context))?;
            let key = SecretBytes::copy_of(&bytes).ok_or(DecryptError)?;
            Ok(DataKey {
                id: envelope.header.dek,
                key,
            })
        })
    }

    /// Seals a secret for the row that the context names.
    ///
    /// # Errors
    /// [`VaultError::Encrypt`] when the system gives no randomness.
    pub fn seal(
        &self,
        key: &DataKey,
        context: &VaultContext,
        secret: &SecretText,
    ) -> Result<Vec<u8>, VaultError> {
        let header = Header::new(self.0.kek, key.id)?;
        let binding = self.seal_binding(context);
        Ok(envelope::seal(
            &key.key,
            &header,
            &binding,
            secret.expose().as_bytes(),
        )?)
    }

    /// Opens a secret that was sealed with this data key for this very context.
    ///
    /// # Errors
    /// [`VaultError::Decrypt`] in every other case. What is stored is left as it is.
    pub fn open(
        &self,
        key: &DataKey,
        context: &VaultContext,
        sealed: &[u8],
    ) -> Result<SecretText, VaultError> {
        self.counted(context, || {
            let envelope = Envelope::decode(sealed)?;
            if envelope.header.dek != key.id {
                return Err(DecryptError);
            }
            let mut bytes = envelope.open(&key.key, &self.seal_binding(context))?;
            match String::from_utf8(std::mem::take(&mut *bytes)) {
                Ok(text) => Ok(SecretText::new(text)),
                Err(not_text) => {
                    not_text.into_bytes().zeroize();
                    Err(DecryptError)
                }
            }
        })
    }

    /// How often anything was opened, or tried to be, since the vault was made (V12).
    pub fn decrypts(&self) -> u64 {
        self.0.decrypts.load(Ordering::Relaxed)
    }

    /// Counts an opening, and tells the operator of one that fails.
    fn counted<T>(
        &self,
        context: &VaultContext,
        open: impl FnOnce() -> Result<T, DecryptError>,
    ) -> Result<T, VaultError> {
        self.0.decrypts.fetch_add(1, Ordering::Relaxed);
        let opened = open();
        if opened.is_err() {
            tracing::error!(
                organizationId = %context.org,
                connectionId = %context.connection,
                tenantId = %context.tenant,
                kind = context.kind.as_str(),
                "a stored secret cannot be opened"
            );
        }
        Ok(opened?)
    }

    /// What a wrapped data key is bound to: one key serves all secrets of its connection.
    fn wrap_binding(&self, context: &VaultContext) -> Vec<u8> {
        bind(&[
            b"tenantry data key",
            self.0.installation.as_bytes(),
            context.org.as_uuid().as_bytes(),
            context.connection.as_bytes(),
            context.tenant.as_bytes(),
        ])
    }

    /// What a sealed secret is bound to (V3).
    fn seal_binding(&self, context: &VaultContext) -> Vec<u8> {
        bind(&[
            b"tenantry secret",
            self.0.installation.as_bytes(),
            context.org.as_uuid().as_bytes(),
            context.connection.as_bytes(),
            context.tenant.as_bytes(),
            context.kind.as_str().as_bytes(),
            context.purpose.as_str().as_bytes(),
            &context.generation.to_be_bytes(),
        ])
    }
}

/// ```compile_fail,E0599
/// use tenantry_core::secrets::DataKey;
/// fn twice(key: DataKey) -> (DataKey, DataKey) {
///     (key.clone(), key)
/// }
/// ```
#[cfg(doctest)]
mod v10_a_data_key_cannot_be_cloned {}

/// ```compile_fail,E0277
/// use tenantry_core::secrets::DataKey;
/// fn text(key: &DataKey) -> String {
///     serde_json::to_string(key).unwrap()
/// }
/// ```
#[cfg(doctest)]
mod v10_a_data_key_cannot_be_serialized {}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: Option<VaultError> = Some(VaultError::Decrypt(DecryptError));

    fn master(byte: u8) -> MasterKey {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        MasterKey::from_base64(&STANDARD.encode([byte; 32])).unwrap()
    }

    fn vault() -> Vault {
        Vault::new(&master(1), Uuid::from_u128(100))
    }

    fn context() -> VaultContext {
        VaultContext {
            org: OrgId::from_uuid(Uuid::from_u128(1)),
            connection: Uuid::from_u128(2),
            tenant: Uuid::from_u128(3),
            kind: CredentialKind::RefreshToken,
            purpose: Purpose::Read,
            generation: 1,
        }
    }

    fn secret() -> SecretText {
        SecretText::new("0.AX-canary-5f2a".to_owned())
    }

    /// Two values of each id, all kinds, both purposes, four generations.
    fn contexts() -> Vec<VaultContext> {
        let mut contexts = Vec::new();
        // The ids are each other's, so that a mere swap of two fields is among the moves.
        for (org, connection, tenant) in [
            (1, 2, 3),
            (1, 2, 4),
            (1, 3, 2),
            (2, 1, 3),
            (2, 3, 1),
            (3, 2, 1),
            (1, 1, 1),
            (0, 2, 3),
        ] {
            for kind in CredentialKind::ALL {
                for purpose in [Purpose::Read, Purpose::Write] {
                    for generation in [0, 1, 256] {
                        contexts.push(VaultContext {
                            org: OrgId::from_uuid(Uuid::from_u128(org)),
                            connection: Uuid::from_u128(connection),
                            tenant: Uuid::from_u128(tenant),
                            kind,
                            purpose,
                            generation,
                        });
                    }
                }
            }
        }
        contexts
    }

    #[test]
    fn v1_what_another_implementation_sealed_opens() {
        // Wrapped and sealed elsewhere after the layout in envelope.rs: the format cannot drift unseen.
        let wrapped = hex::decode("0101af0d07d4566dade0d6ade3eb4ca8f781d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d40505050505050505050505056f029dcdcfc36e1cf30008658ed19bb31ef67c2b4db7c4dc0158254d678fabf6286d89584955c343a974985e08b2bcbe").unwrap();
        let sealed = hex::decode("0101af0d07d4566dade0d6ade3eb4ca8f781d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4060606060606060606060606a82a7462852d4be1a4eb3685457bcf1a83ea85d171b4f6c1cb6d907410ecd278").unwrap();
        let key = vault().unwrap_data_key(&context(), &wrapped).unwrap();
        assert!(
            vault()
                .open(&key, &context(), &sealed)
                .unwrap()
                .matches("0.AX-canary-5f2a")
        );
    }

    #[test]
    fn v1_a_sealed_secret_opens_where_it_was_sealed_and_shows_nothing_before() {
        let vault = vault();
        let (key, wrapped) = vault.new_data_key(&context()).unwrap();
        let sealed = vault.seal(&key, &context(), &secret()).unwrap();
        assert_ne!(sealed, vault.seal(&key, &context(), &secret()).unwrap());
        let stored = [wrapped.as_slice(), &sealed].concat();
        assert!(!stored.windows(6).any(|part| part == b"canary"));
        assert!(
            !stored
                .windows(16)
                .any(|part| key.key.expose().starts_with(part))
        );
        // A later start of the same installation.
        let later = self::vault();
        let key = later.unwrap_data_key(&context(), &wrapped).unwrap();
        assert!(
            later
                .open(&key, &context(), &sealed)
                .unwrap()
                .matches("0.AX-canary-5f2a")
        );
    }

    #[test]
    fn v2_every_data_key_is_a_new_one() {
        let vault = vault();
        let (one, _) = vault.new_data_key(&context()).unwrap();
        let (other, _) = vault.new_data_key(&context()).unwrap();
        assert_ne!(one.key.expose(), other.key.expose());
        let sealed = vault.seal(&one, &context(), &secret()).unwrap();
        assert_eq!(vault.open(&other, &context(), &sealed).err(), REFUSED);
        // Not even when the header claims the other key.
        let mut relabelled = sealed;
        relabelled[18..34].copy_from_slice(&other.id);
        assert_eq!(vault.open(&other, &context(), &relabelled).err(), REFUSED);
        assert_eq!(vault.open(&one, &context(), &relabelled).err(), REFUSED);
    }

    #[test]
    fn v2_a_data_key_unwraps_for_its_own_org_connection_and_tenant_alone() {
        let vault = vault();
        let contexts = contexts();
        for home in contexts.iter().step_by(42) {
            let (_, wrapped) = vault.new_data_key(home).unwrap();
            for other in &contexts {
                let same = (home.org, home.connection, home.tenant)
                    == (other.org, other.connection, other.tenant);
                assert_eq!(
                    vault.unwrap_data_key(other, &wrapped).is_ok(),
                    same,
                    "{home:?} {other:?}"
                );
            }
        }
    }

    #[test]
    fn v3_a_secret_moved_to_any_other_place_does_not_open() {
        let vault = vault();
        let (key, _) = vault.new_data_key(&context()).unwrap();
        let contexts = contexts();
        // One key for all, so that only the binding can tell them apart.
        for home in &contexts {
            let sealed = vault.seal(&key, home, &secret()).unwrap();
            for other in &contexts {
                let opened = vault.open(&key, other, &sealed);
                assert_eq!(opened.is_ok(), home == other, "{home:?} {other:?}");
            }
        }
    }

    #[test]
    fn v3_another_installation_with_the_same_master_key_opens_nothing() {
        let vault = vault();
        let (key, wrapped) = vault.new_data_key(&context()).unwrap();
        let sealed = vault.seal(&key, &context(), &secret()).unwrap();
        let other = Vault::new(&master(1), Uuid::from_u128(101));
        assert_eq!(other.unwrap_data_key(&context(), &wrapped).err(), REFUSED);
        assert_eq!(other.open(&key, &context(), &sealed).err(), REFUSED);
    }

    #[test]
    fn v3_a_wrapped_key_and_a_sealed_secret_cannot_stand_in_for_each_other() {
        let vault = vault();
        let (key, wrapped) = vault.new_data_key(&context()).unwrap();
        let sealed = vault.seal(&key, &context(), &secret()).unwrap();
        assert_eq!(vault.open(&key, &context(), &wrapped).err(), REFUSED);
        assert_eq!(vault.unwrap_data_key(&context(), &sealed).err(), REFUSED);
    }

    #[test]
    fn v4_plaintext_in_the_column_is_refused() {
        let vault = vault();
        let (key, _) = vault.new_data_key(&context()).unwrap();
        for stored in [
            &b""[..],
            b"0.AX-canary-5f2a",
            &[b'A'; 500],
            &[0; 500],
            &[1; 500],
        ] {
            assert_eq!(vault.open(&key, &context(), stored).err(), REFUSED);
            assert_eq!(vault.unwrap_data_key(&context(), stored).err(), REFUSED);
        }
    }

    #[test]
    fn v8_another_master_key_opens_nothing() {
        let (_, wrapped) = vault().new_data_key(&context()).unwrap();
        let other = Vault::new(&master(2), Uuid::from_u128(100));
        assert_eq!(other.unwrap_data_key(&context(), &wrapped).err(), REFUSED);
    }

    #[test]
    fn v10_the_vault_and_its_keys_show_nothing_of_themselves() {
        let vault = vault();
        let (key, _) = vault.new_data_key(&context()).unwrap();
        let shown = format!("{vault:?} {key:?} {:?}", master(1));
        assert_eq!(
            shown.matches("SecretBytes(32 redacted)").count(),
            3,
            "{shown}"
        );
    }

    #[test]
    fn v12_only_unwrapping_and_opening_decrypt_and_each_is_counted_in_all_clones() {
        let vault = vault();
        let (key, wrapped) = vault.new_data_key(&context()).unwrap();
        let sealed = vault.seal(&key, &context(), &secret()).unwrap();
        assert_eq!(vault.decrypts(), 0);
        let clone = vault.clone();
        let key = clone.unwrap_data_key(&context(), &wrapped).unwrap();
        assert_eq!(vault.decrypts(), 1);
        assert!(vault.open(&key, &context(), &sealed).is_ok());
        assert!(vault.open(&key, &context(), b"not sealed").is_err());
        assert_eq!(clone.decrypts(), 3);
    }

    #[test]
    fn v12_one_vault_serves_many_threads() {
        fn shared<T: Send + Sync + 'static>(_: &T) {}
        shared(&vault());
    }
}
