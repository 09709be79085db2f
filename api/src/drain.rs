//! Whether the process is ending: then it is not ready, and long answers end.

use tokio::sync::watch;

/// Says and hears that the process is ending. Cheap to clone.
#[derive(Clone)]
pub struct Drain {
    ending: watch::Sender<bool>,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            ending: watch::Sender::new(false),
        }
    }
}

impl Drain {
    /// The process ends now.
    pub fn begin(&self) {
        self.ending.send_replace(true);
    }

    /// Whether it does.
    pub fn has_begun(&self) -> bool {
        *self.ending.borrow()
    }

    /// Returns when it does.
    pub async fn begun(&self) {
        let mut ending = self.ending.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _sender_is_here = ending.wait_for(|ending| *ending).await;
    }
}
