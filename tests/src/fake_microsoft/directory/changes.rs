//! What tests change in a tenant, each change noted for delta queries.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Directory, Member, ObjectKind, State,
    entity::{Entity, Schema, quoted},
    mailbox::Mailbox,
    schemas,
};

/// A noted change. Its place in the log is its sequence number.
#[derive(Clone, Debug)]
pub struct Change {
    pub kind: ObjectKind,
    /// Index of the row.
    pub row: usize,
    pub what: What,
}

/// What happened to a user or a group.
#[derive(Clone, Debug)]
pub enum What {
    Created,
    /// The columns that were set.
    Updated(u64),
    /// Soft-deleted: can be restored.
    Deleted,
    Restored,
    /// Gone for good.
    Purged,
    MemberAdded(ObjectKind, Uuid),
    MemberRemoved(ObjectKind, Uuid),
}

impl Directory {
    /// Adds a user with these properties; the ones every user has get a value if none is given.
    pub fn add_user(&mut self, properties: Value) -> Uuid {
        let id = self.random.uuid();
        let upn = format!("user-{}@{}", id.simple(), self.domain);
        let mut entity = Entity::empty(&schemas::USER);
        let basics = json!({
            "id": id, "displayName": format!("New user {}", id.simple()),
            "userPrincipalName": upn, "accountEnabled": true, "userType": "Member",
            "createdDateTime": "2026-11-20T09:00:00Z", "assignedLicenses": [],
            "licenseAssignmentStates": [], "proxyAddresses": [],
        });
        entity.assign(&schemas::USER, &basics);
        entity.assign(&schemas::USER, &properties);
        let row = self.users.insert(id, entity);
        self.note(ObjectKind::User, row, What::Created);
        id
    }

    /// Sets properties of a user; null is a value.
    pub fn update_user(&mut self, id: Uuid, properties: Value) {
        self.update(ObjectKind::User, id, &properties);
    }

    /// Deletes a user so that it can be restored. It stays a member of its groups.
    pub fn delete_user(&mut self, id: Uuid) {
        self.move_to(ObjectKind::User, id, State::Deleted, What::Deleted);
        if let Some(mailbox) = self.mailboxes.of_user_mut(id) {
            mailbox.deleted_date = Some("2026-11-19".to_owned());
        }
    }

    /// Brings a deleted user back.
    pub fn restore_user(&mut self, id: Uuid) {
        self.move_to(ObjectKind::User, id, State::Live, What::Restored);
        if let Some(mailbox) = self.mailboxes.of_user_mut(id) {
            mailbox.deleted_date = None;
        }
    }

    /// Deletes a user for good; its memberships and its mailbox go with it.
    pub fn purge_user(&mut self, id: Uuid) {
        self.move_to(ObjectKind::User, id, State::Purged, What::Purged);
        self.drop_memberships_of(id);
        self.mailboxes.remove(id);
    }

    /// Adds a security group with these properties.
    pub fn add_group(&mut self, properties: Value) -> Uuid {
        let id = self.random.uuid();
        let mut entity = Entity::empty(&schemas::GROUP);
        let basics = json!({
            "id": id, "displayName": format!("New group {}", id.simple()),
            "mailEnabled": false, "securityEnabled": true, "groupTypes": [],
            "createdDateTime": "2026-11-20T09:00:00Z", "resourceProvisioningOptions": [],
            "assignedLicenses": [],
        });
        entity.assign(&schemas::GROUP, &basics);
        entity.assign(&schemas::GROUP, &properties);
        let row = self.groups.insert(id, entity);
        self.memberships.push(super::Membership::default());
        self.note(ObjectKind::Group, row, What::Created);
        id
    }

    /// Sets properties of a group; null is a value.
    pub fn update_group(&mut self, id: Uuid, properties: Value) {
        self.update(ObjectKind::Group, id, &properties);
    }

    /// Deletes a group so that it can be restored (as Microsoft 365 groups are).
    pub fn delete_group(&mut self, id: Uuid) {
        self.move_to(ObjectKind::Group, id, State::Deleted, What::Deleted);
    }

    /// Brings a deleted group back with its members.
    pub fn restore_group(&mut self, id: Uuid) {
        self.move_to(ObjectKind::Group, id, State::Live, What::Restored);
    }

    /// Deletes a group for good (as security groups are).
    pub fn purge_group(&mut self, id: Uuid) {
        self.move_to(ObjectKind::Group, id, State::Purged, What::Purged);
        self.drop_memberships_of(id);
        let row = self.groups.row(id).expect("the group");
        self.memberships[row].list.clear();
    }

    /// Adds a user, group, device, service principal or contact to a group.
    /// Does nothing when it is in already.
    pub fn add_member(&mut self, group: Uuid, member: Uuid) {
        let kind = self.kind_of(member).expect("an object of the tenant");
        let row = self.groups.row(group).expect("a group of the tenant");
        if self.memberships[row].push(kind, member) {
            self.note(ObjectKind::Group, row, What::MemberAdded(kind, member));
        }
    }

    /// Takes a member out of a group. Does nothing when it is not in.
    pub fn remove_member(&mut self, group: Uuid, member: Uuid) {
        let row = self.groups.row(group).expect("a group of the tenant");
        if let Some(Member { kind, id, .. }) = self.memberships[row].take(member) {
            self.note(ObjectKind::Group, row, What::MemberRemoved(kind, id));
        }
    }

    /// Enrols a device in Intune.
    pub fn add_device(&mut self, properties: Value) -> Uuid {
        let id = self.random.uuid();
        let mut entity = Entity::empty(&schemas::MANAGED_DEVICE);
        let basics = json!({
            "id": id, "deviceName": format!("DESKTOP-{}", id.simple()), "operatingSystem": "Windows",
            "complianceState": "compliant", "managedDeviceOwnerType": "company",
            "enrolledDateTime": "2026-11-20T09:00:00Z", "lastSyncDateTime": "2026-11-20T09:30:00Z",
        });
        entity.assign(&schemas::MANAGED_DEVICE, &basics);
        entity.assign(&schemas::MANAGED_DEVICE, &properties);
        self.managed_devices.insert(id, entity);
        id
    }

    /// Sets properties of a device.
    pub fn update_device(&mut self, id: Uuid, properties: Value) {
        self.managed_devices.assign(id, &properties);
    }

    /// Takes a device out of Intune.
    pub fn remove_device(&mut self, id: Uuid) {
        self.managed_devices.set_state(id, State::Purged);
    }

    /// Sets properties of the product with this `skuId`.
    pub fn update_sku(&mut self, sku_id: Uuid, properties: Value) {
        self.skus.assign(sku_id, &properties);
    }

    /// The tenant no longer has the product with this `skuId`.
    pub fn remove_sku(&mut self, sku_id: Uuid) {
        self.skus.set_state(sku_id, State::Purged);
    }

    /// Sets properties of the tenant itself.
    pub fn update_organization(&mut self, properties: Value) {
        let id = self.tenant;
        self.organization.assign(id, &properties);
    }

    /// Adds the score of a new day (`yyyy-mm-dd`), which becomes the newest.
    pub fn add_secure_score(&mut self, date: &str, current: f64, max: f64) {
        let entity = super::super::seed::scores::score(self.tenant, date, current, max, 1);
        let id = self.random.uuid();
        self.secure_scores.insert_first(id, entity);
    }

    /// Changes a user's mailbox.
    pub fn change_mailbox(&mut self, user: Uuid, change: impl FnOnce(&mut Mailbox)) {
        change(self.mailboxes.of_user_mut(user).expect("a mailbox"));
    }

    /// Gives a user a mailbox of this purpose.
    pub fn add_mailbox(&mut self, user: Uuid, purpose: &str) {
        self.mailboxes.add(Mailbox::of(user, purpose));
    }

    /// Takes a user's mailbox away without a trace.
    pub fn remove_mailbox(&mut self, user: Uuid) {
        self.mailboxes.remove(user);
    }

    /// Makes this many changes of all kinds that delta queries report, chosen by the tenant's seed.
    pub fn churn(&mut self, changes: usize) {
        for step in 0..changes {
            match step % 10 {
                0 => drop(self.add_user(json!({"displayName": "Added later", "department": null}))),
                1 | 2 => self.with_random(ObjectKind::User, |directory, id| {
                    let title = format!("Title {step}");
                    directory.update_user(id, json!({"jobTitle": title, "department": null}));
                }),
                3 => self.with_random(ObjectKind::User, Self::delete_user),
                4 => self.with_random(ObjectKind::User, |directory, id| {
                    directory.delete_user(id);
                    directory.restore_user(id);
                }),
                5 => self.with_random(ObjectKind::User, Self::purge_user),
                6 => self.with_random(ObjectKind::Group, |directory, group| {
                    directory.with_random(ObjectKind::User, |directory, user| {
                        directory.add_member(group, user);
                        if step % 20 == 6 {
                            directory.remove_member(group, user);
                            directory.add_member(group, user);
                        }
                    });
                }),
                7 => self.with_random(ObjectKind::Group, |directory, group| {
                    let member = directory.members_of(group).first().map(|member| member.id);
                    if let Some(member) = member {
                        directory.remove_member(group, member);
                    }
                }),
                8 => self.with_random(ObjectKind::Group, |directory, id| {
                    directory.update_group(id, json!({"description": null}));
                }),
                _ => {
                    let group = self.add_group(json!({"displayName": format!("Added {step}")}));
                    self.with_random(ObjectKind::User, |directory, user| {
                        directory.add_member(group, user);
                    });
                    if step % 20 == 19 {
                        self.with_random(ObjectKind::Group, Self::purge_group);
                    }
                }
            }
        }
    }

    fn with_random(&mut self, kind: ObjectKind, act: impl FnOnce(&mut Self, Uuid)) {
        let live: Vec<Uuid> = self.table(kind).live().map(|row| row.id).collect();
        if !live.is_empty() {
            let chosen = live[self.random.below(live.len())];
            act(self, chosen);
        }
    }

    fn update(&mut self, kind: ObjectKind, id: Uuid, properties: &Value) {
        let table = self.table_mut(kind);
        let row = table.row(id).expect("an object of the tenant");
        let mask = table.assign(id, properties);
        self.note(kind, row, What::Updated(mask));
    }

    fn move_to(&mut self, kind: ObjectKind, id: Uuid, state: State, what: What) {
        let row = self.table_mut(kind).set_state(id, state);
        self.note(kind, row, what);
    }

    fn drop_memberships_of(&mut self, id: Uuid) {
        for row in 0..self.memberships.len() {
            if let Some(Member { kind, id, .. }) = self.memberships[row].take(id) {
                self.note(ObjectKind::Group, row, What::MemberRemoved(kind, id));
            }
        }
    }

    fn note(&mut self, kind: ObjectKind, row: usize, what: What) {
        self.log.push(Change { kind, row, what });
    }

    /// Adds an object that groups can hold but that no delta query here reports.
    pub(crate) fn add_other(&mut self, kind: ObjectKind, id: Uuid, name: &str) {
        let table = self.table_mut(kind);
        let schema: &Schema = table.schema;
        let mut entity = Entity::empty(schema);
        entity.set(0, quoted(&id.to_string()));
        entity.set(1, quoted(name));
        table.insert(id, entity);
    }
}
