//! A running stand-in as tests hold it: what it knows, and what happens there.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use serde_json::Value;

use super::{
    callouts::{Courier, Delivery},
    desk::{Desk, Psa},
    faults::{Effect, FaultRule},
    limits::Limit,
    request_log::LoggedRequest,
    server::{self, Running},
    world::{Action, Change, Company, Contact, State, Ticket, World},
};

/// The running stand-in. It stops when it is dropped.
pub struct Fake<P: Psa> {
    pub(super) inner: Arc<P>,
    _running: Running,
}

impl<P: Psa> Fake<P> {
    pub(super) fn run(inner: Arc<P>, listeners: Vec<TcpListener>, courier: Courier) -> Self {
        let running = server::run(&inner, listeners, courier);
        Self {
            inner,
            _running: running,
        }
    }

    /// What stands behind it: log, faults, gate, clock.
    pub fn desk(&self) -> &Desk {
        self.inner.desk()
    }

    /// The word for it in the API.
    pub fn kind(&self) -> &'static str {
        P::KIND
    }

    /// The base URL for a connection.
    pub fn base_url(&self) -> String {
        self.inner.desk().origin.clone()
    }

    /// Credentials as a connection takes them.
    pub fn credentials(&self) -> Value {
        self.inner.credentials()
    }

    /// All that only it and its client may know at this moment.
    pub fn secrets(&self) -> Vec<String> {
        self.inner.secrets()
    }

    /// Every request it received.
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.inner.desk().log.all()
    }

    /// Scripts a fault.
    pub fn script(&self, rule: FaultRule) {
        self.inner.desk().faults.script(rule);
    }

    /// Another limit of requests, or none.
    pub fn limit(&self, limit: Option<Limit>) {
        self.inner
            .desk()
            .limiter
            .lock()
            .expect("limiter")
            .set(limit);
    }

    /// From now on each answer comes this much later.
    pub fn delay(&self, delay: Duration) {
        let millis = u64::try_from(delay.as_millis()).expect("a short time");
        self.inner.desk().delay_ms.store(millis, Ordering::Relaxed);
    }

    /// Webhooks that were called to their end.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.inner.desk().callouts.deliveries()
    }

    /// A look at all it knows.
    pub fn look<T>(&self, at: impl FnOnce(&World) -> T) -> T {
        at(&self.inner.world().lock().expect("world"))
    }

    /// Ids and names of all companies that are active now.
    pub fn truth(&self) -> BTreeMap<String, String> {
        self.look(World::truth)
    }

    /// All tickets, oldest first.
    pub fn tickets(&self) -> Vec<Ticket> {
        self.look(|world| world.tickets.values().cloned().collect())
    }

    /// Ids of active companies, in their order.
    pub fn active_ids(&self) -> Vec<i64> {
        self.look(|world| {
            let active = world.companies.values();
            let active = active.filter(|one| one.id != 0 && one.state.is_active());
            active.map(|company| company.id).collect()
        })
    }

    /// Changes a company as a technician of the MSP would; webhooks are called.
    pub fn change(&self, id: i64, how: impl FnOnce(&mut Company)) {
        change(self.inner.as_ref(), id, how);
    }

    /// Gives a company another name.
    pub fn rename(&self, id: i64, name: &str) {
        self.change(id, |company| company.name = Some(name.to_owned()));
    }

    /// Makes a company inactive.
    pub fn deactivate(&self, id: i64) {
        self.change(id, |company| company.state = State::Inactive);
    }

    /// Makes it active again.
    pub fn activate(&self, id: i64) {
        self.change(id, |company| company.state = State::Active);
    }

    /// Deletes a company: ConnectWise keeps it with a mark, from the others it is gone.
    pub fn delete(&self, id: i64) {
        delete(self.inner.as_ref(), id);
    }

    /// Takes a company away without a trace and without a word.
    pub fn vanish(&self, id: i64) {
        self.inner.effect(&Effect::Vanish(vec![id]));
    }

    /// Merges one company into another: the first is deleted then.
    pub fn merge(&self, from: i64, into: i64) {
        let mut world = self.inner.world().lock().expect("world");
        world.hand_over(from, into);
        drop(world);
        self.delete(from);
        self.change(into, |_| {});
    }

    /// Adds a company; its id.
    pub fn add_company(&self, name: &str) -> i64 {
        add(self.inner.as_ref(), name)
    }

    /// Adds a contact to a company; its id.
    pub fn add_contact(&self, company: i64, first: &str, mail: &str) -> i64 {
        let now = self.inner.desk().now();
        let mut world = self.inner.world().lock().expect("world");
        world.add_contact(company, first, mail, now)
    }

    /// Changes a contact.
    pub fn change_contact(&self, id: i64, how: impl FnOnce(&mut Contact)) {
        let now = self.inner.desk().now();
        let mut world = self.inner.world().lock().expect("world");
        let contact = world.contacts.get_mut(&id).expect("a contact with this id");
        how(contact);
        contact.updated = now;
    }

    /// Closes a ticket as somebody at the MSP would.
    pub fn close_ticket(&self, id: i64) {
        let now = self.inner.desk().now();
        let mut world = self.inner.world().lock().expect("world");
        let ticket = world.tickets.get_mut(&id).expect("a ticket with this id");
        ticket.status = P::closed_status(ticket.board);
        ticket.closed = true;
        ticket.updated = now;
    }

    /// Replaces keys or secrets.
    pub fn rotate_secrets(&self) {
        self.inner.effect(&Effect::RotateSecrets);
    }

    /// Takes a right away; which there are stands in the `RIGHTS` of each PSA.
    pub fn remove_right(&self, right: &str) {
        self.inner.effect(&Effect::RemoveRight(right.to_owned()));
    }

    /// Gives it back.
    pub fn give_right(&self, right: &str) {
        assert!(P::RIGHTS.contains(&right), "no such right: {right}");
        let mut rights = self.inner.rights().lock().expect("rights");
        rights.insert(right.to_owned());
    }

    /// What a client did that it must never do.
    pub fn violations(&self) -> Vec<String> {
        self.inner.desk().violations()
    }
}

/// Makes something happen.
pub(super) fn effect<P: Psa + ?Sized>(psa: &P, effect: &Effect) {
    match effect {
        Effect::Vanish(ids) => {
            let mut world = psa.world().lock().expect("world");
            for id in ids {
                world.remove(*id);
            }
        }
        Effect::Deactivate(ids) => {
            for id in ids {
                change(psa, *id, |company| company.state = State::Inactive);
            }
        }
        Effect::Add(name) => {
            add(psa, name);
        }
        Effect::RemoveRight(right) => {
            let removed = psa.rights().lock().expect("rights").remove(right);
            assert!(removed, "no such right: {right}");
        }
        Effect::RotateSecrets => psa.rotate_secrets(),
        Effect::Move => psa.relocate(),
    }
}

fn change<P: Psa + ?Sized>(psa: &P, id: i64, how: impl FnOnce(&mut Company)) {
    let now = psa.desk().now();
    let change = psa.world().lock().expect("world").change(id, now, how);
    psa.announce(&change.expect("a company with this id"));
}

fn delete<P: Psa + ?Sized>(psa: &P, id: i64) {
    let now = psa.desk().now();
    let mut world = psa.world().lock().expect("world");
    let change = if psa.keeps_deleted() {
        world.change(id, now, |company| company.state = State::Deleted)
    } else {
        world.remove(id)
    };
    drop(world);
    psa.announce(&Change {
        action: Action::Deleted,
        ..change.expect("a company with this id")
    });
}

fn add<P: Psa + ?Sized>(psa: &P, name: &str) -> i64 {
    let now = psa.desk().now();
    let change = psa.world().lock().expect("world").add_company(name, now);
    psa.announce(&change);
    change.company.id
}
