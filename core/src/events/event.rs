//! What an event is.

use serde_json::Value;

use crate::ids::{CustomerId, TenantId};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A tenant was proven, for the first time or again.
    TenantConnected,
    /// Microsoft refuses a tenant's connection until an administrator has acted.
    TenantReauthorizationRequired,
    /// A tenant's connection does not work, and not because of this installation or for a moment.
    TenantConnectionLost,
    /// The connection works again without a new consent.
    TenantAccessRestored,
    /// The organisation disconnected a tenant.
    TenantRevoked,
    /// A tenant that should be read was not for a day.
    TenantSyncFailing,
    /// A run of such a tenant completed.
    TenantSyncRestored,
}

impl EventKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::TenantConnected,
        Self::TenantReauthorizationRequired,
        Self::TenantConnectionLost,
        Self::TenantAccessRestored,
        Self::TenantRevoked,
        Self::TenantSyncFailing,
        Self::TenantSyncRestored,
    ];

    /// The word for it, `noun.verbPast`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TenantConnected => "tenant.connected",
            Self::TenantReauthorizationRequired => "tenant.reauthorizationRequired",
            Self::TenantConnectionLost => "tenant.connectionLost",
            Self::TenantAccessRestored => "tenant.accessRestored",
            Self::TenantRevoked => "tenant.revoked",
            Self::TenantSyncFailing => "tenant.syncFailing",
            Self::TenantSyncRestored => "tenant.syncRestored",
        }
    }
}

/// An event as it is recorded. Its id and time come from the transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// What happened.
    pub kind: EventKind,
    /// The tenant it is about.
    pub tenant: Option<TenantId>,
    /// The customer it is about.
    pub customer: Option<CustomerId>,
    /// Ids and codes that belong to it. No names, no sentences: whoever is told may look.
    pub document: Value,
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::EventKind;

    #[test]
    fn every_kind_is_a_noun_and_a_word_of_its_own() {
        let words: HashSet<_> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(words.len(), EventKind::ALL.len());
        assert!(words.iter().all(|word| word.starts_with("tenant.")));
    }

    #[test]
    fn every_kind_stands_in_the_documentation() {
        let page = include_str!("../../../docs/reference/events.md");
        for kind in EventKind::ALL {
            let word = format!("| `{}` |", kind.as_str());
            assert!(page.contains(&word), "{word}");
        }
    }
}
