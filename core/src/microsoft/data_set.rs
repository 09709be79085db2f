//! What is read from a tenant, by the names that the API shows.

use std::{fmt, str::FromStr};

/// A data set of the initial sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DataSet {
    /// The tenant's own description.
    Organization,
    /// Users, guests included.
    Users,
    /// Groups with their memberships.
    Groups,
    /// Subscriptions, and which user has what by which way.
    Licenses,
    /// Microsoft Secure Score with its controls.
    SecureScores,
    /// Devices managed by Intune.
    Devices,
    /// Exchange Online mailboxes.
    Mailboxes,
}

/// A text that names no data set.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not the name of a data set")]
pub struct UnknownDataSet;

impl DataSet {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 7] = [
        Self::Organization,
        Self::Users,
        Self::Groups,
        Self::Licenses,
        Self::SecureScores,
        Self::Devices,
        Self::Mailboxes,
    ];

    /// The public name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::Users => "users",
            Self::Groups => "groups",
            Self::Licenses => "licenses",
            Self::SecureScores => "secureScores",
            Self::Devices => "devices",
            Self::Mailboxes => "mailboxes",
        }
    }
}

impl fmt::Display for DataSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for DataSet {
    type Err = UnknownDataSet;

    fn from_str(text: &str) -> Result<Self, UnknownDataSet> {
        Self::ALL
            .into_iter()
            .find(|set| set.name() == text)
            .ok_or(UnknownDataSet)
    }
}
