//! The log of every request the servers received, and how tests wait for one.

use std::time::Duration;

use super::state::{Cloud, LoggedRequest};

/// How long a test waits for a request before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

impl Cloud {
    /// Logs a request on arrival, with status 0. The number is for `log_answer`.
    pub fn log_arrival(&self, request: LoggedRequest) -> usize {
        let mut log = self.log.lock().expect("log");
        log.push(request);
        let number = log.len() - 1;
        drop(log);
        self.activity.notify_waiters();
        number
    }

    /// Notes the status a logged request was answered with.
    pub fn log_answer(&self, number: usize, status: u16) {
        self.amend_log(number, |entry| entry.status = status);
    }

    /// Adds what only became known while the request was handled.
    pub fn amend_log(&self, number: usize, change: impl FnOnce(&mut LoggedRequest)) {
        // A test may have cleared the log meanwhile.
        if let Some(entry) = self.log.lock().expect("log").get_mut(number) {
            change(entry);
        }
        self.activity.notify_waiters();
    }

    /// A copy of the log.
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.log.lock().expect("log").clone()
    }

    /// Waits for a request (also one that already came) that the predicate accepts. A request that
    /// is not answered yet has status 0. Panics after a minute.
    pub async fn wait_for_request(
        &self,
        predicate: impl Fn(&LoggedRequest) -> bool,
    ) -> LoggedRequest {
        let found = async {
            loop {
                let activity = self.activity.notified();
                tokio::pin!(activity);
                activity.as_mut().enable();
                if let Some(entry) = self.find_request(&predicate) {
                    return entry;
                }
                activity.await;
            }
        };
        match tokio::time::timeout(PATIENCE, found).await {
            Ok(entry) => entry,
            Err(_) => panic!("no such request came; the log is {:#?}", self.requests()),
        }
    }

    fn find_request(&self, predicate: impl Fn(&LoggedRequest) -> bool) -> Option<LoggedRequest> {
        let log = self.log.lock().expect("log");
        log.iter().find(|entry| predicate(entry)).cloned()
    }
}
