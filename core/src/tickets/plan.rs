//! What is to be done at a PSA at this moment: the tickets that should be open beside those we remember.
//!
//! Looked at afresh before each call. A row says `wanted` before the PSA is asked for the ticket, and that the
//! outcome is in doubt until the answer is stored, so that a kill at any moment leaves nothing behind that
//! the next look does not find.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use tenantry_psa::PsaKind;

use super::{
    queries,
    text::{self, Ending},
    ticket::{KeptTicket, TicketState},
    trouble::{self, TroubleKind, WantedTicket},
};
use crate::{
    ids::PsaConnectionId,
    psa,
    store::{Scoped, StoreError},
    sync::queue::{self, Lease, LeaseError, WorkKind},
    tenants::{self, TenantStatus},
};

/// How long a connection is not looked at when nothing wakes the work.
pub(super) const BETWEEN_LOOKS: TimeDelta = TimeDelta::minutes(5);

/// What comes next.
#[derive(Debug)]
pub(super) enum Plan {
    /// The connection is gone, or its tickets are turned off. The work is out of the queue.
    Gone,
    /// Nothing before this moment.
    Rest(DateTime<Utc>),
    /// Ask the PSA.
    Try(Box<Try>),
}

/// One call to a PSA for a ticket.
#[derive(Debug)]
pub(super) struct Try {
    pub(super) ticket: KeptTicket,
    /// Whether an earlier try had left a doubt.
    pub(super) was_in_doubt: bool,
    pub(super) call: Call,
    pub(super) kind: PsaKind,
    /// The PSA's own settings for tickets.
    pub(super) settings: Value,
}

/// What to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Call {
    /// That the ticket is open.
    Ensure,
    /// That it has this note.
    Note(String),
    /// That it is closed.
    Close,
}

/// Brings the rows in line with the troubles, and begins what is due first.
pub(super) fn plan(
    tx: &mut Scoped<'_>,
    id: PsaConnectionId,
    lease: Lease,
) -> Result<Plan, LeaseError> {
    // The queue first, as in every transaction of a worker.
    lease.require_held(&mut tx.global())?;
    let Some(connection) = psa::find(tx, id)?.filter(|psa| psa.settings.tickets.enabled) else {
        queue::remove(&mut tx.global(), WorkKind::Tickets, id.as_uuid())?;
        return Ok(Plan::Gone);
    };
    let now = tx.now();
    let pending = pending(reconcile(tx, id)?);
    let first = pending
        .into_iter()
        .min_by(|a, b| (a.next_try_at, &a.key).cmp(&(b.next_try_at, &b.key)));
    let look = now + BETWEEN_LOOKS;
    let is_rejected = connection
        .trouble
        .is_some_and(|trouble| trouble.code == "psaCredentialsRejected");
    // Some PSAs lock a user who is refused again and again: a person, or the sync's one try a day, finds out
    // whether the credentials are good again.
    let first = first.filter(|_| !is_rejected);
    let Some(mut ticket) = first else {
        return Ok(Plan::Rest(look));
    };
    if let Some(next) = ticket.next_try_at
        && next > now
    {
        return Ok(Plan::Rest(next.min(look)));
    }
    let call = next_call(&ticket);
    let was_in_doubt = ticket.in_doubt;
    ticket.attempts = ticket.attempts.saturating_add(1);
    ticket.in_doubt = was_in_doubt || call == Call::Ensure;
    queries::update(tx, id, &ticket)?;
    Ok(Plan::Try(Box::new(Try {
        ticket,
        was_in_doubt,
        call,
        kind: connection.kind,
        settings: Value::Object(connection.settings.tickets.options),
    })))
}

fn pending(tickets: Vec<KeptTicket>) -> Vec<KeptTicket> {
    tickets
        .into_iter()
        .filter(|ticket| ticket.state.is_pending())
        .collect()
}

/// What a pending ticket needs next. One that may be at the PSA without our knowing is looked for before it
/// is closed.
fn next_call(ticket: &KeptTicket) -> Call {
    let has_to_be_found = ticket.in_doubt || ticket.external_id.is_none();
    match (&ticket.note, ticket.state) {
        (_, TicketState::Wanted) => Call::Ensure,
        (_, TicketState::Open | TicketState::Closing | TicketState::Closed) if has_to_be_found => {
            Call::Ensure
        }
        (Some(note), TicketState::Open | TicketState::Closing | TicketState::Closed) => {
            Call::Note(note.clone())
        }
        (None, TicketState::Open | TicketState::Closing | TicketState::Closed) => Call::Close,
    }
}

/// Writes what follows from the present state into the rows, and returns all of them.
fn reconcile(tx: &mut Scoped<'_>, id: PsaConnectionId) -> Result<Vec<KeptTicket>, StoreError> {
    let now = tx.now();
    let wanted = trouble::wanted(tx, id)?;
    let mut tickets = queries::all(tx, id)?;
    for ticket in &mut tickets {
        let changed = match wanted.iter().find(|wanted| wanted.key == ticket.key) {
            Some(wanted) => want(ticket, wanted, now),
            None if matches!(ticket.state, TicketState::Wanted | TicketState::Open) => {
                let note = why_over(tx, id, ticket)?;
                end(ticket, note, now)
            }
            None => false,
        };
        if changed {
            queries::update(tx, id, ticket)?;
        }
    }
    for wanted in &wanted {
        let is_known = tickets.iter().any(|ticket| ticket.key == wanted.key);
        if let (false, Some(ticket)) = (is_known, first_of(wanted, now)) {
            queries::insert(tx, id, &ticket)?;
            tickets.push(ticket);
        }
    }
    Ok(tickets)
}

/// The first ticket for a trouble.
fn first_of(wanted: &WantedTicket, now: DateTime<Utc>) -> Option<KeptTicket> {
    Some(KeptTicket {
        key: wanted.key.clone(),
        tenant: wanted.tenant,
        trouble: wanted.trouble,
        customer: wanted.customers.first()?.clone(),
        state: TicketState::Wanted,
        external_id: None,
        number: None,
        in_doubt: false,
        note: None,
        summary: wanted.summary.clone(),
        description: wanted.description.clone(),
        attempts: 0,
        error: None,
        next_try_at: Some(now),
        changed_at: now,
    })
}

/// The trouble is there. Whether that changes the ticket.
fn want(ticket: &mut KeptTicket, wanted: &WantedTicket, now: DateTime<Utc>) -> bool {
    let Some(first) = wanted.customers.first() else {
        return false;
    };
    let is_theirs = wanted.customers.contains(&ticket.customer);
    match ticket.state {
        TicketState::Open | TicketState::Wanted if is_theirs => false,
        TicketState::Wanted if !ticket.in_doubt => {
            anew(ticket, wanted, now);
            ticket.customer = first.clone();
            true
        }
        // Closed there first; once that is done it is opened here.
        TicketState::Open | TicketState::Wanted => {
            let note = text::note(wanted.trouble, &wanted.tenant_name, Ending::OtherCustomer);
            end(ticket, note, now)
        }
        // The PSA has heard nothing of the end yet.
        TicketState::Closing if is_theirs && ticket.note.is_some() => {
            ticket.note = None;
            let is_open = ticket.external_id.is_some() && !ticket.in_doubt;
            let back = if is_open {
                TicketState::Open
            } else {
                TicketState::Wanted
            };
            ticket.become_state(back, now);
            true
        }
        TicketState::Closing => false,
        TicketState::Closed => {
            anew(ticket, wanted, now);
            if !is_theirs {
                ticket.customer = first.clone();
            }
            true
        }
    }
}

/// Begins a ticket of an earlier trouble, or of another customer, anew.
fn anew(ticket: &mut KeptTicket, wanted: &WantedTicket, now: DateTime<Utc>) {
    if !wanted.customers.contains(&ticket.customer) {
        ticket.external_id = None;
        ticket.number = None;
    }
    ticket.summary.clone_from(&wanted.summary);
    ticket.description.clone_from(&wanted.description);
    ticket.note = None;
    ticket.become_state(TicketState::Wanted, now);
}

/// The trouble is over, or no longer this PSA's. Whether that changes the ticket.
fn end(ticket: &mut KeptTicket, note: String, now: DateTime<Utc>) -> bool {
    match ticket.state {
        // Never asked for: there is nothing to close.
        TicketState::Wanted if !ticket.in_doubt => {
            ticket.become_state(TicketState::Closed, now);
            true
        }
        TicketState::Wanted | TicketState::Open => {
            ticket.note = Some(note);
            ticket.become_state(TicketState::Closing, now);
            true
        }
        TicketState::Closing | TicketState::Closed => false,
    }
}

/// Why a trouble is over, for the PSA's people.
fn why_over(
    tx: &mut Scoped<'_>,
    id: PsaConnectionId,
    ticket: &KeptTicket,
) -> Result<String, StoreError> {
    let Some(tenant) = tenants::find(tx, ticket.tenant)? else {
        let name = ticket.tenant.to_string();
        return Ok(text::note(ticket.trouble, &name, Ending::Revoked));
    };
    let ending = if tenant.status == TenantStatus::Revoked {
        Ending::Revoked
    } else if !tenant.notifications {
        Ending::Muted
    } else {
        match TroubleKind::of(&tenant, tx.now()) {
            None => Ending::Solved,
            Some(_) if !queries::has_active_record(tx, id, tenant.id)? => Ending::NoCustomer,
            Some(_) => Ending::OtherTrouble,
        }
    };
    Ok(text::note(ticket.trouble, &tenant.display_name, ending))
}
