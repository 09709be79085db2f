//! The permissions manifest: what is asked for, what it serves, and what its lack costs (G1).
//!
//! Only reading, and nothing in reserve: each permission names the data sets that need it. The
//! reason is what an administrator reads before accepting.

use uuid::{Uuid, uuid};

use crate::microsoft::{
    cloud::{CloudProfile, CloudService},
    data_set::DataSet,
};

/// Whether the application itself holds a permission, or acts as the person who signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PermissionKind {
    /// An app role, for app-only tokens.
    Application,
    /// A delegated scope.
    Delegated,
}

impl PermissionKind {
    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Delegated => "delegated",
        }
    }
}

/// One permission on Microsoft Graph. Application and delegated forms bear the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permission {
    /// Microsoft's name.
    pub name: &'static str,
    /// The id of its application form, the app role.
    pub app_role_id: Uuid,
    /// The id of its delegated form.
    pub scope_id: Uuid,
    /// The data sets that need it.
    pub data_sets: &'static [DataSet],
    /// The service it is for, where not every cloud has it.
    pub service: Option<CloudService>,
    /// Why it is asked for, in a sentence to an administrator.
    pub reason: &'static str,
    /// The stable name of what is lost without it.
    pub feature: &'static str,
    /// What is lost without it, in a sentence.
    pub without_it: &'static str,
}

/// All permissions of the initial data sets.
pub const MANIFEST: &[Permission] = &[
    Permission {
        name: "Organization.Read.All",
        app_role_id: uuid!("498476ce-e0fe-48b0-b801-37ba7e2685c6"),
        scope_id: uuid!("4908d5b9-3fb2-4b1e-9336-1888b7937185"),
        data_sets: &[DataSet::Organization, DataSet::Licenses],
        service: None,
        reason: "Reads the organization's name, domains and subscriptions.",
        feature: "organization",
        without_it: "The organization's details and its subscriptions are not shown.",
    },
    Permission {
        name: "User.Read.All",
        app_role_id: uuid!("df021288-bdef-4463-88db-98f22de89214"),
        scope_id: uuid!("a154be20-db9c-4678-8ab7-66f6cc099a59"),
        data_sets: &[DataSet::Users, DataSet::Licenses, DataSet::Mailboxes],
        service: None,
        reason: "Reads users and which licenses are assigned to them.",
        feature: "users",
        without_it: "Users and license assignments are not shown.",
    },
    Permission {
        name: "Group.Read.All",
        app_role_id: uuid!("5b567255-7703-4780-807c-7be8301ae99b"),
        scope_id: uuid!("5f8c59db-677d-491f-a6b8-5f174b11ec1d"),
        data_sets: &[DataSet::Groups],
        service: None,
        reason: "Reads groups and who belongs to them.",
        feature: "groups",
        without_it: "Groups and memberships are not shown.",
    },
    Permission {
        name: "SecurityEvents.Read.All",
        app_role_id: uuid!("bf394140-e372-4bf9-a898-299cfc7564e5"),
        scope_id: uuid!("64733abd-851e-478a-bffb-e47a14b18235"),
        data_sets: &[DataSet::SecureScores],
        service: Some(CloudService::SecureScore),
        reason: "Reads Microsoft Secure Score and its recommendations.",
        feature: "secureScores",
        without_it: "Secure Score is not shown.",
    },
    Permission {
        name: "DeviceManagementManagedDevices.Read.All",
        app_role_id: uuid!("2f51be20-0bb4-4fed-bf7b-db946066c75e"),
        scope_id: uuid!("314874da-47d6-4978-88dc-cf0d37f0bb82"),
        data_sets: &[DataSet::Devices],
        service: None,
        reason: "Reads the devices that Intune manages and whether they are compliant.",
        feature: "devices",
        without_it: "Devices are not shown.",
    },
    Permission {
        name: "Reports.Read.All",
        app_role_id: uuid!("230c1aed-a721-4c5d-9cb4-a90514e508ef"),
        scope_id: uuid!("02e97553-ed7b-43d0-ab3c-f8bace0d040c"),
        data_sets: &[DataSet::Mailboxes],
        service: Some(CloudService::UsageReports),
        reason: "Reads the usage report that lists mailboxes with their sizes.",
        feature: "mailboxUsage",
        without_it: "Mailboxes are shown without sizes and activity.",
    },
    Permission {
        name: "ReportSettings.Read.All",
        app_role_id: uuid!("ee353f83-55ef-4b78-82da-555bfa2b4b95"),
        scope_id: uuid!("84fac5f4-33a9-4100-aa38-a20c6d29e5e7"),
        data_sets: &[DataSet::Mailboxes],
        service: Some(CloudService::UsageReports),
        reason: "Reads whether usage reports hide the names of users.",
        feature: "reportPrivacy",
        without_it: "Whether reports hide names can only be guessed from their content.",
    },
    Permission {
        name: "MailboxSettings.Read",
        app_role_id: uuid!("40f97065-369a-49f4-947c-6a255697ae91"),
        scope_id: uuid!("87f447af-9fa4-4c32-9dfa-4a57a73d18ce"),
        data_sets: &[DataSet::Mailboxes],
        service: None,
        reason: "Reads whether a mailbox belongs to a person, is shared, or is a room.",
        feature: "mailboxKinds",
        without_it: "Shared mailboxes and rooms cannot be told from those of people.",
    },
];

/// What stands for several permissions of the manifest at once.
const DIRECTORY_READ: &str = "Directory.Read.All";
const COVERED_BY_DIRECTORY_READ: [&str; 3] =
    ["Organization.Read.All", "User.Read.All", "Group.Read.All"];
/// Never an excess: OpenID Connect's own scopes, and what the sign-in leg asks for.
const NEVER_EXCESS: [&str; 6] = [
    "openid",
    "profile",
    "email",
    "offline_access",
    "User.Read",
    DIRECTORY_READ,
];

/// What is asked for in this cloud. What serves only what the cloud lacks is left out.
pub fn required(profile: &CloudProfile) -> Vec<&'static Permission> {
    MANIFEST
        .iter()
        .filter(|permission| {
            permission
                .service
                .is_none_or(|service| profile.has(service))
        })
        .collect()
}

/// What the lack of these permissions costs, a sentence each. Names that are not in the manifest cost
/// nothing.
pub fn degraded_features(missing: &[String]) -> Vec<&'static str> {
    MANIFEST
        .iter()
        .filter(|permission| missing.iter().any(|name| name == permission.name))
        .map(|permission| permission.without_it)
        .collect()
}

/// The permission that the main list of a data set is read with.
pub const fn main_permission(data_set: DataSet) -> &'static str {
    match data_set {
        DataSet::Organization | DataSet::Licenses => "Organization.Read.All",
        DataSet::Users => "User.Read.All",
        DataSet::Groups => "Group.Read.All",
        DataSet::SecureScores => "SecurityEvents.Read.All",
        DataSet::Devices => "DeviceManagementManagedDevices.Read.All",
        DataSet::Mailboxes => "Reports.Read.All",
    }
}

/// What was granted against what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// What is held, by Microsoft's names, sorted, without OpenID Connect's own scopes.
    pub granted: Vec<String>,
    /// What is asked for and not held.
    pub missing: Vec<&'static Permission>,
    /// What is held beyond the manifest: more than was ever asked for.
    pub excess: Vec<String>,
}

/// Compares what a token says it holds, app roles or scopes, with what is asked for. Names compare
/// without regard to case and to the prefix that stands for Microsoft Graph.
pub fn compare<'a>(profile: &CloudProfile, held: impl IntoIterator<Item = &'a str>) -> Comparison {
    let resource = profile.graph_resource();
    let mut granted: Vec<String> = held
        .into_iter()
        .map(|name| name.trim())
        .map(|name| name.strip_prefix(&resource).unwrap_or(name).to_owned())
        .filter(|name| !name.is_empty() && !is_openid_scope(name))
        .collect();
    granted.sort_unstable();
    granted.dedup();
    let holds = |wanted: &str| granted.iter().any(|name| name.eq_ignore_ascii_case(wanted));
    let missing = required(profile)
        .into_iter()
        .filter(|permission| {
            let covered =
                COVERED_BY_DIRECTORY_READ.contains(&permission.name) && holds(DIRECTORY_READ);
            !covered && !holds(permission.name)
        })
        .collect();
    let excess = granted
        .iter()
        .filter(|name| is_excess(name))
        .cloned()
        .collect();
    Comparison {
        granted,
        missing,
        excess,
    }
}

fn is_openid_scope(name: &str) -> bool {
    ["openid", "profile", "email", "offline_access"]
        .iter()
        .any(|scope| scope.eq_ignore_ascii_case(name))
}

fn is_excess(name: &str) -> bool {
    let asked_for = MANIFEST.iter().map(|permission| permission.name);
    !asked_for
        .chain(NEVER_EXCESS)
        .any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::microsoft::cloud::MicrosoftCloud;

    fn profile(cloud: MicrosoftCloud) -> CloudProfile {
        CloudProfile::new(cloud, None, None).unwrap()
    }

    fn names(permissions: &[&Permission]) -> Vec<&'static str> {
        permissions
            .iter()
            .map(|permission| permission.name)
            .collect()
    }

    #[test]
    fn g1_every_permission_serves_a_data_set_and_only_reads() {
        for permission in MANIFEST {
            assert!(!permission.data_sets.is_empty(), "{}", permission.name);
            assert!(permission.name.contains(".Read"), "{}", permission.name);
            for write in ["Write", "Manage", "Send", "FullControl"] {
                let verb = permission
                    .name
                    .rsplit_once(".Read")
                    .map_or("", |(_what, rest)| rest);
                assert!(!verb.contains(write), "{}", permission.name);
            }
            assert!(permission.reason.ends_with('.') && permission.without_it.ends_with('.'));
        }
        for data_set in DataSet::ALL {
            assert!(
                MANIFEST
                    .iter()
                    .any(|permission| permission.data_sets.contains(&data_set)),
                "{data_set}"
            );
        }
        let ids: HashSet<Uuid> = MANIFEST
            .iter()
            .flat_map(|permission| [permission.app_role_id, permission.scope_id])
            .collect();
        assert_eq!(ids.len(), 2 * MANIFEST.len());
        let features: HashSet<&str> = MANIFEST
            .iter()
            .map(|permission| permission.feature)
            .collect();
        assert_eq!(features.len(), MANIFEST.len());
    }

    #[test]
    fn what_a_cloud_lacks_is_not_asked_for() {
        assert_eq!(
            required(&profile(MicrosoftCloud::Global)).len(),
            MANIFEST.len()
        );
        for cloud in [MicrosoftCloud::UsGov, MicrosoftCloud::UsGovDod] {
            let asked = names(&required(&profile(cloud)));
            assert!(
                !asked.contains(&"Reports.Read.All") && !asked.contains(&"ReportSettings.Read.All")
            );
            assert!(asked.contains(&"SecurityEvents.Read.All"));
        }
        let china = names(&required(&profile(MicrosoftCloud::China)));
        assert!(!china.contains(&"SecurityEvents.Read.All"));
        assert!(china.contains(&"MailboxSettings.Read"));
    }

    #[test]
    fn g6_each_permission_removed_alone_is_missing_alone() {
        let profile = profile(MicrosoftCloud::Global);
        for left_out in MANIFEST {
            let held = MANIFEST
                .iter()
                .map(|permission| permission.name)
                .filter(|name| *name != left_out.name);
            let compared = compare(&profile, held);
            assert_eq!(names(&compared.missing), [left_out.name]);
            assert_eq!(compared.excess, Vec::<String>::new());
        }
    }

    #[test]
    fn directory_read_stands_for_three_and_is_no_excess() {
        let profile = profile(MicrosoftCloud::Global);
        let rest = MANIFEST
            .iter()
            .map(|permission| permission.name)
            .filter(|name| !COVERED_BY_DIRECTORY_READ.contains(name));
        let compared = compare(&profile, rest.chain([DIRECTORY_READ]));
        assert_eq!(names(&compared.missing), Vec::<&str>::new());
        assert_eq!(compared.excess, Vec::<String>::new());
        assert!(compared.granted.contains(&DIRECTORY_READ.to_owned()));
    }

    #[test]
    fn c18_what_goes_beyond_the_manifest_is_seen() {
        let profile = profile(MicrosoftCloud::UsGov);
        let held = [
            "openid",
            "profile",
            "offline_access",
            "email",
            "https://graph.microsoft.us/user.read.all",
            "User.Read",
            "Reports.Read.All",
            "User.ReadWrite.All",
            "Mail.Read",
            "Mail.Read",
            "",
            "https://other.example/Group.Read.All",
        ];
        let compared = compare(&profile, held);
        assert_eq!(
            compared.excess,
            [
                "Mail.Read",
                "User.ReadWrite.All",
                "https://other.example/Group.Read.All"
            ]
        );
        assert_eq!(
            compared.granted,
            [
                "Mail.Read",
                "Reports.Read.All",
                "User.Read",
                "User.ReadWrite.All",
                "https://other.example/Group.Read.All",
                "user.read.all",
            ]
        );
        assert!(!names(&compared.missing).contains(&"User.Read.All"));
    }
}
