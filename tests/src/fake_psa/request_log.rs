//! The log of every request a stand-in received, and how tests wait for one.

use std::{
    collections::VecDeque,
    sync::Mutex,
    time::{Duration, Instant},
};

use actix_web::web::Bytes;
use tokio::sync::Notify;

/// How long a test waits for a request before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// One request as it was received.
#[derive(Clone, Debug)]
pub struct LoggedRequest {
    pub method: String,
    /// As it was sent.
    pub path_and_query: String,
    /// The same with its percent escapes resolved.
    pub decoded: String,
    pub body: Bytes,
    /// 0 while it is not answered.
    pub status: u16,
    pub at: Instant,
    pub answered_at: Option<Instant>,
}

/// All of them, in order.
#[derive(Default)]
pub struct RequestLog {
    log: Mutex<Vec<LoggedRequest>>,
    activity: Notify,
}

impl RequestLog {
    /// Logs a request on arrival, with status 0. The number is for `answered`.
    pub fn arrived(&self, request: LoggedRequest) -> usize {
        let mut log = self.log.lock().expect("log");
        log.push(request);
        let number = log.len() - 1;
        drop(log);
        self.activity.notify_waiters();
        number
    }

    /// Notes the status a logged request was answered with.
    pub fn answered(&self, number: usize, status: u16) {
        // A test may have cleared the log meanwhile.
        if let Some(entry) = self.log.lock().expect("log").get_mut(number) {
            entry.status = status;
            entry.answered_at = Some(Instant::now());
        }
        self.activity.notify_waiters();
    }

    /// A copy of the log.
    pub fn all(&self) -> Vec<LoggedRequest> {
        self.log.lock().expect("log").clone()
    }

    /// Forgets all.
    pub fn clear(&self) {
        self.log.lock().expect("log").clear();
    }

    /// How many requests of this kind came.
    pub fn count(&self, predicate: impl Fn(&LoggedRequest) -> bool) -> usize {
        let log = self.log.lock().expect("log");
        log.iter().filter(|entry| predicate(entry)).count()
    }

    /// The most that came within any span of this length.
    pub fn most_in_span(&self, span: Duration) -> usize {
        let log = self.log.lock().expect("log");
        let mut within: VecDeque<Instant> = VecDeque::new();
        let mut most = 0;
        for request in log.iter() {
            within.push_back(request.at);
            while let Some(first) = within.front()
                && request.at.duration_since(*first) >= span
            {
                within.pop_front();
            }
            most = most.max(within.len());
        }
        most
    }

    /// The most requests of this kind that were under way at the same time. One that is never answered
    /// stays under way.
    pub fn most_at_once(&self, predicate: impl Fn(&LoggedRequest) -> bool) -> usize {
        let log = self.log.lock().expect("log");
        let wanted: Vec<&LoggedRequest> = log.iter().filter(|entry| predicate(entry)).collect();
        let at_arrival = wanted.iter().map(|newest| {
            let under_way = wanted.iter().filter(|other| {
                other.at <= newest.at && other.answered_at.is_none_or(|end| end > newest.at)
            });
            under_way.count()
        });
        at_arrival.max().unwrap_or(0)
    }

    /// Waits for a request (also one that already came) that the predicate accepts. Panics after a
    /// minute.
    pub async fn wait_for(&self, predicate: impl Fn(&LoggedRequest) -> bool) -> LoggedRequest {
        let found = async {
            loop {
                let activity = self.activity.notified();
                tokio::pin!(activity);
                activity.as_mut().enable();
                if let Some(entry) = self.find(&predicate) {
                    return entry;
                }
                activity.await;
            }
        };
        match tokio::time::timeout(PATIENCE, found).await {
            Ok(entry) => entry,
            Err(_) => panic!("no such request came; the log is {:#?}", self.all()),
        }
    }

    fn find(&self, predicate: impl Fn(&LoggedRequest) -> bool) -> Option<LoggedRequest> {
        let log = self.log.lock().expect("log");
        log.iter().find(|entry| predicate(entry)).cloned()
    }
}
