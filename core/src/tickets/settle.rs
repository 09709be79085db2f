//! Storing what came of a call to a PSA.

use serde_json::json;
use tenantry_psa::{PsaError, ticket::Ticket};

use super::{
    backoff::Setback,
    plan::{Call, Try},
    queries,
    ticket::{KeptTicket, TicketState},
};
use crate::{
    audit::{self, Action},
    ids::PsaConnectionId,
    measures::{Fact, TicketOutcome},
    psa::{self, Trouble},
    store::{Scoped, StoreError},
    sync::queue::{Lease, LeaseError},
};

/// What the PSA did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// The ticket is open.
    Ensured(Ticket),
    /// The note is there, or there is no ticket to note it on.
    Noted,
    /// The ticket is closed, or not there.
    Closed,
}

impl Answer {
    /// What a call came to. A ticket that is not there needs neither note nor closing; a customer that is not
    /// there has no ticket.
    pub(super) fn of(
        call: &Call,
        state: TicketState,
        result: Result<Self, PsaError>,
    ) -> Result<Self, PsaError> {
        match (call, result) {
            (Call::Note(_), Err(PsaError::NotFound)) => Ok(Self::Noted),
            (Call::Close, Err(PsaError::NotFound)) => Ok(Self::Closed),
            (Call::Ensure, Err(PsaError::NotFound)) if state == TicketState::Closing => {
                Ok(Self::Closed)
            }
            (Call::Ensure | Call::Note(_) | Call::Close, result) => result,
        }
    }
}

/// Stores it, under the lease.
pub(super) fn settle(
    tx: &mut Scoped<'_>,
    id: PsaConnectionId,
    lease: Lease,
    tried: &Try,
    result: &Result<Answer, PsaError>,
) -> Result<(), LeaseError> {
    // The queue's row before the connection's, as every transaction of a worker takes them and whoever changes
    // a connection does: so that the two never wait for each other.
    lease.require_held(&mut tx.global())?;
    let failed = match result {
        Ok(_) => {
            clear_trouble(tx, id, tried.ticket.error.as_ref())?;
            None
        }
        Err(error) => {
            let setback = Setback::of(error, tried.ticket.attempts);
            let trouble = psa::trouble_of(error, tried.kind, tx.now());
            if setback.needs_person {
                psa::note_trouble(tx, id, Some(&trouble))?;
            }
            Some((setback, trouble))
        }
    };
    let Some(mut ticket) = queries::find(tx, id, &tried.ticket.key)? else {
        return Ok(());
    };
    match (result, failed) {
        (Ok(answer), _) => Ok(store_answer(tx, id, &mut ticket, answer)?),
        (Err(_), Some((setback, trouble))) => {
            Ok(store_setback(tx, id, tried, ticket, setback, trouble)?)
        }
        (Err(_), None) => Ok(()),
    }
}

/// What tickets wrote into the connection's trouble goes when the ticket goes through. What others wrote stays.
fn clear_trouble(
    tx: &mut Scoped<'_>,
    id: PsaConnectionId,
    ours: Option<&Trouble>,
) -> Result<(), StoreError> {
    let Some(ours) = ours else { return Ok(()) };
    let standing = psa::find(tx, id)?.and_then(|connection| connection.trouble);
    if standing.is_some_and(|standing| standing.code == ours.code && standing.at == ours.at) {
        psa::note_trouble(tx, id, None)?;
    }
    Ok(())
}

fn store_answer(
    tx: &mut Scoped<'_>,
    id: PsaConnectionId,
    ticket: &mut KeptTicket,
    answer: &Answer,
) -> Result<(), StoreError> {
    let now = tx.now();
    match answer {
        Answer::Ensured(open) => {
            ticket.external_id = Some(open.reference.id.clone());
            ticket.number.clone_from(&open.number);
            ticket.in_doubt = false;
            let state = match ticket.state {
                TicketState::Wanted | TicketState::Open | TicketState::Closed => TicketState::Open,
                TicketState::Closing => TicketState::Closing,
            };
            ticket.become_state(state, now);
            queries::update(tx, id, ticket)?;
            tx.count(Fact::Ticket(if open.created {
                TicketOutcome::Opened
            } else {
                TicketOutcome::Found
            }));
            record(tx, id, ticket, Action::TicketOpened, Some(open.created))
        }
        Answer::Noted => {
            ticket.note = None;
            ticket.become_state(ticket.state, now);
            queries::update(tx, id, ticket)
        }
        Answer::Closed => {
            ticket.note = None;
            ticket.in_doubt = false;
            ticket.become_state(TicketState::Closed, now);
            queries::update(tx, id, ticket)?;
            tx.count(Fact::Ticket(TicketOutcome::Closed));
            record(tx, id, ticket, Action::TicketClosed, None)
        }
    }
}

fn store_setback(
    tx: &mut Scoped<'_>,
    id: PsaConnectionId,
    tried: &Try,
    mut ticket: KeptTicket,
    setback: Setback,
    trouble: Trouble,
) -> Result<(), StoreError> {
    let until = tx.now() + setback.wait;
    if setback.needs_person {
        tracing::warn!(
            organizationId = %tx.org(), psaConnectionId = %id, code = trouble.code,
            "tickets cannot be kept at a PSA until a person changes something"
        );
    } else {
        tracing::info!(
            organizationId = %tx.org(), psaConnectionId = %id, code = trouble.code,
            "a ticket is tried again later"
        );
    }
    if tried.call == Call::Ensure && !setback.leaves_doubt {
        ticket.in_doubt = tried.was_in_doubt;
    }
    ticket.next_try_at = Some(until);
    ticket.error = Some(trouble.clone());
    queries::update(tx, id, &ticket)?;
    if setback.meets_all {
        queries::hold_up(tx, id, until, &trouble)?;
    }
    tx.count(Fact::Ticket(TicketOutcome::Failed));
    Ok(())
}

fn record(
    tx: &mut Scoped<'_>,
    id: PsaConnectionId,
    ticket: &KeptTicket,
    action: Action,
    created: Option<bool>,
) -> Result<(), StoreError> {
    let details = json!({
        "psaConnectionId": id,
        "trouble": ticket.trouble.as_str(),
        "customerExternalId": ticket.customer,
        "ticketId": ticket.external_id,
        "created": created,
    });
    audit::record(tx, action, Some(ticket.tenant), details)
}
