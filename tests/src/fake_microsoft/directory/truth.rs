//! The truth: what a complete sync of the tenant must end with.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Directory, ObjectKind, Table, mailbox::Mailbox, schemas};

impl Directory {
    /// All users, each with the documented properties; null where there is no value.
    pub fn users(&self) -> Vec<Value> {
        truth_of(&self.users)
    }

    /// All groups, likewise.
    pub fn groups(&self) -> Vec<Value> {
        truth_of(&self.groups)
    }

    /// The members of a group as an app with the contract's permissions sees them:
    /// `{"@odata.type", "id", "displayName"}`, the name null for types it may not read.
    /// Users and groups that are deleted but can be restored are left out.
    pub fn members(&self, group: Uuid) -> Vec<Value> {
        let live = self.members_of(group).iter().filter_map(|member| {
            let row = self.find(member.kind, member.id)?;
            let schema = self.table(member.kind).schema;
            let readable = matches!(member.kind, ObjectKind::User | ObjectKind::Group);
            let name = readable.then(|| row.entity.text(schema, "displayName"));
            let kind = member.kind.odata_type().trim_matches('"');
            Some(json!({"@odata.type": kind, "id": member.id, "displayName": name.flatten()}))
        });
        live.collect()
    }

    /// The tenant itself.
    pub fn organization(&self) -> Value {
        truth_of(&self.organization).remove(0)
    }

    /// The products bought.
    pub fn skus(&self) -> Vec<Value> {
        truth_of(&self.skus)
    }

    /// The commercial subscriptions.
    pub fn subscriptions(&self) -> Vec<Value> {
        truth_of(&self.subscriptions)
    }

    /// The scores, newest first.
    pub fn secure_scores(&self) -> Vec<Value> {
        if self.features.secure_score {
            truth_of(&self.secure_scores)
        } else {
            Vec::new()
        }
    }

    /// The controls of the score.
    pub fn control_profiles(&self) -> Vec<Value> {
        if self.features.secure_score {
            truth_of(&self.control_profiles)
        } else {
            Vec::new()
        }
    }

    /// The devices Intune manages; none without Intune.
    pub fn devices(&self) -> Vec<Value> {
        if self.features.intune {
            truth_of(&self.managed_devices)
        } else {
            Vec::new()
        }
    }

    /// The rows of the usage report under the names of Graph's JSON report (names in clear even
    /// where the report conceals them), with `hasArchive`, `userId` and `userPurpose`.
    pub fn mailboxes(&self) -> Vec<Value> {
        if !self.features.exchange {
            return Vec::new();
        }
        let rows = self
            .mailboxes
            .iter()
            .map(|mailbox| self.mailbox_truth(mailbox));
        rows.collect()
    }

    fn mailbox_truth(&self, mailbox: &Mailbox) -> Value {
        let (upn, name) = self.mailbox_names(mailbox);
        let live = mailbox
            .user
            .and_then(|user| self.find(ObjectKind::User, user));
        json!({
            "reportRefreshDate": self.features.report_date,
            "userPrincipalName": upn, "displayName": name,
            "isDeleted": mailbox.deleted_date.is_some(), "deletedDate": mailbox.deleted_date,
            "createdDate": mailbox.created_date, "lastActivityDate": mailbox.last_activity_date,
            "itemCount": mailbox.item_count, "storageUsedInBytes": mailbox.storage_used,
            "issueWarningQuotaInBytes": mailbox.issue_warning_quota,
            "prohibitSendQuotaInBytes": mailbox.prohibit_send_quota,
            "prohibitSendReceiveQuotaInBytes": mailbox.prohibit_send_receive_quota,
            "deletedItemCount": mailbox.deleted_item_count,
            "deletedItemSizeInBytes": mailbox.deleted_item_size,
            "deletedItemQuotaInBytes": mailbox.deleted_item_quota,
            "hasArchive": mailbox.has_archive, "reportPeriod": "7",
            "userId": live.map(|row| row.id),
            "userPurpose": live.map(|_| mailbox.purpose.as_str()),
        })
    }

    /// Address and name of a mailbox, in clear.
    pub(crate) fn mailbox_names(&self, mailbox: &Mailbox) -> (String, String) {
        if let Some((upn, name)) = &mailbox.leaver {
            return (upn.clone(), name.clone());
        }
        let row = mailbox.user.and_then(|user| self.users.row(user));
        let entity = row.map(|row| &self.users.rows[row].entity);
        let text = |name| entity.and_then(|entity| entity.text(&schemas::USER, name));
        (
            text("userPrincipalName").unwrap_or_default(),
            text("displayName").unwrap_or_default(),
        )
    }
}

fn truth_of(table: &Table) -> Vec<Value> {
    let rows = table.live();
    rows.map(|row| row.entity.truth(table.schema)).collect()
}
