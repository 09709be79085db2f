//! The master key: the one secret from which the installation's other keys follow.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use aws_lc_rs::{
    hkdf::{HKDF_SHA256, Salt},
    rand,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::SecretBytes;

/// Separates these keys from anything else that is ever derived from the same 32 bytes.
const SALT: &[u8] = b"tenantry master key v1";

/// 32 bytes in base64, with their padding.
const TEXT_LENGTH: usize = 44;

/// Longer than any key file, so that a wrong path costs no memory.
const FILE_LIMIT: u64 = 256;

/// Only the owner may read or write.
const OWNER_ONLY: u32 = 0o600;

/// What the owner's group and everybody else may do.
const OTHERS: u32 = 0o077;

/// Why there is no master key.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// The text is no key; it is not repeated here.
    #[error("the master key is not 32 bytes in base64 (44 characters)")]
    Malformed,
    /// Others than the owner may read or write the file.
    #[error("others may open the master key file {}: allow its owner alone (chmod 600)", path.display())]
    OpenToOthers {
        /// The file.
        path: PathBuf,
    },
    /// A key is there already, and making another would lose what it protects.
    #[error("the master key file {} exists already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read or written.
    #[error("the master key file {} cannot be used", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The operating system gave no randomness.
    #[error("no randomness available")]
    NoRandomness,
}

/// What a derived key is for. Each has a key of its own, so that none can do another's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyPurpose {
    /// Wraps the data keys.
    Wrap,
    /// Names the wrapping key in an envelope.
    WrapId,
    /// Hashes API keys.
    ApiKey,
    /// Signs paging cursors.
    Cursor,
    /// Tells whether a database belongs to this master key.
    CheckValue,
}

impl KeyPurpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Wrap => b"wrap",
            Self::WrapId => b"wrap-id",
            Self::ApiKey => b"api-key",
            Self::Cursor => b"cursor",
            Self::CheckValue => b"check-value",
        }
    }
}

/// The master key of the installation. It encrypts nothing itself.
#[derive(Debug)]
pub struct MasterKey(SecretBytes<32>);

impl MasterKey {
    /// Reads 32 bytes in standard base64, padding included and nothing around them.
    ///
    /// # Errors
    /// [`MasterKeyError::Malformed`] for every other text.
    pub fn from_base64(text: &str) -> Result<Self, MasterKeyError> {
        // 44 characters are up to 33 bytes to a decoder that has not yet seen the padding.
        let mut decoded = Zeroizing::new([0_u8; 33]);
        let length = STANDARD
            .decode_slice(text, decoded.as_mut_slice())
            .or(Err(MasterKeyError::Malformed))?;
        let bytes = decoded.get(..length).and_then(SecretBytes::copy_of);
        bytes.map(Self).ok_or(MasterKeyError::Malformed)
    }

    /// Reads the key from a file that only its owner may open; a line end after it is allowed.
    ///
    /// # Errors
    /// When the file cannot be read, is open to others, or holds something else.
    pub fn from_file(path: &Path) -> Result<Self, MasterKeyError> {
        let unusable = |source| MasterKeyError::File {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(unusable)?;
        // Asked of the open file: what is checked is what is read.
        let mode = file.metadata().map_err(unusable)?.permissions().mode();
        if mode & OTHERS != 0 {
            return Err(MasterKeyError::OpenToOthers {
                path: path.to_owned(),
            });
        }
        let mut text = Zeroizing::new(String::with_capacity(512));
        file.take(FILE_LIMIT)
            .read_to_string(&mut text)
            .map_err(unusable)?;
        Self::from_base64(text.trim_end_matches(['\r', '\n']))
    }

    /// Where the key lies that was made for a database file: `<database file>.master-key`.
    pub fn path_beside(database: &Path) -> PathBuf {
        let mut path = database.as_os_str().to_owned();
        path.push(".master-key");
        path.into()
    }

    /// Makes a key in the file beside a database, durably and only if there is none: no process
    /// ever sees half a key, and a kill on the way leaves none. Returns the file, whose mode is 0600.
    ///
    /// # Errors
    /// [`MasterKeyError::Exists`] when there is one, or a failure of the file system.
    pub fn generate_beside(database: &Path) -> Result<PathBuf, MasterKeyError> {
        let path = Self::path_beside(database);
        let key = SecretBytes::<32>::filled_by(|bytes| rand::fill(bytes))
            .or(Err(MasterKeyError::NoRandomness))?;
        let mut text = Zeroizing::new([b'\n'; TEXT_LENGTH + 1]);
        let mut suffix = [0_u8; 8];
        rand::fill(&mut suffix).or(Err(MasterKeyError::NoRandomness))?;
        let written = STANDARD
            .encode_slice(key.expose(), text.as_mut_slice())
            .map_err(io::Error::other)
            .and_then(|_length| publish(&path, &hex::encode(suffix), text.as_slice()));
        match written {
            Ok(()) => Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(MasterKeyError::Exists { path })
            }
            Err(source) => Err(MasterKeyError::File { path, source }),
        }
    }

    /// The value to keep in the database: it says whether a key fits, and tells nothing of the key.
    pub fn check_value(&self) -> [u8; 32] {
        *self.derive(KeyPurpose::CheckValue).expose()
    }

    /// Whether a stored check value was made by this key (V8).
    pub fn fits(&self, check_value: &[u8]) -> bool {
        self.check_value().ct_eq(check_value).into()
    }

    /// The key that signs paging cursors.
    pub fn cursor_key(&self) -> SecretBytes<32> {
        self.derive(KeyPurpose::Cursor)
    }

    /// The key for one purpose, by HKDF-SHA256 (RFC 5869).
    pub(crate) fn derive(&self, purpose: KeyPurpose) -> SecretBytes<32> {
        let extracted = Salt::new(HKDF_SHA256, SALT).extract(self.0.expose());
        let label = [purpose.label()];
        let derived =
            SecretBytes::filled_by(|bytes| extracted.expand(&label, HKDF_SHA256)?.fill(bytes));
        #[expect(
            clippy::expect_used,
            reason = "HKDF fails only past 255 blocks, and this is one"
        )]
        derived.expect("one block of output")
    }
}

/// Writes a file of its own name, then gives it the wanted name, which fails when that is taken.
fn publish(path: &Path, suffix: &str, content: &[u8]) -> io::Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(".");
    part.push(suffix);
    let part = PathBuf::from(part);
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(OWNER_ONLY)
        .open(&part)?;
    let published = file
        .write_all(content)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::hard_link(&part, path));
    fs::remove_file(&part)?;
    published?;
    // The name itself survives a power loss only once its folder is written.
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// ```compile_fail,E0599
/// use tenantry_core::secrets::MasterKey;
/// let key = MasterKey::from_base64("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
/// let second: MasterKey = key.clone();
/// ```
#[cfg(doctest)]
mod v10_a_master_key_cannot_be_cloned {}

/// ```compile_fail,E0277
/// use tenantry_core::secrets::MasterKey;
/// let key = MasterKey::from_base64("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
/// println!("{key}");
/// ```
#[cfg(doctest)]
mod v10_a_master_key_cannot_be_printed {}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes 0 to 31.
    const COUNTING: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    fn database() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("tenantry.db");
        (folder, database)
    }

    fn write(path: &Path, content: &str, mode: u32) {
        fs::write(path, content).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn v8_only_exactly_32_bytes_in_base64_are_a_master_key() {
        assert!(MasterKey::from_base64(COUNTING).is_ok());
        let wrong = [
            String::new(),
            STANDARD.encode([7; 31]),
            STANDARD.encode([7; 33]),
            STANDARD.encode([7; 64]),
            COUNTING.trim_end_matches('=').to_owned(),
            format!("{COUNTING}="),
            format!(" {COUNTING}"),
            format!("{COUNTING}\n"),
            COUNTING.replace("AAEC", "AA-_"),
            // The last character carries two bits that belong to no byte.
            COUNTING.replace("Hh8=", "Hh9="),
            hex::encode([7; 32]),
            "é".repeat(22),
        ];
        for wrong in wrong {
            let refused = MasterKey::from_base64(&wrong);
            assert!(
                matches!(refused, Err(MasterKeyError::Malformed)),
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn v8_a_wrong_master_key_is_known_by_the_check_value() {
        let key = MasterKey::from_base64(COUNTING).unwrap();
        let other = MasterKey::from_base64(&STANDARD.encode([7; 32])).unwrap();
        assert!(key.fits(&key.check_value()));
        assert!(!other.fits(&key.check_value()));
        assert!(!key.fits(&[]));
        assert!(!key.fits(&key.check_value()[..31]));
    }

    #[test]
    fn v1_derived_keys_are_those_of_hkdf_sha256() {
        // Computed by another implementation from the bytes 0 to 31, the salt and the labels.
        let key = MasterKey::from_base64(COUNTING).unwrap();
        let expected = [
            (
                KeyPurpose::Wrap,
                "549f3a69492df188356ab491125d02d94002ab7e5c6f6c66f4a91b7b06135a37",
            ),
            (
                KeyPurpose::WrapId,
                "778e87c543e61c572a87ba50913186bd2d97efd918cd0d2790fdc82d037da438",
            ),
            (
                KeyPurpose::ApiKey,
                "e3c08e551694b9eab644edfbc5c5210ec55d723b1dce900c3bc9ecb33bb08da6",
            ),
            (
                KeyPurpose::Cursor,
                "d6e953c43dbeb5e270b203be168853553e8b850880f1977f00266bfb546f10f5",
            ),
            (
                KeyPurpose::CheckValue,
                "fb9a682c0b95ba8f91e73faa3a5e8253df75337f86d3fdf382ea5dec1e924ce9",
            ),
        ];
        for (purpose, bytes) in expected {
            assert_eq!(
                hex::encode(key.derive(purpose).expose()),
                bytes,
                "{purpose:?}"
            );
        }
        assert_eq!(hex::encode(key.cursor_key().expose()), expected[3].1);
        assert_eq!(hex::encode(key.check_value()), expected[4].1);
    }

    #[test]
    fn v7_a_generated_key_lies_beside_the_database_for_its_owner_alone() {
        let (folder, database) = database();
        let path = MasterKey::generate_beside(&database).unwrap();
        assert_eq!(path, folder.path().join("tenantry.db.master-key"));
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(names.len(), 1, "{names:?}");
        let one = MasterKey::from_file(&path).unwrap();
        let (_folder, elsewhere) = self::database();
        let another =
            MasterKey::from_file(&MasterKey::generate_beside(&elsewhere).unwrap()).unwrap();
        assert!(!one.fits(&another.check_value()));
    }

    #[test]
    fn v8_a_master_key_that_exists_is_never_replaced() {
        let (folder, database) = database();
        let path = MasterKey::generate_beside(&database).unwrap();
        let before = fs::read(&path).unwrap();
        let second = MasterKey::generate_beside(&database);
        assert!(
            matches!(second, Err(MasterKeyError::Exists { .. })),
            "{second:?}"
        );
        assert_eq!(fs::read(&path).unwrap(), before);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn v7_a_key_file_that_others_may_open_is_refused() {
        let (_folder, database) = database();
        let path = MasterKey::path_beside(&database);
        for mode in [0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o666, 0o440] {
            write(&path, COUNTING, mode);
            let refused = MasterKey::from_file(&path);
            assert!(
                matches!(refused, Err(MasterKeyError::OpenToOthers { .. })),
                "{mode:o}"
            );
            fs::remove_file(&path).unwrap();
        }
        for mode in [0o600, 0o400] {
            write(&path, &format!("{COUNTING}\r\n"), mode);
            assert!(MasterKey::from_file(&path).is_ok(), "{mode:o}");
            fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn v9_errors_name_the_file_and_never_its_content() {
        let (_folder, database) = database();
        let path = MasterKey::path_beside(&database);
        let missing = MasterKey::from_file(&path).unwrap_err();
        assert!(
            missing.to_string().contains("tenantry.db.master-key"),
            "{missing}"
        );
        write(&path, "canary-5f2a", 0o600);
        let malformed = MasterKey::from_file(&path).unwrap_err();
        assert!(!format!("{malformed} {malformed:?}").contains("canary"));
        write(&path, &COUNTING.repeat(10_000), 0o600);
        assert!(matches!(
            MasterKey::from_file(&path),
            Err(MasterKeyError::Malformed)
        ));
    }
}
