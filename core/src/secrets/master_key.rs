//! The master key: what everything else is wrapped by, and the one secret that no database holds.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

use aws_lc_rs::{hkdf, rand};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::{SecretBytes, SecretText};

/// Length of the key in bytes.
pub const KEY_LENGTH: usize = 32;

/// Length of the key in base64, padding included.
const TEXT_LENGTH: usize = 44;

/// What a sub-key of the master key is for. Keys for different purposes have nothing in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubKey {
    /// Wraps data keys.
    Wrap,
    /// Hashes API keys.
    ApiKey,
    /// Signs cursors.
    Cursor,
    /// Shows whether a master key is the one a database was made with.
    CheckValue,
}

impl SubKey {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Wrap => b"tenantry v1 wrap",
            Self::ApiKey => b"tenantry v1 api key",
            Self::Cursor => b"tenantry v1 cursor",
            Self::CheckValue => b"tenantry v1 check value",
        }
    }
}

/// Why there is no master key.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// Not 32 bytes in base64.
    #[error("the master key must be 32 bytes in base64, as `openssl rand -base64 32` prints them")]
    Malformed,
    /// Others than the owner may read the file.
    #[error("the key file {} can be read by others: run chmod 600 on it", .0.display())]
    Exposed(PathBuf),
    /// The file cannot be read or written.
    #[error("the key file {}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: std::io::Error,
    },
    /// The system gave no randomness.
    #[error("no randomness available for a new master key")]
    NoRandomness,
}

/// The master key (key-encryption key) of the installation.
pub struct MasterKey {
    key: SecretBytes<KEY_LENGTH>,
}

impl MasterKey {
    /// Reads 32 bytes of base64.
    ///
    /// # Errors
    /// [`MasterKeyError::Malformed`] for anything else; the text is not repeated.
    pub fn from_base64(text: &SecretText) -> Result<Self, MasterKeyError> {
        let bytes = STANDARD
            .decode(text.expose().trim())
            .or(Err(MasterKeyError::Malformed))?;
        let bytes = Zeroizing::new(bytes);
        let key = SecretBytes::copy_of(&bytes).ok_or(MasterKeyError::Malformed)?;
        Ok(Self { key })
    }

    /// Reads a key file that only its owner may read.
    ///
    /// # Errors
    /// See [`MasterKeyError`].
    pub fn from_file(path: &Path) -> Result<Self, MasterKeyError> {
        let file = File::open(path).map_err(|source| failed(path, source))?;
        refuse_exposed(&file, path)?;
        // Room for more than is read: text that grows leaves copies of the key behind.
        let mut text = Zeroizing::new(String::with_capacity(512));
        file.take(256)
            .read_to_string(&mut text)
            .map_err(|source| failed(path, source))?;
        Self::from_base64(&SecretText::new(std::mem::take(&mut *text)))
    }

    /// Where the key of a SQLite database stands when none is given.
    pub fn path_beside(database: &Path) -> PathBuf {
        let mut name: OsString = database.as_os_str().to_owned();
        name.push(".master-key");
        PathBuf::from(name)
    }

    /// Makes a new key beside a database: mode 0600, never over a file that is there, and on the disk
    /// before it is used. Nobody ever sees half a key, and a kill on the way leaves none.
    ///
    /// # Errors
    /// See [`MasterKeyError`]; a key that is there already is its `File` with `AlreadyExists`.
    pub fn generate_beside(database: &Path) -> Result<(Self, PathBuf), MasterKeyError> {
        let path = Self::path_beside(database);
        let key = SecretBytes::filled_by(|bytes| {
            rand::fill(bytes).or(Err(MasterKeyError::NoRandomness))
        })?;
        let mut suffix = [0_u8; 8];
        rand::fill(&mut suffix).or(Err(MasterKeyError::NoRandomness))?;
        let mut text = Zeroizing::new([b'\n'; TEXT_LENGTH + 1]);
        STANDARD
            .encode_slice(key.expose(), text.as_mut_slice())
            .map_err(std::io::Error::other)
            .and_then(|_length| publish(&path, &hex::encode(suffix), text.as_slice()))
            .map_err(|source| failed(&path, source))?;
        Ok((Self { key }, path))
    }

    /// A key for one purpose, from which neither the master key nor another purpose's key follows.
    pub fn sub_key(&self, purpose: SubKey) -> SecretBytes<KEY_LENGTH> {
        struct Length;
        impl hkdf::KeyType for Length {
            fn len(&self) -> usize {
                KEY_LENGTH
            }
        }
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"tenantry");
        let extracted = salt.extract(self.key.expose());
        let label = [purpose.label()];
        let derived = SecretBytes::filled_by(|bytes| {
            extracted
                .expand(&label, Length)
                .and_then(|okm| okm.fill(bytes))
        });
        // HKDF refuses only outputs of more than 255 blocks; this one has a single block.
        derived.unwrap_or_else(|_unspecified| unreachable!("32 bytes are within HKDF's bounds"))
    }

    /// What the database keeps to recognise the key by: it says nothing about the key (V8).
    pub fn check_value(&self) -> Vec<u8> {
        self.sub_key(SubKey::CheckValue).expose().to_vec()
    }

    /// Whether a database's check value was made by this key (V8).
    pub fn fits(&self, check_value: &[u8]) -> bool {
        self.sub_key(SubKey::CheckValue).matches(check_value)
    }
}

fn failed(path: &Path, source: std::io::Error) -> MasterKeyError {
    MasterKeyError::File {
        path: path.to_owned(),
        source,
    }
}

#[cfg(unix)]
fn refuse_exposed(file: &File, path: &Path) -> Result<(), MasterKeyError> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = file
        .metadata()
        .map_err(|source| failed(path, source))?
        .permissions()
        .mode();
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(MasterKeyError::Exposed(path.to_owned()))
    }
}

#[cfg(not(unix))]
fn refuse_exposed(_file: &File, _path: &Path) -> Result<(), MasterKeyError> {
    Ok(())
}

/// Writes a file under a name of its own, then gives it the wanted name, which fails when that is
/// taken.
fn publish(path: &Path, suffix: &str, content: &[u8]) -> std::io::Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(".");
    part.push(suffix);
    let part = PathBuf::from(part);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&part)?;
    let published = file
        .write_all(content)
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::hard_link(&part, path));
    std::fs::remove_file(&part)?;
    published?;
    sync_folder(path)
}

/// Makes the new name in the folder as durable as the file.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// ```compile_fail,E0599
/// fn twice(key: tenantry_core::secrets::MasterKey) {
///     let second: tenantry_core::secrets::MasterKey = key.clone();
/// }
/// ```
#[cfg(doctest)]
mod v10_a_master_key_cannot_be_cloned {}

/// ```compile_fail,E0277
/// fn show(key: tenantry_core::secrets::MasterKey) {
///     println!("{key:?}");
/// }
/// ```
#[cfg(doctest)]
mod v10_a_master_key_cannot_be_printed {}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> MasterKey {
        MasterKey::from_base64(&SecretText::new(STANDARD.encode([byte; 32]))).unwrap()
    }

    #[test]
    fn v8_the_check_value_tells_keys_apart_and_shows_none() {
        assert_eq!(key(1).check_value(), key(1).check_value());
        assert_ne!(key(1).check_value(), key(2).check_value());
        assert_ne!(key(1).check_value(), vec![1; 32]);
        assert!(key(1).fits(&key(1).check_value()));
        assert!(!key(2).fits(&key(1).check_value()));
        assert!(!key(1).fits(&[]));
        assert!(!key(1).fits(&key(1).check_value()[..31]));
    }

    #[test]
    fn v1_sub_keys_are_those_that_another_implementation_derives() {
        let expected = [
            (
                SubKey::Wrap,
                "ae9cda9cfbf898ecee200962d4247a1bd3320161cbaa518d1016e38693c1b999",
            ),
            (
                SubKey::ApiKey,
                "0a25e9ff94603fef2aa0d0ccba499c5497e321cf12367de48f69e9cf8cb4192e",
            ),
            (
                SubKey::Cursor,
                "080c1b6d94bcd599665f9e9cee1bb56807695b4a977f8dd9ad14af43c3a34947",
            ),
            (
                SubKey::CheckValue,
                "ba7b47317fd4f42ae7d81c2f5dadb328a56175e8424931be7fc022d71a24e5b2",
            ),
        ];
        for (purpose, bytes) in expected {
            assert_eq!(
                hex::encode(key(1).sub_key(purpose).expose()),
                bytes,
                "{purpose:?}"
            );
        }
    }

    #[test]
    fn v9_errors_about_a_key_file_never_repeat_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        for content in ["canary-5f2a", &"canary-5f2a".repeat(10_000)] {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            options
                .open(&path)
                .unwrap()
                .write_all(content.as_bytes())
                .unwrap();
            let error = MasterKey::from_file(&path).err().unwrap();
            assert!(
                !format!("{error} {error:?}").contains("canary"),
                "{error:?}"
            );
        }
    }

    #[test]
    fn sub_keys_of_different_purposes_differ() {
        let all = [
            SubKey::Wrap,
            SubKey::ApiKey,
            SubKey::Cursor,
            SubKey::CheckValue,
        ];
        let keys: std::collections::HashSet<_> =
            all.iter().map(|p| *key(1).sub_key(*p).expose()).collect();
        assert_eq!(keys.len(), all.len());
    }

    #[test]
    fn only_32_bytes_of_base64_are_a_key() {
        for text in [
            "",
            "short",
            &STANDARD.encode([1; 31]),
            &STANDARD.encode([1; 33]),
            &"!".repeat(44),
        ] {
            assert!(
                MasterKey::from_base64(&SecretText::new(text.to_owned())).is_err(),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_made_key_is_private_read_back_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("t.db");
        let (made, path) = MasterKey::generate_beside(&database).unwrap();
        assert_eq!(
            MasterKey::from_file(&path).unwrap().check_value(),
            made.check_value()
        );
        assert!(matches!(
            MasterKey::generate_beside(&database),
            Err(MasterKeyError::File { source, .. })
                if source.kind() == std::io::ErrorKind::AlreadyExists
        ));
        assert!(
            MasterKey::from_file(&path)
                .unwrap()
                .fits(&made.check_value())
        );
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            1,
            "no part is left behind"
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(
                std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o600
            );
            for mode in [0o640, 0o620, 0o610, 0o604, 0o602, 0o601] {
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
                assert!(
                    matches!(MasterKey::from_file(&path), Err(MasterKeyError::Exposed(_))),
                    "{mode:o}"
                );
            }
        }
    }
}
