//! Mailboxes as the usage report and `userPurpose` show them.

use std::collections::HashMap;

use uuid::Uuid;

/// A mailbox.
#[derive(Clone, Debug)]
pub struct Mailbox {
    /// The user object it belongs to; none once that is gone.
    pub user: Option<Uuid>,
    /// Address and name where there is no user object.
    pub leaver: Option<(String, String)>,
    /// Value of `userPurpose`.
    pub purpose: String,
    /// Dates are `yyyy-mm-dd`.
    pub deleted_date: Option<String>,
    pub created_date: String,
    pub last_activity_date: Option<String>,
    pub item_count: u64,
    pub storage_used: u64,
    pub issue_warning_quota: u64,
    pub prohibit_send_quota: u64,
    pub prohibit_send_receive_quota: u64,
    pub deleted_item_count: u64,
    pub deleted_item_size: u64,
    pub deleted_item_quota: u64,
    pub has_archive: bool,
}

impl Mailbox {
    /// A new, empty mailbox of a user.
    pub fn of(user: Uuid, purpose: &str) -> Self {
        Self {
            user: Some(user),
            leaver: None,
            purpose: purpose.to_owned(),
            deleted_date: None,
            created_date: "2026-11-01".to_owned(),
            last_activity_date: None,
            item_count: 0,
            storage_used: 0,
            issue_warning_quota: 105_226_698_752,
            prohibit_send_quota: 106_300_440_576,
            prohibit_send_receive_quota: 107_374_182_400,
            deleted_item_count: 0,
            deleted_item_size: 0,
            deleted_item_quota: 32_212_254_720,
            has_archive: false,
        }
    }
}

/// All mailboxes of a tenant.
#[derive(Default)]
pub struct Mailboxes {
    list: Vec<Mailbox>,
    by_user: HashMap<Uuid, usize>,
}

impl Mailboxes {
    /// Adds a mailbox.
    pub fn add(&mut self, mailbox: Mailbox) {
        if let Some(user) = mailbox.user {
            self.by_user.insert(user, self.list.len());
        }
        self.list.push(mailbox);
    }

    /// All of them, also the deleted ones.
    pub fn iter(&self) -> impl Iterator<Item = &Mailbox> {
        self.list.iter()
    }

    /// The mailbox of a user.
    pub fn of_user(&self, user: Uuid) -> Option<&Mailbox> {
        self.by_user.get(&user).map(|at| &self.list[*at])
    }

    /// The mailbox of a user, to change it.
    pub fn of_user_mut(&mut self, user: Uuid) -> Option<&mut Mailbox> {
        let at = *self.by_user.get(&user)?;
        self.list.get_mut(at)
    }

    /// Takes a user's mailbox away.
    pub fn remove(&mut self, user: Uuid) {
        let Some(at) = self.by_user.remove(&user) else {
            return;
        };
        self.list.remove(at);
        for later in self.by_user.values_mut().filter(|later| **later > at) {
            *later -= 1;
        }
    }
}
