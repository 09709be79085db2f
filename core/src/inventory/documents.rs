//! The objects as they are read from Microsoft Graph and kept: every property that we ask for, under
//! Graph's own name, null where Graph had none. Properties we did not ask for are dropped; values we
//! do not know (new enum members, new fields inside a collection) are kept as they are.
//!
//! Field lists: Microsoft Graph v1.0 reference of each resource.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Text that JSON may escape, so that it cannot always be borrowed.
pub type Text = Option<String>;
/// A nested value that is passed on as it is.
pub type Nested<'a> = Option<&'a RawValue>;

/// Declares a Graph resource: the struct, its `$select` list and whether an item carried any
/// property at all. A macro because the three must never disagree.
macro_rules! resource {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty = $graph:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Deserialize, Serialize)]
        pub struct $name<'a> {
            /// Graph's id.
            pub id: String,
            $(
                #[doc = concat!("Graph's `", $graph, "`.")]
                #[serde(rename = $graph, default, borrow)]
                pub $field: Property<'a, $type>,
            )+
        }

        impl $name<'_> {
            /// Value of `$select`.
            pub const SELECT: &'static str = concat!("id", $(",", $graph),+);

            /// Whether the item carried a property beside its id. A delta page may repeat an object
            /// with nothing but a slice of its members.
            pub fn has_properties(&self) -> bool {
                false $(|| self.$field.is_present())+
            }
        }
    };
}

/// A property as Graph sent it: absent and null both read as no value, but are told apart.
#[derive(Debug)]
pub enum Property<'a, T> {
    /// Not in the answer.
    Absent(std::marker::PhantomData<&'a ()>),
    /// In the answer, perhaps as null.
    Present(Option<T>),
}

impl<T> Property<'_, T> {
    /// Whether the answer named the property.
    pub fn is_present(&self) -> bool {
        matches!(self, Self::Present(_))
    }

    /// The value, if there is one.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Present(value) => value.as_ref(),
            Self::Absent(_) => None,
        }
    }
}

impl<T> Default for Property<'_, T> {
    fn default() -> Self {
        Self::Absent(std::marker::PhantomData)
    }
}

impl<'de: 'a, 'a, T: Deserialize<'de>> Deserialize<'de> for Property<'a, T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::<T>::deserialize(deserializer).map(Self::Present)
    }
}

impl<T: Serialize> Serialize for Property<'_, T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value().serialize(serializer)
    }
}

resource! {
    /// `organization`.
    Organization {
        display_name: String = "displayName",
        tenant_type: String = "tenantType",
        created_date_time: String = "createdDateTime",
        country_letter_code: String = "countryLetterCode",
        default_usage_location: String = "defaultUsageLocation",
        preferred_language: String = "preferredLanguage",
        partner_tenant_type: String = "partnerTenantType",
        on_premises_sync_enabled: bool = "onPremisesSyncEnabled",
        on_premises_last_sync_date_time: String = "onPremisesLastSyncDateTime",
        technical_notification_mails: &'a RawValue = "technicalNotificationMails",
        assigned_plans: &'a RawValue = "assignedPlans",
        verified_domains: &'a RawValue = "verifiedDomains",
    }
}

resource! {
    /// `user`.
    User {
        display_name: String = "displayName",
        user_principal_name: String = "userPrincipalName",
        mail: String = "mail",
        account_enabled: bool = "accountEnabled",
        user_type: String = "userType",
        created_date_time: String = "createdDateTime",
        creation_type: String = "creationType",
        external_user_state: String = "externalUserState",
        department: String = "department",
        job_title: String = "jobTitle",
        usage_location: String = "usageLocation",
        on_premises_sync_enabled: bool = "onPremisesSyncEnabled",
        on_premises_immutable_id: String = "onPremisesImmutableId",
        last_password_change_date_time: String = "lastPasswordChangeDateTime",
        assigned_licenses: &'a RawValue = "assignedLicenses",
        license_assignment_states: &'a RawValue = "licenseAssignmentStates",
        proxy_addresses: &'a RawValue = "proxyAddresses",
    }
}

resource! {
    /// `group`.
    Group {
        display_name: String = "displayName",
        description: String = "description",
        mail: String = "mail",
        mail_enabled: bool = "mailEnabled",
        security_enabled: bool = "securityEnabled",
        group_types: &'a RawValue = "groupTypes",
        visibility: String = "visibility",
        membership_rule: String = "membershipRule",
        membership_rule_processing_state: String = "membershipRuleProcessingState",
        is_assignable_to_role: bool = "isAssignableToRole",
        on_premises_sync_enabled: bool = "onPremisesSyncEnabled",
        resource_provisioning_options: &'a RawValue = "resourceProvisioningOptions",
        created_date_time: String = "createdDateTime",
        assigned_licenses: &'a RawValue = "assignedLicenses",
    }
}

resource! {
    /// `subscribedSku`.
    SubscribedSku {
        account_id: String = "accountId",
        account_name: String = "accountName",
        sku_id: String = "skuId",
        sku_part_number: String = "skuPartNumber",
        applies_to: String = "appliesTo",
        capability_status: String = "capabilityStatus",
        consumed_units: i64 = "consumedUnits",
        prepaid_units: &'a RawValue = "prepaidUnits",
        service_plans: &'a RawValue = "servicePlans",
        subscription_ids: &'a RawValue = "subscriptionIds",
    }
}

resource! {
    /// `companySubscription`, of `/directory/subscriptions`.
    CompanySubscription {
        commerce_subscription_id: String = "commerceSubscriptionId",
        sku_id: String = "skuId",
        sku_part_number: String = "skuPartNumber",
        status: String = "status",
        total_licenses: i64 = "totalLicenses",
        is_trial: bool = "isTrial",
        created_date_time: String = "createdDateTime",
        next_lifecycle_date_time: String = "nextLifecycleDateTime",
        owner_id: String = "ownerId",
        owner_tenant_id: String = "ownerTenantId",
        owner_type: String = "ownerType",
        service_status: &'a RawValue = "serviceStatus",
    }
}

resource! {
    /// `secureScore`.
    SecureScore {
        azure_tenant_id: String = "azureTenantId",
        active_user_count: i64 = "activeUserCount",
        licensed_user_count: i64 = "licensedUserCount",
        created_date_time: String = "createdDateTime",
        current_score: &'a RawValue = "currentScore",
        max_score: &'a RawValue = "maxScore",
        enabled_services: &'a RawValue = "enabledServices",
        average_comparative_scores: &'a RawValue = "averageComparativeScores",
        control_scores: &'a RawValue = "controlScores",
        vendor_information: &'a RawValue = "vendorInformation",
    }
}

resource! {
    /// `managedDevice`.
    ManagedDevice {
        device_name: String = "deviceName",
        user_id: String = "userId",
        user_principal_name: String = "userPrincipalName",
        operating_system: String = "operatingSystem",
        os_version: String = "osVersion",
        compliance_state: String = "complianceState",
        is_encrypted: bool = "isEncrypted",
        jail_broken: String = "jailBroken",
        management_agent: String = "managementAgent",
        managed_device_owner_type: String = "managedDeviceOwnerType",
        device_enrollment_type: String = "deviceEnrollmentType",
        enrolled_date_time: String = "enrolledDateTime",
        last_sync_date_time: String = "lastSyncDateTime",
        manufacturer: String = "manufacturer",
        model: String = "model",
        serial_number: String = "serialNumber",
        azure_ad_device_id: String = "azureADDeviceId",
        azure_ad_registered: bool = "azureADRegistered",
        total_storage_space_in_bytes: i64 = "totalStorageSpaceInBytes",
        free_storage_space_in_bytes: i64 = "freeStorageSpaceInBytes",
        compliance_grace_period_expiration_date_time: String = "complianceGracePeriodExpirationDateTime",
        partner_reported_threat_state: String = "partnerReportedThreatState",
    }
}

/// A mailbox: a row of the usage report under the names of its JSON form, and what other sources
/// add.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Mailbox {
    /// Day the report was made.
    pub report_refresh_date: Text,
    /// Name to sign in with, of the mailbox.
    pub user_principal_name: Text,
    /// Name people see.
    pub display_name: Text,
    /// Whether the mailbox was deleted.
    pub is_deleted: Option<bool>,
    /// When, if so.
    pub deleted_date: Text,
    /// When the mailbox was made.
    pub created_date: Text,
    /// Last day with a message read, sent or received.
    pub last_activity_date: Text,
    /// Items.
    pub item_count: Option<i64>,
    /// Bytes.
    pub storage_used_in_bytes: Option<i64>,
    /// Deleted items.
    pub deleted_item_count: Option<i64>,
    /// Bytes.
    pub deleted_item_size_in_bytes: Option<i64>,
    /// Bytes.
    pub deleted_item_quota_in_bytes: Option<i64>,
    /// Bytes.
    pub issue_warning_quota_in_bytes: Option<i64>,
    /// Bytes.
    pub prohibit_send_quota_in_bytes: Option<i64>,
    /// Bytes.
    pub prohibit_send_receive_quota_in_bytes: Option<i64>,
    /// Whether it has an archive.
    pub has_archive: Option<bool>,
    /// Days the report covers, as text.
    pub report_period: Text,
    /// The user it belongs to.
    pub user_id: Text,
    /// `user`, `shared`, `room`, … as Graph's mailboxSettings say; null until asked.
    pub user_purpose: Text,
}
