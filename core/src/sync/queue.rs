//! The queue of durable work, and the lease by which one worker holds a piece of it.
//!
//! A claim sets an owner, an end by database time, and a fence that only grows. Whatever a worker
//! stores is stored in a transaction that first proves the lease; a worker that slept too long
//! finds its fence outdated and writes nothing (R4, R5).

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    run::UnknownWord,
    turns::{Slots, Turn, turns},
};
use crate::{
    ids::{ConnectionId, OrgId, PsaConnectionId, SyncRunId, TenantId, WorkItemId},
    store::{Global, StoreError, dialect, types::StoredUuid},
};

/// How long a claim holds without renewal, in seconds of database time.
pub(crate) const LEASE_SECONDS: i32 = 15;

/// What a piece of work is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WorkKind {
    /// Prove a connection whose consent Microsoft may still be spreading. Subject: the connection.
    Proof,
    /// Go on with a sync run. Subject: the run.
    Sync,
    /// Ask for the kind of each mailbox, after a run. Subject: the tenant.
    MailboxPurposes,
    /// Bring customers from a PSA when it is time to. Subject: the connection to it.
    CustomerSync,
    /// Keep tickets at a PSA. Subject: the connection to it.
    Tickets,
}

impl WorkKind {
    /// The word in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Proof => "proof",
            Self::Sync => "sync",
            Self::MailboxPurposes => "mailboxPurposes",
            Self::CustomerSync => "customerSync",
            Self::Tickets => "tickets",
        }
    }

    fn parse(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "proof" => Ok(Self::Proof),
            "sync" => Ok(Self::Sync),
            "mailboxPurposes" => Ok(Self::MailboxPurposes),
            "customerSync" => Ok(Self::CustomerSync),
            "tickets" => Ok(Self::Tickets),
            _ => Err(UnknownWord),
        }
    }
}

/// A piece of work with what it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Task {
    /// Prove a connection.
    Proof {
        /// The tenant.
        tenant: TenantId,
        /// The connection to prove.
        connection: ConnectionId,
    },
    /// Go on with a sync run.
    Sync {
        /// The tenant.
        tenant: TenantId,
        /// The run.
        run: SyncRunId,
    },
    /// Ask for the kind of each mailbox.
    MailboxPurposes {
        /// The tenant.
        tenant: TenantId,
    },
    /// Bring customers from a PSA when it is time to. One for each connection, for as long as it is there.
    CustomerSync {
        /// The connection to the PSA.
        connection: PsaConnectionId,
    },
    /// Keep tickets at a PSA.
    Tickets {
        /// The connection to the PSA.
        connection: PsaConnectionId,
    },
}

impl Task {
    /// The word for it.
    pub const fn kind(self) -> WorkKind {
        match self {
            Self::Proof { .. } => WorkKind::Proof,
            Self::Sync { .. } => WorkKind::Sync,
            Self::MailboxPurposes { .. } => WorkKind::MailboxPurposes,
            Self::CustomerSync { .. } => WorkKind::CustomerSync,
            Self::Tickets { .. } => WorkKind::Tickets,
        }
    }

    /// The tenant it is for, if it is about one.
    pub const fn tenant(self) -> Option<TenantId> {
        match self {
            Self::Proof { tenant, .. }
            | Self::Sync { tenant, .. }
            | Self::MailboxPurposes { tenant } => Some(tenant),
            Self::CustomerSync { .. } | Self::Tickets { .. } => None,
        }
    }

    /// What there is one piece of work about, of each kind.
    pub const fn subject(self) -> Uuid {
        match self {
            Self::Proof { connection, .. } => connection.as_uuid(),
            Self::Sync { run, .. } => run.as_uuid(),
            Self::MailboxPurposes { tenant } => tenant.as_uuid(),
            Self::CustomerSync { connection } | Self::Tickets { connection } => {
                connection.as_uuid()
            }
        }
    }

    /// What the database says it is.
    fn stored(kind: &str, tenant: Option<TenantId>, subject: Uuid) -> Result<Self, StoreError> {
        let corrupt = StoreError::Corrupt {
            what: "kind of work",
        };
        let Ok(kind) = WorkKind::parse(kind) else {
            return Err(corrupt);
        };
        let psa = PsaConnectionId::from_uuid(subject);
        match (kind, tenant) {
            (WorkKind::Proof, Some(tenant)) => Ok(Self::Proof {
                tenant,
                connection: ConnectionId::from_uuid(subject),
            }),
            (WorkKind::Sync, Some(tenant)) => Ok(Self::Sync {
                tenant,
                run: SyncRunId::from_uuid(subject),
            }),
            (WorkKind::MailboxPurposes, Some(tenant)) => Ok(Self::MailboxPurposes { tenant }),
            (WorkKind::CustomerSync, None) => Ok(Self::CustomerSync { connection: psa }),
            (WorkKind::Tickets, None) => Ok(Self::Tickets { connection: psa }),
            (WorkKind::Proof | WorkKind::Sync | WorkKind::MailboxPurposes, None)
            | (WorkKind::CustomerSync | WorkKind::Tickets, Some(_)) => Err(corrupt),
        }
    }
}

/// A piece of work to put into the queue.
#[derive(Debug, Clone, Copy)]
pub struct Work {
    /// The organisation it is for.
    pub org: OrgId,
    /// What to do.
    pub task: Task,
    /// Not before.
    pub due_at: DateTime<Utc>,
}

/// A claimed piece of work.
#[derive(Debug, Clone)]
pub struct ClaimedWork {
    /// The proof that it is ours.
    pub lease: Lease,
    /// The organisation it is for.
    pub org: OrgId,
    /// What to do.
    pub task: Task,
    /// Which claim this is since the work last moved on, from 1.
    pub attempt: i32,
    /// When it was due: moves when the same work is wanted once more meanwhile.
    pub(crate) due_at: DateTime<Utc>,
}

/// The right to work on one item, until it runs out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The item.
    pub item: WorkItemId,
    /// Which claim this is.
    pub fence: i64,
}

/// Someone else may hold the work by now; nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The lease ran out or was taken over.
    #[error("the lease has ended")]
    Lost,
    /// The database cannot tell.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Lease {
    /// Proves, inside the transaction that stores something, that this worker may still store it.
    pub fn require_held(&self, tx: &mut Global<'_>) -> Result<(), LeaseError> {
        if dialect::lease_is_held(tx, self.item, self.fence)? {
            Ok(())
        } else {
            Err(LeaseError::Lost)
        }
    }

    /// Whether the lease is held at this moment, where losing it is no failure.
    pub(crate) fn is_held(&self, tx: &mut Global<'_>) -> Result<bool, StoreError> {
        dialect::lease_is_held(tx, self.item, self.fence)
    }

    /// Prolongs the lease.
    pub(crate) fn renew(&self, tx: &mut Global<'_>) -> Result<(), LeaseError> {
        if dialect::renew(tx, self.item, self.fence, LEASE_SECONDS)? {
            Ok(())
        } else {
            Err(LeaseError::Lost)
        }
    }
}

/// Puts work into the queue. Work about the same subject that is there already is made due then.
pub fn enqueue(tx: &mut Global<'_>, work: Work) -> Result<(), StoreError> {
    let row = dialect::NewWork {
        id: WorkItemId::from_uuid(Uuid::now_v7()),
        org: work.org,
        tenant: work.task.tenant(),
        kind: work.task.kind().as_str(),
        subject: StoredUuid(work.task.subject()),
        delay_ms: delay_ms(tx, work.due_at),
    };
    dialect::enqueue(tx, &row)
}

/// Gives held work back: due at a later moment, free for anyone.
pub(crate) fn release(
    tx: &mut Global<'_>,
    lease: Lease,
    due_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let delay_ms = delay_ms(tx, due_at);
    dialect::release(tx, lease.item, lease.fence, delay_ms)
}

/// Ends held work. Work that was wanted once more while it was done stays, and begins again.
pub(crate) fn finish(tx: &mut Global<'_>, work: &ClaimedWork) -> Result<(), StoreError> {
    if super::queries::delete_finished_work(tx, work)? {
        return Ok(());
    }
    let now = tx.now();
    release(tx, work.lease, now)
}

/// Gives permanent work back once it is done for now: due at `next`, with no failure counted against it.
/// Work that was wanted once more while it was done is due at once.
pub(crate) fn rest(
    tx: &mut Global<'_>,
    work: &ClaimedWork,
    next: DateTime<Utc>,
) -> Result<(), StoreError> {
    let lease = work.lease;
    super::queries::forget_attempts(tx, lease.item, lease.fence)?;
    let wanted_again = super::queries::is_wanted_again(tx, work)?;
    let due_at = if wanted_again { tx.now() } else { next };
    release(tx, lease, due_at)
}

/// Permanent work begins with something new: only this claim counts against it.
pub(crate) fn begin_counting(tx: &mut Global<'_>, lease: Lease) -> Result<(), StoreError> {
    super::queries::count_attempts(tx, lease.item, lease.fence, 1)
}

/// The work moved on: its failures so far do not count against it.
pub(crate) fn forget_attempts(tx: &mut Global<'_>, lease: Lease) -> Result<(), StoreError> {
    super::queries::forget_attempts(tx, lease.item, lease.fence)
}

/// How far a moment is from this transaction's. The queue itself goes by the database's clock, which
/// all processes share (R6).
fn delay_ms(tx: &Global<'_>, due_at: DateTime<Utc>) -> i64 {
    (due_at - tx.now()).num_milliseconds().max(0)
}

/// Makes all work of one kind that an organisation has in the queue due now. In one order, so that two who
/// do so never wait for each other.
pub(crate) fn make_due(tx: &mut Global<'_>, org: OrgId, kind: WorkKind) -> Result<(), StoreError> {
    let due_at = tx.now();
    for (tenant, subject) in super::queries::subjects_of_kind(tx, org, kind)? {
        let task = Task::stored(kind.as_str(), tenant, subject)?;
        enqueue(tx, Work { org, task, due_at })?;
    }
    Ok(())
}

/// Takes work out of the queue, whoever holds it.
pub fn remove(tx: &mut Global<'_>, kind: WorkKind, subject: Uuid) -> Result<(), StoreError> {
    super::queries::delete_work(tx, kind, subject)
}

/// Holds the work for a connection to a PSA until the transaction ends. Before the connection's own row, as
/// every transaction of a worker does: so that the two never wait for each other.
pub(crate) fn hold_for_psa(
    tx: &mut Global<'_>,
    org: OrgId,
    connection: PsaConnectionId,
) -> Result<(), StoreError> {
    super::queries::hold_work(tx, org, connection.as_uuid())
}

/// Takes everything about a tenant out of the queue.
pub fn remove_for_tenant(
    tx: &mut Global<'_>,
    org: OrgId,
    tenant: TenantId,
) -> Result<(), StoreError> {
    super::queries::delete_work_of_tenant(tx, org, tenant)
}

/// Whether a claim by this worker would find something.
pub(crate) fn is_anything_due(tx: &mut Global<'_>, worker: Slots) -> Result<bool, StoreError> {
    let work = dialect::work_of_organizations(tx, StoredUuid(worker.owner), worker.able)?;
    Ok(!turns(&work, worker.slots).is_empty())
}

/// Frees what this database's dead processes had claimed. Only where it is certain that no other
/// process lives: behind the lock of a SQLite file.
pub(crate) fn release_all(tx: &mut Global<'_>) -> Result<usize, StoreError> {
    super::queries::release_all_work(tx)
}

/// Takes the next due work in the order of [`turns`].
pub(crate) fn claim_next(
    tx: &mut Global<'_>,
    worker: Slots,
) -> Result<Option<ClaimedWork>, StoreError> {
    let owner = StoredUuid(worker.owner);
    let able = worker.able;
    let work = dialect::work_of_organizations(tx, owner, able)?;
    for Turn { org, urgency } in turns(&work, worker.slots) {
        if let Some(claimed) = dialect::claim(tx, (org, urgency), able, owner, LEASE_SECONDS)? {
            return Ok(Some(ClaimedWork {
                lease: Lease {
                    item: claimed.id,
                    fence: claimed.fence,
                },
                org: claimed.org_id,
                task: Task::stored(&claimed.kind, claimed.tenant_id, claimed.subject_id.0)?,
                attempt: claimed.attempts,
                due_at: claimed.due_at.0,
            }));
        }
    }
    Ok(None)
}
