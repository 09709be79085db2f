//! The collections of the inventory.

use aws_lc_rs::digest;
use uuid::Uuid;

/// A collection. Its number is stored and never changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    /// The tenant's own description: one object.
    Organization,
    /// Users, guests included.
    User,
    /// Groups.
    Group,
    /// Subscribed SKUs.
    License,
    /// Secure Scores, one a day.
    SecureScore,
    /// Devices managed by Intune.
    Device,
    /// Exchange Online mailboxes.
    Mailbox,
}

impl ObjectKind {
    /// The number in the database.
    pub const fn number(self) -> i32 {
        match self {
            Self::Organization => 1,
            Self::User => 2,
            Self::Group => 3,
            Self::License => 4,
            Self::SecureScore => 5,
            Self::Device => 6,
            Self::Mailbox => 7,
        }
    }
}

/// The key of an object whose id is no GUID: the first 16 bytes of the id's SHA-256.
pub fn text_key(id: &str) -> Uuid {
    let hash = digest::digest(&digest::SHA256, id.as_bytes());
    let mut key = [0; 16];
    for (byte, from) in key.iter_mut().zip(hash.as_ref()) {
        *byte = *from;
    }
    Uuid::from_bytes(key)
}
