//! The contents of a tenant, with a log of changes: what the stand-in serves and what tests compare with.

pub mod changes;
pub mod entity;
pub mod mailbox;
pub mod schemas;
mod table;
mod truth;

use uuid::Uuid;

use super::seed::Random;
use changes::Change;
use mailbox::Mailboxes;
pub use table::{Member, Membership, Row, State, Table};

/// Everything in a tenant but who can sign in.
pub struct Directory {
    pub(crate) tenant: Uuid,
    pub(crate) domain: String,
    pub(crate) users: Table,
    pub(crate) groups: Table,
    /// Members of the group in the same row of `groups`.
    pub(crate) memberships: Vec<Membership>,
    pub(crate) devices: Table,
    pub(crate) service_principals: Table,
    pub(crate) org_contacts: Table,
    pub(crate) organization: Table,
    pub(crate) skus: Table,
    pub(crate) subscriptions: Table,
    pub(crate) managed_devices: Table,
    /// Newest first.
    pub(crate) secure_scores: Table,
    pub(crate) control_profiles: Table,
    pub(crate) mailboxes: Mailboxes,
    pub(crate) log: Vec<Change>,
    pub(crate) random: Random,
    /// What the tenant is licensed for and how it is set up. Tests may flip these.
    pub features: Features,
}

/// What a tenant is licensed for and how it is set up.
#[derive(Clone, Debug)]
pub struct Features {
    pub intune: bool,
    pub exchange: bool,
    pub p1: bool,
    pub p2: bool,
    /// Usage reports show hashes instead of names.
    pub concealed_names: bool,
    /// Whether there are scores.
    pub secure_score: bool,
    /// `yyyy-mm-dd` up to which usage reports tell.
    pub report_date: String,
}

/// Kinds of directory objects that can be members of a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ObjectKind {
    User,
    Group,
    Device,
    ServicePrincipal,
    OrgContact,
}

impl ObjectKind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::User,
        Self::Group,
        Self::Device,
        Self::ServicePrincipal,
        Self::OrgContact,
    ];

    /// Value of `@odata.type` as JSON.
    pub const fn odata_type(self) -> &'static str {
        match self {
            Self::User => "\"#microsoft.graph.user\"",
            Self::Group => "\"#microsoft.graph.group\"",
            Self::Device => "\"#microsoft.graph.device\"",
            Self::ServicePrincipal => "\"#microsoft.graph.servicePrincipal\"",
            Self::OrgContact => "\"#microsoft.graph.orgContact\"",
        }
    }
}

impl Directory {
    /// An empty directory.
    pub(crate) fn new(tenant: Uuid, domain: String, features: Features, random: Random) -> Self {
        Self {
            tenant,
            domain,
            users: Table::new(&schemas::USER),
            groups: Table::new(&schemas::GROUP),
            memberships: Vec::new(),
            devices: Table::new(&schemas::DEVICE),
            service_principals: Table::new(&schemas::SERVICE_PRINCIPAL),
            org_contacts: Table::new(&schemas::ORG_CONTACT),
            organization: Table::new(&schemas::ORGANIZATION),
            skus: Table::new(&schemas::SUBSCRIBED_SKU),
            subscriptions: Table::new(&schemas::SUBSCRIPTION),
            managed_devices: Table::new(&schemas::MANAGED_DEVICE),
            secure_scores: Table::new(&schemas::SECURE_SCORE),
            control_profiles: Table::new(&schemas::CONTROL_PROFILE),
            mailboxes: Mailboxes::default(),
            log: Vec::new(),
            random,
            features,
        }
    }

    /// The table of a kind.
    pub fn table(&self, kind: ObjectKind) -> &Table {
        match kind {
            ObjectKind::User => &self.users,
            ObjectKind::Group => &self.groups,
            ObjectKind::Device => &self.devices,
            ObjectKind::ServicePrincipal => &self.service_principals,
            ObjectKind::OrgContact => &self.org_contacts,
        }
    }

    fn table_mut(&mut self, kind: ObjectKind) -> &mut Table {
        match kind {
            ObjectKind::User => &mut self.users,
            ObjectKind::Group => &mut self.groups,
            ObjectKind::Device => &mut self.devices,
            ObjectKind::ServicePrincipal => &mut self.service_principals,
            ObjectKind::OrgContact => &mut self.org_contacts,
        }
    }

    /// What kind of object has this id, deleted ones too.
    pub fn kind_of(&self, id: Uuid) -> Option<ObjectKind> {
        let mut kinds = ObjectKind::ALL.into_iter();
        kinds.find(|kind| self.table(*kind).row(id).is_some())
    }

    /// The live object of a kind with this id.
    pub fn find(&self, kind: ObjectKind, id: Uuid) -> Option<&Row> {
        let table = self.table(kind);
        let row = table.row(id).map(|row| &table.rows[row]);
        row.filter(|row| row.state == State::Live)
    }

    /// The user with this id or user principal name (in any case).
    pub fn user_by_key(&self, key: &str) -> Option<&Row> {
        if let Ok(id) = Uuid::parse_str(key) {
            return self.find(ObjectKind::User, id);
        }
        let wanted = key.to_lowercase();
        self.users.live().find(|row| {
            let upn = row.entity.text(&schemas::USER, "userPrincipalName");
            upn.is_some_and(|upn| upn.to_lowercase() == wanted)
        })
    }

    /// Members of a group, deleted ones too.
    pub fn members_of(&self, group: Uuid) -> &[Member] {
        let row = self.groups.row(group);
        row.map_or(&[], |row| self.memberships[row].list.as_slice())
    }
}
