//! Microsoft's national clouds: which one the stand-in plays, and whose tenants live elsewhere
//! (<https://learn.microsoft.com/graph/deployments>).

use std::collections::HashMap;

use uuid::Uuid;

use super::state::{Cloud, Tenant};

/// One of Microsoft's clouds.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum NationalCloud {
    #[default]
    Global,
    /// US Government L4 (GCC High).
    UsGov,
    /// US Government L5 (DoD). It shares its login with L4.
    UsGovDod,
    China,
}

/// Which cloud is played, and the tenants of others.
#[derive(Default)]
pub struct Homes {
    played: NationalCloud,
    elsewhere: HashMap<Uuid, NationalCloud>,
}

impl NationalCloud {
    /// The resource id of its Graph, whatever host the stand-in has.
    pub const fn graph_resource(self) -> &'static str {
        match self {
            Self::Global => "https://graph.microsoft.com",
            Self::UsGov => "https://graph.microsoft.us",
            Self::UsGovDod => "https://dod-graph.microsoft.us",
            Self::China => "https://microsoftgraph.chinacloudapi.cn",
        }
    }

    /// Where Microsoft has its login.
    pub(super) const fn login_origin(self) -> &'static str {
        match self {
            Self::Global => "https://login.microsoftonline.com",
            Self::UsGov | Self::UsGovDod => "https://login.microsoftonline.us",
            Self::China => "https://login.partner.microsoftonline.cn",
        }
    }

    /// `cloud_instance_name` of the discovery document.
    pub(super) const fn instance(self) -> &'static str {
        match self {
            Self::Global => "microsoftonline.com",
            Self::UsGov | Self::UsGovDod => "microsoftonline.us",
            Self::China => "partner.microsoftonline.cn",
        }
    }

    /// `tenant_region_scope` and `tenant_region_sub_scope` of its tenants, where it has own ones.
    pub(super) const fn region(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::UsGov => Some(("USGov", "DODCON")),
            Self::UsGovDod => Some(("USGov", "DOD")),
            Self::Global | Self::China => None,
        }
    }

    /// Whether its Graph lacks what this path names, by Microsoft's v1.0 metadata of August 2026.
    pub(super) fn lacks(self, segments: &[&str]) -> bool {
        let reports = match segments {
            ["reports", function] => function.starts_with("get"),
            ["admin", "reportSettings"] => true,
            _ => false,
        };
        let scores = matches!(
            segments,
            [
                "security",
                "secureScores" | "secureScoreControlProfiles",
                ..
            ]
        );
        match self {
            Self::Global => false,
            Self::UsGov | Self::UsGovDod => reports,
            Self::China => reports || scores,
        }
    }
}

impl Cloud {
    /// Has the stand-in play one of the clouds: its audience, its tenants' regions, and what its Graph
    /// lacks. The hosts stay the stand-in's own.
    pub fn play(&self, cloud: NationalCloud) {
        self.homes.write().expect("homes").played = cloud;
    }

    /// Has a tenant live in another cloud. Its discovery document names that cloud's hosts and regions;
    /// where the login is another one, everything else refuses it (90038).
    pub fn move_tenant(&self, tenant: Uuid, home: NationalCloud) {
        let mut homes = self.homes.write().expect("homes");
        homes.elsewhere.insert(tenant, home);
    }

    /// The cloud that is played.
    pub fn played(&self) -> NationalCloud {
        self.homes.read().expect("homes").played
    }

    /// The cloud that a tenant lives in.
    pub(super) fn home_of(&self, tenant: &Tenant) -> NationalCloud {
        let homes = self.homes.read().expect("homes");
        let elsewhere = homes.elsewhere.get(&tenant.id).copied();
        elsewhere.unwrap_or(homes.played)
    }

    /// Whether a tenant signs in at the login of the cloud that is played.
    pub(super) fn signs_in_here(&self, tenant: &Tenant) -> bool {
        self.home_of(tenant).login_origin() == self.played().login_origin()
    }
}
