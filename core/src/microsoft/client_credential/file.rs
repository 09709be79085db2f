//! The file of a credential, read again when its content changes.
//!
//! The whole text is compared, not the time of the file: secrets are of one length, and tools that
//! place them may set any time. A text that cannot be used changes nothing but what is shown.

use std::{
    fs::File,
    io::{self, Read as _},
    path::PathBuf,
};

use aws_lc_rs::digest::{SHA256, digest};
use chrono::{DateTime, Utc};
use zeroize::Zeroizing;

use super::{CredentialError, ProofKind, State, candidates::Candidates, certificates};
use crate::secrets::SecretText;

/// The largest file that is read, in bytes. A certificate with its key takes about 4,000.
const MAX_FILE_BYTES: u64 = 256 * 1024;

/// Since when the changed file of a credential cannot be used, and why.
#[derive(Debug, Clone)]
pub struct FileTrouble {
    /// When it was seen.
    pub since: DateTime<Utc>,
    /// Why, in a few words.
    pub why: String,
    /// To tell it from the next one: SHA-256 of the text, or why there is none.
    seen: Result<[u8; 32], String>,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error("it cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    #[error("it is larger than {MAX_FILE_BYTES} bytes")]
    TooLarge,
    #[error("it is empty")]
    Empty,
    #[error("the {0}")]
    Credential(#[source] CredentialError),
}

/// A file that holds the credential.
#[derive(Debug)]
pub(super) struct Followed {
    path: PathBuf,
}

impl Followed {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Takes over what the file says now, when that changed.
    pub(super) fn look(&self, kind: ProofKind, state: &mut State, now: DateTime<Utc>) {
        let text = self.read();
        let seen = match &text {
            Ok(text) => Ok(digest_of(text.expose())),
            Err(error) => Err(error.to_string()),
        };
        if seen.as_ref() == Ok(&state.digest) {
            if state.trouble.take().is_some() {
                tracing::info!(path = %self.path.display(), "the credential file is again what it was");
            }
            return;
        }
        if state
            .trouble
            .as_ref()
            .is_some_and(|known| known.seen == seen)
        {
            return;
        }
        match text.and_then(|text| candidates_of(kind, text)) {
            Ok((candidates, digest)) => {
                state.candidates = candidates.after(&state.candidates);
                state.digest = digest;
                state.trouble = None;
                tracing::info!(
                    path = %self.path.display(),
                    kind = kind.as_str(),
                    "the app registration's credential was read again"
                );
            }
            Err(error) => {
                let why = error.to_string();
                tracing::warn!(
                    path = %self.path.display(),
                    error = why,
                    "the changed credential file cannot be used, what was read before is used on"
                );
                state.trouble = Some(FileTrouble {
                    since: now,
                    why,
                    seen,
                });
            }
        }
    }

    /// The content without line breaks at its end, as the settings take it.
    fn read(&self) -> Result<SecretText, FileError> {
        let file = File::open(&self.path).map_err(FileError::Unreadable)?;
        let length = file.metadata().map_err(FileError::Unreadable)?.len();
        if length > MAX_FILE_BYTES {
            return Err(FileError::TooLarge);
        }
        // Of its full size from the start: a text that grows leaves copies behind.
        let capacity = usize::try_from(length).unwrap_or_default() + 1;
        let mut text = Zeroizing::new(String::with_capacity(capacity));
        file.take(MAX_FILE_BYTES)
            .read_to_string(&mut text)
            .map_err(FileError::Unreadable)?;
        let kept = text.trim_end_matches(['\r', '\n']);
        if kept.trim().is_empty() {
            return Err(FileError::Empty);
        }
        Ok(SecretText::new(kept.to_owned()))
    }
}

/// What a text holds, and its digest.
fn candidates_of(kind: ProofKind, text: SecretText) -> Result<(Candidates, [u8; 32]), FileError> {
    let digest = digest_of(text.expose());
    let candidates = match kind {
        ProofKind::Secret => Candidates::of_secret(text),
        ProofKind::Certificate => certificates(&text).map_err(FileError::Credential)?,
    };
    Ok((candidates, digest))
}

/// SHA-256 of a text.
pub(super) fn digest_of(text: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    let digest = digest(&SHA256, text.as_bytes());
    bytes
        .iter_mut()
        .zip(digest.as_ref())
        .for_each(|(to, from)| *to = *from);
    bytes
}
