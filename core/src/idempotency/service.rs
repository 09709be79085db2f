//! Reserving a key, keeping the answer, giving it again.

use aws_lc_rs::digest::{self, SHA256};
use chrono::TimeDelta;
use uuid::Uuid;

use super::{
    key::IdempotencyKey,
    queries::{self, SealedAnswer, StoredKey},
};
use crate::{
    access::OrgScope,
    ids::OrgId,
    secrets::{DecryptError, Purpose, SecretKind, SecretText, Vault, VaultContext, VaultError},
    store::{Scoped, Store, StoreError},
};

/// How long a key is kept.
const KEPT: TimeDelta = TimeDelta::hours(24);

/// A call that runs longer than this has died: its key may be taken over.
const LONGEST_CALL: TimeDelta = TimeDelta::seconds(60);

/// What a call learns when it reserves its key.
#[derive(Debug)]
pub enum Reservation {
    /// The key is the call's: it may have its effect.
    New(Ticket),
    /// The call was made before: this was its answer.
    Replay(StoredAnswer),
    /// The same call is being made at this moment.
    InFlight,
    /// The key was used for another body.
    BodyDiffers,
}

/// A reserved key, to be completed in the transaction of the effect or released after a failure.
#[derive(Debug, Clone)]
pub struct Ticket {
    pub(super) principal: String,
    pub(super) route: String,
    pub(super) key_hash: Vec<u8>,
    pub(super) row: Uuid,
}

/// The answer of an earlier call.
#[derive(Debug)]
pub struct StoredAnswer {
    /// HTTP status.
    pub status: u16,
    /// `Location` header.
    pub location: Option<String>,
    /// Body. Secret, because an answer may hold a link that only its receiver may know.
    pub body: SecretText,
}

/// Why a key cannot be reserved.
#[derive(Debug, thiserror::Error)]
pub enum IdempotencyError {
    /// The stored answer does not open.
    #[error(transparent)]
    Decrypt(#[from] DecryptError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Keeps the answers of creating calls. Cheap to clone.
#[derive(Clone)]
pub struct Idempotency {
    store: Store,
    vault: Vault,
}

impl Idempotency {
    /// On a store, with the vault that seals the answers.
    pub fn new(store: Store, vault: Vault) -> Self {
        Self { store, vault }
    }

    /// Reserves a key for a call. `principal` is who calls and `route` method and path pattern: the
    /// same key from another caller or to another route is another key. `request_hash` is a hash of
    /// everything that makes the request this one.
    ///
    /// # Errors
    /// Any [`IdempotencyError`].
    pub async fn reserve(
        &self,
        scope: &OrgScope,
        principal: &str,
        route: &str,
        key: &IdempotencyKey,
        request_hash: [u8; 32],
    ) -> Result<Reservation, IdempotencyError> {
        let ticket = Ticket {
            principal: principal.to_owned(),
            route: route.to_owned(),
            key_hash: digest::digest(&SHA256, key.as_bytes()).as_ref().to_vec(),
            row: Uuid::now_v7(),
        };
        let vault = self.vault.clone();
        self.store
            .write(scope, move |tx| reserved(tx, &vault, ticket, &request_hash))
            .await
    }

    /// Stores the answer of the call that holds the ticket, in the transaction of its effect.
    ///
    /// # Errors
    /// The store's; [`StoreError::Busy`] when the call took so long that another took its key over:
    /// then the effect must not happen either.
    pub fn complete(
        &self,
        tx: &mut Scoped<'_>,
        ticket: &Ticket,
        status: u16,
        location: Option<&str>,
        body: &str,
    ) -> Result<(), StoreError> {
        let (data_key, sealed) = self
            .sealed(&context(tx.org(), ticket.row), body)
            .map_err(|error| StoreError::Unavailable(error.into()))?;
        let location = location.map(str::to_owned);
        let answer = SealedAnswer {
            status: i32::from(status),
            location,
            data_key,
            sealed,
        };
        queries::complete(tx, ticket, &answer)
    }

    /// Gives the key back after a call that had no effect, so that it can be made again at once.
    ///
    /// # Errors
    /// The store's.
    pub async fn release(&self, scope: &OrgScope, ticket: &Ticket) -> Result<(), StoreError> {
        let ticket = ticket.clone();
        self.store
            .write(scope, move |tx| queries::release(tx, &ticket))
            .await
    }

    /// Forgets the organisation's keys that are older than 24 hours. Returns how many.
    ///
    /// # Errors
    /// The store's.
    pub async fn purge(&self, scope: &OrgScope) -> Result<usize, StoreError> {
        self.store
            .write(scope, |tx| queries::purge(tx, tx.now() - KEPT))
            .await
    }

    fn sealed(&self, context: &VaultContext, body: &str) -> Result<(Vec<u8>, Vec<u8>), VaultError> {
        let (data_key, wrapped) = self.vault.new_data_key(context)?;
        let sealed = self
            .vault
            .seal(&data_key, context, &SecretText::new(body.to_owned()))?;
        Ok((wrapped, sealed))
    }
}

fn reserved(
    tx: &mut Scoped<'_>,
    vault: &Vault,
    ticket: Ticket,
    request_hash: &[u8],
) -> Result<Reservation, IdempotencyError> {
    if queries::insert(tx, &ticket, request_hash)? {
        return Ok(Reservation::New(ticket));
    }
    // Gone between the two statements: released by the call that held it.
    let Some(stored) = queries::find(tx, &ticket)? else {
        return Ok(Reservation::InFlight);
    };
    let age = tx.now() - stored.created_at;
    let expired = age >= KEPT;
    if !expired && stored.request_hash != request_hash {
        return Ok(Reservation::BodyDiffers);
    }
    let died = stored.answer.is_none() && age > LONGEST_CALL;
    if expired || died {
        let taken = queries::take_over(tx, &ticket, request_hash, &stored)?;
        return Ok(if taken {
            Reservation::New(ticket)
        } else {
            Reservation::InFlight
        });
    }
    opened(tx.org(), vault, stored)
}

fn opened(org: OrgId, vault: &Vault, stored: StoredKey) -> Result<Reservation, IdempotencyError> {
    let Some(answer) = stored.answer else {
        return Ok(Reservation::InFlight);
    };
    let context = context(org, stored.row);
    let data_key = vault.unwrap_data_key(&context, &answer.data_key)?;
    Ok(Reservation::Replay(StoredAnswer {
        status: u16::try_from(answer.status).or(Err(StoreError::Corrupt {
            what: "idempotent answer",
        }))?,
        location: answer.location,
        body: vault.open(&data_key, &context, &answer.sealed)?,
    }))
}

/// Where an answer belongs: to the row that one reservation made.
fn context(org: OrgId, row: Uuid) -> VaultContext {
    VaultContext {
        org,
        subject: row,
        tenant: Uuid::nil(),
        kind: SecretKind::IdempotentAnswer,
        purpose: Purpose::Read,
        generation: 0,
    }
}
