//! Which permission a data set needs, and how each service refuses.

use serde_json::json;
use uuid::{Uuid, uuid};

use super::{answer::Answer, call::Call};
use crate::fake_microsoft::{directory::ObjectKind, state::GLOBAL_ADMINISTRATOR};

const DIRECTORY: [&str; 2] = ["Directory.Read.All", "Directory.ReadWrite.All"];
const GLOBAL_READER: Uuid = uuid!("f2ef992c-3afb-46b9-b7cf-a126ee74c451");
const SECURITY_READER: Uuid = uuid!("5d6b6bb7-de71-4623-b4af-96380a352509");
const SECURITY_ADMINISTRATOR: Uuid = uuid!("194ae4cb-b126-40b2-bd5b-6091b380977d");
const REPORTS_READER: Uuid = uuid!("4a5d8f65-41da-4de4-8968-e035b65339cf");
const INTUNE_ADMINISTRATOR: Uuid = uuid!("3a2c62db-5318-420d-8d74-23affee5d9d5");

/// What a request reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    Organization,
    Users,
    SignInActivity,
    Groups,
    Members,
    Skus,
    Subscriptions,
    SecurityEvents,
    ManagedDevices,
    Reports,
    ReportSettings,
    Mailbox,
    Me,
}

impl Need {
    /// Permissions that suffice, besides those for the whole directory.
    const fn permissions(self) -> &'static [&'static str] {
        match self {
            Self::Organization => &["Organization.Read.All", "User.Read.All"],
            Self::Users => &["User.Read.All", "User.ReadWrite.All", "User.ReadBasic.All"],
            Self::SignInActivity => &["AuditLog.Read.All"],
            Self::Groups | Self::Members => &[
                "Group.Read.All",
                "Group.ReadWrite.All",
                "GroupMember.Read.All",
            ],
            Self::Skus => &["Organization.Read.All", "LicenseAssignment.Read.All"],
            Self::Subscriptions => &["Organization.Read.All"],
            Self::SecurityEvents => &["SecurityEvents.Read.All"],
            Self::ManagedDevices => &["DeviceManagementManagedDevices.Read.All"],
            Self::Reports => &["Reports.Read.All"],
            Self::ReportSettings => &["ReportSettings.Read.All"],
            Self::Mailbox => &["MailboxSettings.Read"],
            Self::Me => &["User.Read", "User.Read.All"],
        }
    }

    const fn is_directory(self) -> bool {
        matches!(
            self,
            Self::Organization
                | Self::Users
                | Self::Groups
                | Self::Members
                | Self::Skus
                | Self::Subscriptions
                | Self::Me
        )
    }

    /// Directory roles of which a signed-in user must hold one in addition.
    const fn roles(self) -> &'static [Uuid] {
        match self {
            Self::SecurityEvents => &[
                GLOBAL_ADMINISTRATOR,
                GLOBAL_READER,
                SECURITY_READER,
                SECURITY_ADMINISTRATOR,
            ],
            Self::Reports | Self::ReportSettings => {
                &[GLOBAL_ADMINISTRATOR, GLOBAL_READER, REPORTS_READER]
            }
            Self::ManagedDevices => &[GLOBAL_ADMINISTRATOR, GLOBAL_READER, INTUNE_ADMINISTRATOR],
            Self::SignInActivity => &[
                GLOBAL_ADMINISTRATOR,
                GLOBAL_READER,
                SECURITY_READER,
                REPORTS_READER,
            ],
            _ => &[],
        }
    }
}

impl Call<'_> {
    /// Whether the token holds this permission.
    pub fn holds(&self, permission: &str) -> bool {
        match &self.token.person {
            Some(_) => self.token.scopes.contains(permission),
            None => self.token.roles.contains(permission),
        }
    }

    /// Refuses a token that may not read this, as the service in charge refuses.
    pub fn require(&self, need: Need) -> Result<(), Answer> {
        let listed = need.permissions().iter().any(|one| self.holds(one));
        let signed_in_self =
            need == Need::Organization && self.token.person.is_some() && self.holds("User.Read");
        let whole = need.is_directory() && self.reads_directory();
        let role_missing = self.token.person.as_ref().is_some_and(|person| {
            let wanted = need.roles();
            !wanted.is_empty() && !person.wids.iter().any(|role| wanted.contains(role))
        });
        if (listed || signed_in_self || whole) && !role_missing {
            Ok(())
        } else {
            Err(self.refusal(need))
        }
    }

    /// Whether the token reads the whole directory.
    pub fn reads_directory(&self) -> bool {
        DIRECTORY.iter().any(|one| self.holds(one))
    }

    /// Whether the token may see more of a user than the basic properties.
    pub fn reads_full_users(&self) -> bool {
        self.holds("User.Read.All") || self.holds("User.ReadWrite.All") || self.reads_directory()
    }

    /// Whether properties of objects of this kind are shown among a group's members.
    pub fn reads_kind(&self, kind: ObjectKind) -> bool {
        let enough: &[&str] = match kind {
            ObjectKind::User => &["User.Read.All", "User.ReadWrite.All", "User.ReadBasic.All"],
            ObjectKind::Group => &[
                "Group.Read.All",
                "Group.ReadWrite.All",
                "GroupMember.Read.All",
            ],
            ObjectKind::Device => &["Device.Read.All"],
            ObjectKind::ServicePrincipal => &["Application.Read.All"],
            ObjectKind::OrgContact => &["OrgContact.Read.All"],
        };
        self.reads_directory() || enough.iter().any(|one| self.holds(one))
    }

    fn refusal(&self, need: Need) -> Answer {
        let ids = self.ids;
        match need {
            Need::SignInActivity => ids.error(
                403,
                "Authentication_MSGraphPermissionMissing",
                "The principal does not have required Microsoft Graph permission(s): AuditLog.Read.All \
                 to call this API. For more information about Microsoft Graph permissions, please visit \
                 https://learn.microsoft.com/graph/permissions-overview",
            ),
            // The security and the Intune services put little into the code.
            Need::SecurityEvents => ids.error(
                403,
                "",
                "Auth token does not contain valid permissions or user does not have valid roles.",
            ),
            Need::ManagedDevices => {
                let inner = json!({"_version": 3, "Message": "Application is not authorized to perform \
                    this operation. Application must have one of the following scopes: \
                    DeviceManagementManagedDevices.Read.All", "CustomApiErrorPhrase": "",
                    "RetryAfter": null, "ErrorSourceService": "", "HttpHeaders": "{}"});
                let outer = json!({"ErrorCode": "Forbidden", "Message": inner.to_string(),
                    "Target": null, "Details": null, "InnerError": null, "InstanceAnnotations": []});
                ids.error(403, "UnknownError", &outer.to_string())
            }
            Need::Reports | Need::ReportSettings => {
                ids.error(403, "S2SUnauthorized", "Invalid permission.")
            }
            Need::Mailbox => ids.error(
                403,
                "ErrorAccessDenied",
                "Access is denied. Check credentials and try again.",
            ),
            Need::Organization
            | Need::Users
            | Need::Groups
            | Need::Members
            | Need::Skus
            | Need::Subscriptions
            | Need::Me => ids.denied(),
        }
    }
}
