//! Server-sent events of statuses: the present ones at once, then each change, the newest only.

mod all_tenants;
mod one_tenant;

use std::{future::Future, time::Duration};

use actix_web::{
    HttpResponse,
    http::header::{self, HeaderName},
    web::Bytes,
};
use futures_util::stream;
use prometheus::IntGauge;
use tenantry_core::access::keys::AuthenticationError;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

pub use self::{
    all_tenants::{AllTenants, EventId},
    one_tenant::{OneTenant, StatusEvent},
};
use crate::{auth::KeyCache, drain::Drain};

/// A stream ends after this time; clients come back.
const LONGEST: Duration = Duration::from_secs(600);
/// A comment keeps proxies from closing a silent stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// So often the key is looked at, and whether data have become stale.
const CHECK: Duration = Duration::from_millis(500);

/// Where the events of a stream come from.
pub trait Source {
    /// Returns when there may be news, at once while there are more: whether any can come at all.
    fn changed(&mut self) -> impl Future<Output = bool>;

    /// The next event as it is sent, if there is one now.
    fn news(&mut self) -> Option<String>;
}

/// What a stream needs.
pub struct EventStream<S> {
    /// Its events.
    pub source: S,
    /// The key of the caller, which may be revoked meanwhile.
    pub key: WatchedKey,
    /// Ends the stream when the process does.
    pub drain: Drain,
    /// Counts open streams.
    pub open: IntGauge,
}

/// A key that is looked at again and again.
pub struct WatchedKey {
    /// Who recognises it.
    pub cache: KeyCache,
    /// Its text.
    pub text: String,
}

impl WatchedKey {
    /// Whether the key was refused. When nobody can tell, the stream goes on: it shows nothing new
    /// while the database is away.
    async fn is_refused(&self) -> bool {
        match self.cache.recognise(&self.text).await {
            Ok(_key) => false,
            Err(AuthenticationError::Refused) => true,
            Err(AuthenticationError::Store(_)) => false,
        }
    }
}

/// The answer that stays open.
pub fn answer<S: Source + 'static>(stream: EventStream<S>) -> HttpResponse {
    let state = Streaming::begin(stream);
    let body = stream::unfold(state, |mut state| async move {
        let bytes = state.next().await?;
        Some((Ok::<_, actix_web::Error>(bytes), state))
    });
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((HeaderName::from_static("x-accel-buffering"), "no"))
        .streaming(body)
}

struct Streaming<S> {
    stream: EventStream<S>,
    keep_alive: Interval,
    check: Interval,
    end: Instant,
    state: State,
}

enum State {
    New,
    Open,
    Ended,
}

/// What woke a stream up.
enum Woken {
    Ending,
    KeepAlive,
    Check,
    Changed(bool),
}

impl<S: Source> Streaming<S> {
    fn begin(stream: EventStream<S>) -> Self {
        stream.open.inc();
        let every = |period| {
            let mut interval = interval(period);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval.reset();
            interval
        };
        Self {
            stream,
            keep_alive: every(KEEP_ALIVE),
            check: every(CHECK),
            end: Instant::now() + LONGEST,
            state: State::New,
        }
    }

    /// What to send next; `None` after the end.
    async fn next(&mut self) -> Option<Bytes> {
        match self.state {
            State::Ended => return None,
            State::New => {
                self.state = State::Open;
                let first = self.stream.source.news().unwrap_or_default();
                return Some(Bytes::from(format!("retry: 2000\n\n{first}")));
            }
            State::Open => {}
        }
        loop {
            let woken = self.woken().await;
            match woken {
                Woken::Ending => return Some(self.last()),
                Woken::KeepAlive => return Some(Bytes::from_static(b":\n\n")),
                Woken::Check if self.stream.key.is_refused().await => return Some(self.last()),
                Woken::Changed(false) => return Some(self.last()),
                Woken::Check | Woken::Changed(true) => {
                    if let Some(event) = self.stream.source.news() {
                        return Some(Bytes::from(event));
                    }
                }
            }
        }
    }

    async fn woken(&mut self) -> Woken {
        tokio::select! {
            biased;
            () = self.stream.drain.begun() => Woken::Ending,
            () = sleep_until(self.end) => Woken::Ending,
            _ = self.check.tick() => Woken::Check,
            any = self.stream.source.changed() => Woken::Changed(any),
            _ = self.keep_alive.tick() => Woken::KeepAlive,
        }
    }

    fn last(&mut self) -> Bytes {
        self.state = State::Ended;
        Bytes::from_static(b": end of stream\n\n")
    }
}

impl<S> Drop for Streaming<S> {
    fn drop(&mut self) {
        self.stream.open.dec();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use prometheus::IntGauge;
    use tenantry_core::{
        access::{Role, keys::KeyService},
        clock::Clock,
        ids::TenantId,
        organizations::OrganizationService,
        secrets::{MasterKey, SecretText},
        store::{DatabaseLocation, StatusSnapshot, Store},
    };
    use tokio::sync::watch;
    use uuid::Uuid;

    use super::*;

    fn snapshot(version: i64) -> Arc<StatusSnapshot> {
        Arc::new(StatusSnapshot {
            tenant: TenantId::from_uuid(Uuid::nil()),
            version,
            sequence: version,
            document: format!("{{\"v\":{version}}}").into(),
            last_completed_at: None,
            active: true,
        })
    }

    fn event_of(snapshot: Arc<StatusSnapshot>) -> StatusEvent {
        StatusEvent {
            id: snapshot.version.to_string(),
            data: snapshot.document.to_string(),
        }
    }

    struct World {
        _folder: tempfile::TempDir,
        keys: KeyService,
        key: (tenantry_core::ids::ApiKeyId, String),
        sender: watch::Sender<Arc<StatusSnapshot>>,
        drain: Drain,
        open: IntGauge,
    }

    impl World {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let location = DatabaseLocation::Sqlite(folder.path().join("t.db"));
            let store = Store::open(location, Clock::system(), true).unwrap();
            let key = SecretText::new("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=".to_owned());
            let master = Arc::new(MasterKey::from_base64(&key).unwrap());
            tenantry_core::installation::ensure(&store, &master)
                .await
                .unwrap();
            let org = OrganizationService::new(store.clone(), Arc::clone(&master))
                .create("MSP")
                .await
                .unwrap()
                .id;
            let keys = KeyService::new(store, master);
            let key = keys.create(org, Role::Reader).await.unwrap();
            Self {
                _folder: folder,
                key: (key.id, key.text.expose().to_owned()),
                keys,
                sender: watch::Sender::new(snapshot(1)),
                drain: Drain::default(),
                open: IntGauge::new("open", "open").unwrap(),
            }
        }

        fn stream(&self) -> Streaming<impl Source> {
            self.streaming(OneTenant::new(self.sender.subscribe(), event_of))
        }

        fn streaming<S: Source>(&self, source: S) -> Streaming<S> {
            Streaming::begin(EventStream {
                source,
                key: WatchedKey {
                    cache: KeyCache::new(self.keys.clone(), Clock::system()),
                    text: self.key.1.clone(),
                },
                drain: self.drain.clone(),
                open: self.open.clone(),
            })
        }
    }

    #[actix_web::test]
    async fn the_present_document_comes_at_once_and_then_only_the_newest() {
        let world = World::new().await;
        let mut stream = world.stream();
        let first = stream.next().await.unwrap();
        assert_eq!(
            first,
            "retry: 2000\n\nevent: status\nid: 1\ndata: {\"v\":1}\n\n"
        );
        world.sender.send_replace(snapshot(2));
        world.sender.send_replace(snapshot(3));
        assert_eq!(
            stream.next().await.unwrap(),
            "event: status\nid: 3\ndata: {\"v\":3}\n\n"
        );
        assert_eq!(world.open.get(), 1);
        drop(stream);
        assert_eq!(world.open.get(), 0);
    }

    #[actix_web::test]
    async fn a_stream_ends_with_the_process() {
        let world = World::new().await;
        let mut stream = world.stream();
        stream.next().await.unwrap();
        world.drain.begin();
        assert_eq!(stream.next().await.unwrap(), ": end of stream\n\n");
        assert!(stream.next().await.is_none());
    }

    #[actix_web::test]
    async fn a_stream_ends_within_a_second_when_its_key_is_revoked() {
        let world = World::new().await;
        let mut stream = world.stream();
        stream.next().await.unwrap();
        world.keys.revoke(world.key.0).await.unwrap();
        let revoked = Instant::now();
        assert_eq!(stream.next().await.unwrap(), ": end of stream\n\n");
        assert!(
            revoked.elapsed() < Duration::from_secs(1),
            "{:?}",
            revoked.elapsed()
        );
        assert!(stream.next().await.is_none());
    }
    /// A reader that is never done.
    struct Endless;

    impl Source for Endless {
        async fn changed(&mut self) -> bool {
            true
        }

        fn news(&mut self) -> Option<String> {
            Some("data: again\n\n".to_owned())
        }
    }

    #[actix_web::test]
    async fn a_stream_that_is_never_silent_ends_when_its_key_is_revoked() {
        let world = World::new().await;
        let mut stream = world.streaming(Endless);
        stream.next().await.unwrap();
        world.keys.revoke(world.key.0).await.unwrap();
        let revoked = Instant::now();
        while stream.next().await.unwrap() != ": end of stream\n\n" {
            assert!(revoked.elapsed() < Duration::from_secs(2));
            tokio::task::yield_now().await;
        }
        assert!(stream.next().await.is_none());
    }
}
