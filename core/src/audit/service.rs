//! Reading and verifying the audit.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    chain::{AuditRecord, Broken, ChainVerifier, GENESIS},
    queries::{self, Head, Selection},
};
use crate::{
    access::OrgScope,
    ids::{AuditEventId, OrgId, RequestId, TenantId},
    organizations,
    store::{Store, StoreError},
};

/// Events verified in one transaction.
const PAGE: u16 = 1_000;

/// Which events to list. Empty lists mean any.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// About one of these tenants.
    pub tenants: Vec<TenantId>,
    /// Of one of these actions.
    pub actions: Vec<String>,
    /// Not before this moment.
    pub since: Option<DateTime<Utc>>,
}

/// An event as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEvent {
    /// UUIDv7.
    pub id: AuditEventId,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// Kind of actor: `apiKey`, `administrator`, `commandLine` or `system`.
    pub actor_type: String,
    /// Who exactly.
    pub actor_id: Option<String>,
    /// `noun.verbPast`.
    pub action: String,
    /// The tenant it is about.
    pub tenant: Option<TenantId>,
    /// What there is to say about it.
    pub details: Value,
    /// Its hash in the chain, in hexadecimal digits.
    pub hash: String,
    /// The HTTP request it came from.
    pub request: Option<RequestId>,
}

/// A page of events.
#[derive(Debug)]
pub struct AuditPage {
    /// The newest first.
    pub items: Vec<AuditEvent>,
    /// Sequence of the last event, when there are older ones.
    pub next: Option<i64>,
}

/// What verifying found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyReport {
    /// Events that were read, in all chains.
    pub events: u64,
    /// Whether every chain is whole.
    pub intact: bool,
    /// The first event that is not what was written, or after which something is missing; none when
    /// a chain is gone altogether.
    pub first_bad: Option<AuditEventId>,
}

/// Shows the audit of an organisation.
#[derive(Clone)]
pub struct AuditService {
    store: Store,
}

impl AuditService {
    /// On a store.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// A page of events, the newest first, before the given sequence.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(
        &self,
        scope: &OrgScope,
        mut filter: AuditFilter,
        after: Option<i64>,
        limit: u16,
    ) -> Result<AuditPage, StoreError> {
        let wants_any = filter.actions.is_empty();
        // No action has one, and PostgreSQL does not even take it as a parameter.
        filter.actions.retain(|action| !action.contains('\0'));
        if filter.actions.is_empty() && !wants_any {
            return Ok(AuditPage {
                items: Vec::new(),
                next: None,
            });
        }
        let selection = Selection {
            tenants: filter.tenants,
            actions: filter.actions,
            since: filter.since,
        };
        self.store
            .read(scope, move |tx| {
                let mut rows = queries::newest_events(
                    tx,
                    &selection,
                    after.unwrap_or(i64::MAX),
                    i64::from(limit) + 1,
                )?;
                let more = rows.len() > usize::from(limit);
                rows.truncate(usize::from(limit));
                let next = if more {
                    rows.last().map(|(record, _)| record.sequence)
                } else {
                    None
                };
                let items = rows.into_iter().map(shown).collect::<Result<_, _>>()?;
                Ok(AuditPage { items, next })
            })
            .await
    }
}

fn shown((record, hash): (AuditRecord, Vec<u8>)) -> Result<AuditEvent, StoreError> {
    Ok(AuditEvent {
        id: record.id,
        at: record.at,
        actor_type: record.actor_type,
        actor_id: record.actor_id,
        action: record.action,
        tenant: record.tenant_id,
        details: serde_json::from_str(&record.details).or(Err(StoreError::Corrupt {
            what: "audit details",
        }))?,
        hash: hex::encode(hash),
        request: record.request_id,
    })
}

/// Checks the chains of the installation and of every organisation, page by page: memory does not
/// grow with them, and the installation may go on working meanwhile.
///
/// # Errors
/// The store's: then nobody can tell.
pub async fn verify(store: &Store) -> Result<VerifyReport, StoreError> {
    let mut orgs = vec![OrgId::INSTALLATION];
    orgs.extend(store.read_global(organizations::ids).await?);
    let mut report = VerifyReport {
        events: 0,
        intact: true,
        first_bad: None,
    };
    for org in orgs {
        let chain = verify_chain(store, org).await?;
        report.events += chain.events;
        if report.intact {
            (report.intact, report.first_bad) = (chain.intact, chain.first_bad);
        }
    }
    Ok(report)
}

async fn verify_chain(store: &Store, org: OrgId) -> Result<VerifyReport, StoreError> {
    let scope = OrgScope::for_command_line(org);
    let mut verifier = ChainVerifier::default();
    // From below the first sequence: an event that was put before it is one too many.
    let (mut events, mut after, mut last) = (0, i64::MIN, None);
    let broken = |events, first_bad| VerifyReport {
        events,
        intact: false,
        first_bad,
    };
    loop {
        // The head before the events: what is appended meanwhile is beyond it, never missing.
        let (head, rows) = store
            .read(&scope, move |tx| {
                let head = queries::head(tx)?;
                Ok::<_, StoreError>((head, queries::events(tx, after, i64::from(PAGE))?))
            })
            .await?;
        if rows.is_empty() {
            // Every chain begins with the creation of its organisation, so none is empty.
            let head = head.unwrap_or(Head {
                sequence: 0,
                hash: GENESIS.to_vec(),
            });
            let whole = last.is_some() && verifier.finish(head.sequence, &head.hash).is_ok();
            return Ok(VerifyReport {
                events,
                intact: whole,
                first_bad: if whole { None } else { last },
            });
        }
        for (record, hash) in &rows {
            events += 1;
            match verifier.next(record, hash) {
                Ok(()) => (after, last) = (record.sequence, Some(record.id)),
                Err(Broken::At(event)) => return Ok(broken(events, Some(event))),
                Err(Broken::Tail) => return Ok(broken(events, last)),
            }
        }
    }
}
