//! The events of one tenant.

use std::sync::Arc;

use tenantry_core::store::StatusSnapshot;
use tokio::sync::watch;

use super::Source;

/// One event: its id, and one line of JSON.
pub struct StatusEvent {
    /// Changes whenever the data do.
    pub id: String,
    /// The document.
    pub data: String,
}

/// The status of one tenant.
pub struct OneTenant<F> {
    receiver: watch::Receiver<Arc<StatusSnapshot>>,
    event_of: F,
    sent: Option<String>,
}

impl<F: Fn(Arc<StatusSnapshot>) -> StatusEvent> OneTenant<F> {
    /// Of these snapshots; `event_of` tells what one says at this moment.
    pub fn new(receiver: watch::Receiver<Arc<StatusSnapshot>>, event_of: F) -> Self {
        Self {
            receiver,
            event_of,
            sent: None,
        }
    }
}

impl<F: Fn(Arc<StatusSnapshot>) -> StatusEvent> Source for OneTenant<F> {
    async fn changed(&mut self) -> bool {
        self.receiver.changed().await.is_ok()
    }

    /// The present document, unless it was sent last.
    fn news(&mut self) -> Option<String> {
        let snapshot = Arc::clone(&self.receiver.borrow_and_update());
        let event = (self.event_of)(snapshot);
        if self.sent.as_ref() == Some(&event.id) {
            return None;
        }
        let text = format!("event: status\nid: {}\ndata: {}\n\n", event.id, event.data);
        self.sent = Some(event.id);
        Some(text)
    }
}
