//! Microsoft's budgets: which there are, how large, and what a request draws on.
//!
//! Figures are those of Microsoft's page "Microsoft Graph service-specific throttling limits".

use std::time::Duration;

use crate::ids::TenantId;

/// Which of Microsoft's budgets a request draws on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Workload {
    /// Users, groups, organisation, subscriptions: counted in resource units.
    Identity,
    /// Intune managed devices.
    Intune,
    /// Secure Score and its control profiles.
    Security,
    /// The CSV of the mailbox usage report.
    MailboxUsageReport,
    /// Mailbox settings.
    Outlook,
    /// What has no documented budget of its own.
    Other,
}

/// So many units in so long a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    pub(crate) units: u32,
    pub(crate) span: Duration,
}

/// What one request costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Resource units, or for other workloads requests.
    pub(crate) units: u32,
    /// Requests: more than one for a batch, whose items count one by one.
    pub(crate) requests: u32,
}

impl Cost {
    /// A single request of so many units.
    pub(crate) fn of(units: u32) -> Self {
        Self { units, requests: 1 }
    }
}

/// One of Microsoft's budgets for an application, as processes share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BudgetKey {
    /// The tenant it is for; `None`: all tenants together.
    pub tenant: Option<TenantId>,
    /// What it is for; `None`: all requests, whatever they ask for.
    pub workload: Option<Workload>,
}

impl BudgetKey {
    /// All requests to all tenants.
    pub const ALL_REQUESTS: Self = Self {
        tenant: None,
        workload: None,
    };

    /// The time in which its units count.
    pub fn span(&self) -> Duration {
        let budget = match (self.tenant, self.workload) {
            (None, Some(Workload::Identity)) => Some(APPLICATION_IDENTITY),
            (None, _) => None,
            (Some(_), workload) => workload.and_then(|workload| workload.budget()),
        };
        budget.map_or(ALL_REQUESTS.span, |budget| budget.span)
    }
}

/// Resource units of the identity workload that an application has in all tenants together.
const APPLICATION_IDENTITY: Budget = Budget {
    units: 150_000,
    span: Duration::from_secs(20),
};
/// Requests of any kind that an application has in all tenants together.
const ALL_REQUESTS: Budget = Budget {
    units: 130_000,
    span: Duration::from_secs(10),
};

/// How large the budgets are that depend on nothing but the application and the size of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budgets {
    /// Requests in ten seconds, all tenants together.
    pub requests: u32,
    /// Resource units in twenty seconds, all tenants together.
    pub identity: u32,
    /// Resource units in ten seconds for one tenant: with fewer than 50 users, with up to 500, with
    /// more.
    pub tenant_identity: [u32; 3],
}

impl Default for Budgets {
    /// What Microsoft documents.
    fn default() -> Self {
        Self {
            requests: ALL_REQUESTS.units,
            identity: APPLICATION_IDENTITY.units,
            tenant_identity: [3500, 5000, 8000],
        }
    }
}

impl Budgets {
    pub(super) fn all_requests(&self) -> Budget {
        Budget {
            units: self.requests,
            ..ALL_REQUESTS
        }
    }

    pub(super) fn all_identity(&self) -> Budget {
        Budget {
            units: self.identity,
            ..APPLICATION_IDENTITY
        }
    }

    /// The budget of a tenant's workload, before anything is known of the tenant.
    pub(super) fn of_tenant(&self, workload: Workload) -> Option<Budget> {
        let budget = workload.budget()?;
        Some(match workload {
            Workload::Identity => Budget {
                units: self.identity_units(0),
                ..budget
            },
            Workload::Intune
            | Workload::Security
            | Workload::MailboxUsageReport
            | Workload::Outlook
            | Workload::Other => budget,
        })
    }

    /// Resource units in ten seconds that Microsoft grants a tenant of this size.
    pub(super) fn identity_units(&self, users: u64) -> u32 {
        let [small, medium, large] = self.tenant_identity;
        match users {
            0..50 => small,
            50..=500 => medium,
            501.. => large,
        }
    }
}

impl Workload {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Identity,
        Self::Intune,
        Self::Security,
        Self::MailboxUsageReport,
        Self::Outlook,
        Self::Other,
    ];

    /// The word for it where processes tell each other.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Intune => "intune",
            Self::Security => "security",
            Self::MailboxUsageReport => "mailboxUsageReport",
            Self::Outlook => "outlook",
            Self::Other => "other",
        }
    }

    /// Requests at a time.
    pub(super) const fn concurrency(self) -> usize {
        match self {
            Self::Security | Self::Outlook => 4,
            Self::Identity | Self::Intune | Self::MailboxUsageReport | Self::Other => 8,
        }
    }

    const fn budget(self) -> Option<Budget> {
        let (units, seconds) = match self {
            Self::Identity => (3500, 10),
            Self::Intune => (2000, 20),
            Self::Security => (150, 60),
            Self::MailboxUsageReport => (14, 600),
            // Outlook's budget is one for each mailbox, and a mailbox is asked one question.
            Self::Outlook | Self::Other => return None,
        };
        Some(Budget {
            units,
            span: Duration::from_secs(seconds),
        })
    }

    /// Whether requests cost resource units instead of one each.
    pub(crate) const fn counts_units(self) -> bool {
        matches!(self, Self::Identity)
    }
}
