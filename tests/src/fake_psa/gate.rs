//! Stops requests at a known point until a test lets them go on.

use std::sync::Mutex;

use tokio::sync::Notify;

/// Which requests wait, by a part of their path and query.
#[derive(Default)]
pub struct Gate {
    held: Mutex<Vec<String>>,
    opened: Notify,
}

impl Gate {
    /// From now on requests whose decoded path and query contain this wait, unanswered, for `release`.
    /// They are in the log (status 0) while they wait.
    pub fn hold(&self, path_contains: &str) {
        let mut held = self.held.lock().expect("gate");
        held.push(path_contains.to_owned());
    }

    /// Lets all waiting requests go on and holds no more.
    pub fn release(&self) {
        self.held.lock().expect("gate").clear();
        self.opened.notify_waiters();
    }

    /// Waits while this request is held.
    pub async fn pass(&self, path_and_query: &str) {
        loop {
            let opened = self.opened.notified();
            tokio::pin!(opened);
            opened.as_mut().enable();
            if !self.holds(path_and_query) {
                return;
            }
            opened.await;
        }
    }

    fn holds(&self, path_and_query: &str) -> bool {
        let held = self.held.lock().expect("gate");
        held.iter().any(|part| path_and_query.contains(part))
    }
}
