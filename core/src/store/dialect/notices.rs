//! Hears what other processes commit: on PostgreSQL, one connection of this process listens.
//!
//! A notice says that something is there to be read, never what: whoever may log in to the database
//! can listen too. SQLite serves one process and needs none of it.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use diesel::{
    PgConnection, RunQueryDsl as _, connection::SimpleConnection as _, sql_query, sql_types::Text,
};
use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
};
use uuid::Uuid;

use crate::{
    ids::OrgId,
    secrets::SecretText,
    store::{Conn, DatabaseLocation, Global, Scoped, Store, StoreError, pool},
};

/// Statuses of the organisation in the payload changed.
const STATUSES: &str = "tenantry_statuses";
/// Work is due at once.
const WORK: &str = "tenantry_work";
/// A process listens to what it sent itself.
const ECHO: &str = "tenantry_echo";

/// How often the connection's socket is read. libpq has no way to wait for a notice.
const POLL: Duration = Duration::from_millis(10);
/// How often the server is asked whether it is still there: a connection that died silently brings
/// nothing, and looks like one that has nothing to bring.
const PROBE: Duration = Duration::from_secs(1);
/// Without a sign of life for so long nothing counts as heard any more.
const SILENCE: Duration = Duration::from_secs(3);
/// How long a notice may take from one connection of this process to the other.
const ECHO_PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait after the first failure to listen; doubled with each one.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest such wait.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What was heard and not read yet. Cheap to clone.
#[derive(Clone, Default)]
pub struct Notices(Arc<Shared>);

#[derive(Default)]
struct Shared {
    heard: Mutex<Heard>,
    statuses: Notify,
    work: Notify,
}

#[derive(Default)]
struct Heard {
    organizations: BTreeSet<OrgId>,
    /// Something may have been missed.
    everything: bool,
    /// The last sign of life of the connection that listens.
    alive: Option<Instant>,
}

/// Whose statuses changed.
#[derive(Debug, PartialEq, Eq)]
pub enum ChangedStatuses {
    /// Those of these organisations.
    Of(Vec<OrgId>),
    /// Perhaps anybody's: listening has just begun.
    Perhaps,
}

impl Notices {
    /// Whether other processes are heard. If not, the database has to be looked at.
    pub fn is_listening(&self) -> bool {
        let alive = self.heard().alive;
        alive.is_some_and(|alive| alive.elapsed() < SILENCE)
    }

    /// Waits until statuses changed. For one reader.
    pub async fn statuses(&self) -> ChangedStatuses {
        loop {
            let heard = self.0.statuses.notified();
            {
                let mut now = self.heard();
                let organizations = std::mem::take(&mut now.organizations);
                if std::mem::take(&mut now.everything) {
                    return ChangedStatuses::Perhaps;
                }
                if !organizations.is_empty() {
                    return ChangedStatuses::Of(organizations.into_iter().collect());
                }
            }
            heard.await;
        }
    }

    /// Waits until there may be work. For one reader.
    pub async fn work(&self) {
        self.0.work.notified().await;
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, channel: &str, payload: &str) {
        match channel {
            WORK => self.0.work.notify_one(),
            STATUSES => {
                // Anybody may send a notice: what is not an id is not ours.
                if let Ok(org) = Uuid::parse_str(payload) {
                    self.heard().organizations.insert(OrgId::from_uuid(org));
                    self.0.statuses.notify_one();
                }
            }
            _echo => {}
        }
    }

    /// From now on everything is heard; what came before has to be looked for.
    fn begin(&self) {
        {
            let mut heard = self.heard();
            heard.everything = true;
            heard.alive = Some(Instant::now());
        }
        self.0.statuses.notify_one();
        self.0.work.notify_one();
    }

    fn is_alive(&self, alive: bool) {
        self.heard().alive = alive.then(Instant::now);
    }
}

/// Tells the other processes that statuses of this organisation changed, when the transaction commits.
/// PostgreSQL sends one notice of several equal ones. Committing transactions that notify take turns in
/// the whole server, so only those that changed a status do.
pub(in crate::store) fn tell_statuses(tx: &mut Scoped<'_>) -> Result<(), StoreError> {
    let org = tx.org().to_string();
    match &mut tx.conn {
        Conn::Sqlite(_) => Ok(()),
        Conn::Postgres(conn) => tell(conn, STATUSES, &org),
    }
}

/// Tells the workers of all processes that work is due at once, when the transaction commits.
pub(super) fn tell_work(conn: &mut PgConnection) -> Result<(), StoreError> {
    tell(conn, WORK, "")
}

fn tell(conn: &mut PgConnection, channel: &str, payload: &str) -> Result<(), StoreError> {
    sql_query("SELECT pg_notify($1, $2)")
        .bind::<Text, _>(channel)
        .bind::<Text, _>(payload)
        .execute(conn)?;
    Ok(())
}

/// Why nothing is heard.
#[derive(Debug, thiserror::Error)]
enum DeafError {
    /// The connection failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Notices are taken and do not arrive.
    #[error("notices of other connections do not arrive, as behind a pooler in transaction mode")]
    NoEcho,
}

impl From<diesel::result::Error> for DeafError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Listens until `stop` turns true, and again after each failure. Without PostgreSQL it only waits.
pub(in crate::store) async fn listen(store: Store, mut stop: watch::Receiver<bool>) {
    if let DatabaseLocation::Postgres { url, admin_url, .. } = &store.inner.location {
        let ear = Ear {
            url: Arc::clone(url),
            assume_app_role: admin_url.is_none(),
            runtime: Handle::current(),
            stop: stop.clone(),
            store: store.clone(),
        };
        // Left alone at the end: it may hang in a connection attempt.
        let _listening = tokio::task::spawn_blocking(move || ear.listen());
    }
    drop(stop.wait_for(|stop| *stop).await);
}

/// The one that listens, on a thread of its own.
struct Ear {
    store: Store,
    url: Arc<SecretText>,
    assume_app_role: bool,
    runtime: Handle,
    stop: watch::Receiver<bool>,
}

impl Ear {
    fn listen(&self) {
        let notices = self.store.notices();
        let mut wait = FIRST_WAIT;
        let mut said = false;
        while !self.is_over() {
            let outcome = self.listen_once(&mut wait, &mut said);
            notices.is_alive(false);
            if let Err(error) = outcome
                && !self.is_over()
            {
                // Said once, not at each attempt.
                if !std::mem::replace(&mut said, true) {
                    tracing::warn!(%error, "other processes are not heard; the database is looked at once a second instead");
                }
                self.sleep(wait);
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        }
    }

    fn listen_once(&self, wait: &mut Duration, said: &mut bool) -> Result<(), DeafError> {
        let notices = self.store.notices();
        let mut conn = pool::connect_postgres(self.url.expose())?;
        pool::set_up_postgres(&mut conn, self.assume_app_role)?;
        conn.batch_execute(&format!("SET application_name = 'tenantry listening'; LISTEN {STATUSES}; LISTEN {WORK}; LISTEN {ECHO}"
        ))?;
        self.hear_own_echo(&mut conn)?;
        notices.begin();
        tracing::info!("listening to other processes");
        (*wait, *said) = (FIRST_WAIT, false);
        let mut probed = Instant::now();
        while !self.is_over() {
            for notice in conn.notifications_iter() {
                let notice = notice?;
                notices.take(&notice.channel, &notice.payload);
            }
            if probed.elapsed() >= PROBE {
                conn.batch_execute("SELECT 1")?;
                notices.is_alive(true);
                probed = Instant::now();
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// LISTEN succeeds behind a pooler that hands connections on after each transaction, and then
    /// nothing ever arrives. So one notice is sent through another connection.
    fn hear_own_echo(&self, conn: &mut PgConnection) -> Result<(), DeafError> {
        let token = Uuid::now_v7().to_string();
        let sent = token.clone();
        self.runtime.block_on(self.store.global(
            move |tx: &mut Global<'_>| match &mut tx.conn {
                Conn::Postgres(conn) => tell(conn, ECHO, &sent),
                Conn::Sqlite(_) => Ok(()),
            },
        ))?;
        let begun = Instant::now();
        while begun.elapsed() < ECHO_PATIENCE && !self.is_over() {
            for notice in conn.notifications_iter() {
                if notice?.payload == token {
                    return Ok(());
                }
            }
            std::thread::sleep(POLL);
        }
        Err(DeafError::NoEcho)
    }

    /// Asked to end, or nobody is left to ask.
    fn is_over(&self) -> bool {
        *self.stop.borrow() || self.stop.has_changed().is_err()
    }

    fn sleep(&self, time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time && !self.is_over() {
            std::thread::sleep(POLL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn org(number: u128) -> OrgId {
        OrgId::from_uuid(Uuid::from_u128(number))
    }

    #[tokio::test]
    async fn notices_are_kept_until_they_are_read_and_each_organization_once() {
        let notices = Notices::default();
        for number in [2, 1, 2] {
            notices.take(STATUSES, &org(number).to_string());
        }
        assert_eq!(
            notices.statuses().await,
            ChangedStatuses::Of(vec![org(1), org(2)])
        );
        notices.take(STATUSES, &org(3).to_string());
        notices.begin();
        assert_eq!(notices.statuses().await, ChangedStatuses::Perhaps);
        notices.work().await;
    }

    #[tokio::test]
    async fn a_notice_of_somebody_else_means_nothing() {
        let notices = Notices::default();
        notices.take(STATUSES, "'; DROP TABLE tenants");
        notices.take("tenantry_other", &org(1).to_string());
        notices.take(STATUSES, &org(2).to_string());
        assert_eq!(notices.statuses().await, ChangedStatuses::Of(vec![org(2)]));
    }

    #[test]
    fn without_a_sign_of_life_nothing_counts_as_heard() {
        let notices = Notices::default();
        assert!(!notices.is_listening());
        notices.begin();
        assert!(notices.is_listening());
        notices.is_alive(false);
        assert!(!notices.is_listening());
    }
}
