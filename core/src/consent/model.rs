//! A connection attempt and what is known about it.

use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::{
    ids::{ConnectionId, CustomerId, TenantId},
    tenants::{ConnectionType, ConsentedBy, TenantStatus, UnknownWord},
};

/// How long a link may be opened.
pub const LINK_LIFETIME: TimeDelta = TimeDelta::hours(72);
/// How long Microsoft's answer is waited for after a redirect.
pub const STATE_LIFETIME: TimeDelta = TimeDelta::minutes(10);

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionState {
    /// On its way.
    Pending,
    /// The tenant's connection.
    Proven,
    /// A newer one was proven.
    Superseded,
    /// A newer link was made before this one was used to the end.
    Voided,
    /// The tenant was revoked.
    Revoked,
}

impl ConnectionState {
    const ALL: [Self; 5] = [
        Self::Pending,
        Self::Proven,
        Self::Superseded,
        Self::Voided,
        Self::Revoked,
    ];

    /// The word in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Proven => "proven",
            Self::Superseded => "superseded",
            Self::Voided => "voided",
            Self::Revoked => "revoked",
        }
    }
}

impl FromStr for ConnectionState {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or(UnknownWord)
    }
}

/// What has to happen next on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    /// An administrator signs in.
    SignIn,
    /// The administrator who signed in consents.
    AdminConsent,
    /// The grant is proven.
    Proof,
    /// Nothing.
    Done,
}

impl NextStep {
    const ALL: [Self; 4] = [Self::SignIn, Self::AdminConsent, Self::Proof, Self::Done];

    /// The word in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "signIn",
            Self::AdminConsent => "adminConsent",
            Self::Proof => "proof",
            Self::Done => "done",
        }
    }
}

impl FromStr for NextStep {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|step| step.as_str() == text)
            .ok_or(UnknownWord)
    }
}

/// Which of Microsoft's pages an authorization request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leg {
    /// Sign-in: proves the tenant and an administrator.
    SignIn,
    /// The v2 admin-consent page.
    AdminConsent,
}

impl Leg {
    /// The word in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "signIn",
            Self::AdminConsent => "adminConsent",
        }
    }
}

impl FromStr for Leg {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        [Self::SignIn, Self::AdminConsent]
            .into_iter()
            .find(|leg| leg.as_str() == text)
            .ok_or(UnknownWord)
    }
}

/// One attempt to connect a tenant.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    pub id: ConnectionId,
    pub tenant: TenantId,
    pub connection_type: ConnectionType,
    pub state: ConnectionState,
    pub next_step: NextStep,
    pub entered_tenant: String,
    pub customer: Option<CustomerId>,
    pub return_url: Option<Url>,
    /// Wrapped; none once erased.
    pub data_key: Option<Vec<u8>>,
    /// The link's token, sealed under the data key.
    pub sealed_link: Option<Vec<u8>>,
    pub signed_in: Option<ConsentedBy>,
    pub last_outcome: Option<Outcome>,
    pub proof_deadline: Option<DateTime<Utc>>,
    pub expires_at: DateTime<Utc>,
}

impl Connection {
    /// Whether the link may begin another flow at this moment. While a finished consent is being
    /// proven it may not: the answer is on its way.
    pub(super) fn may_begin(&self, now: DateTime<Utc>) -> bool {
        self.state == ConnectionState::Pending
            && now < self.expires_at
            && !self.is_being_proven(now)
    }

    /// Whether consent was given and its proof is still being tried.
    pub(super) fn is_being_proven(&self, now: DateTime<Utc>) -> bool {
        self.state == ConnectionState::Pending
            && self.next_step == NextStep::Proof
            && self.proof_deadline.is_some_and(|deadline| now <= deadline)
    }
}

/// How the last flow of a connection ended, for the result page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Outcome {
    /// Proven.
    Connected {
        /// The tenant's status.
        status: String,
    },
    /// It failed.
    Failed {
        /// In the shape of a problem.
        problem: Value,
    },
}

impl Outcome {
    pub(super) fn connected(status: TenantStatus) -> Self {
        Self::Connected {
            status: status.as_str().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_exactly_as_they_are_written() {
        for state in ConnectionState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        for step in NextStep::ALL {
            assert_eq!(step.as_str().parse(), Ok(step));
        }
        assert_eq!("signIn".parse(), Ok(Leg::SignIn));
        assert_eq!("proof".parse::<Leg>(), Err(UnknownWord));
    }

    #[test]
    fn an_outcome_is_read_back_as_it_was_written() {
        let outcome = Outcome::Failed {
            problem: serde_json::json!({"code": "consentDeclined"}),
        };
        let text = serde_json::to_string(&outcome).unwrap();
        assert_eq!(serde_json::from_str::<Outcome>(&text).unwrap(), outcome);
    }
}
