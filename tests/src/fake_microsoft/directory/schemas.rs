//! Which properties the types have: those we store, and all that Graph knows of.

use super::entity::Schema;

/// A user.
pub static USER: Schema = Schema {
    type_name: "user",
    documented: &[
        "id",
        "displayName",
        "userPrincipalName",
        "mail",
        "accountEnabled",
        "userType",
        "createdDateTime",
        "creationType",
        "externalUserState",
        "department",
        "jobTitle",
        "usageLocation",
        "onPremisesSyncEnabled",
        "onPremisesImmutableId",
        "lastPasswordChangeDateTime",
        "assignedLicenses",
        "licenseAssignmentStates",
        "proxyAddresses",
    ],
    extra: &[
        "businessPhones",
        "givenName",
        "mobilePhone",
        "officeLocation",
        "preferredLanguage",
        "surname",
        "signInActivity",
    ],
    default: &[
        "businessPhones",
        "displayName",
        "givenName",
        "id",
        "jobTitle",
        "mail",
        "mobilePhone",
        "officeLocation",
        "preferredLanguage",
        "surname",
        "userPrincipalName",
    ],
    not_listable: &[
        "aboutMe",
        "birthday",
        "hireDate",
        "interests",
        "mySite",
        "pastProjects",
        "preferredName",
        "responsibilities",
        "schools",
        "skills",
        "mailboxSettings",
    ],
    known: "id deletedDateTime aboutMe accountEnabled ageGroup assignedLicenses* assignedPlans* \
        authorizationInfo birthday businessPhones* city companyName consentProvidedForMinor \
        country createdDateTime creationType customSecurityAttributes department \
        deviceEnrollmentLimit displayName employeeHireDate employeeId employeeLeaveDateTime \
        employeeOrgData employeeType externalUserState externalUserStateChangeDateTime \
        faxNumber givenName hireDate identities* identityParentId imAddresses* interests* \
        isManagementRestricted isResourceAccount jobTitle lastPasswordChangeDateTime \
        legalAgeGroupClassification licenseAssignmentStates* mail mailboxSettings \
        mailNickname mobilePhone mySite officeLocation onPremisesDistinguishedName \
        onPremisesDomainName onPremisesExtensionAttributes onPremisesImmutableId \
        onPremisesLastSyncDateTime onPremisesProvisioningErrors* onPremisesSamAccountName \
        onPremisesSecurityIdentifier onPremisesSyncEnabled onPremisesUserPrincipalName \
        otherMails* passwordPolicies passwordProfile pastProjects* postalCode \
        preferredDataLocation preferredLanguage preferredName print provisionedPlans* \
        proxyAddresses* responsibilities* schools* securityIdentifier \
        serviceProvisioningErrors* showInAddressList signInActivity \
        signInSessionsValidFromDateTime skills* state streetAddress surname usageLocation \
        userPrincipalName userType",
};

/// A group.
pub static GROUP: Schema = Schema {
    type_name: "group",
    documented: &[
        "id",
        "displayName",
        "description",
        "mail",
        "mailEnabled",
        "securityEnabled",
        "groupTypes",
        "visibility",
        "membershipRule",
        "membershipRuleProcessingState",
        "isAssignableToRole",
        "onPremisesSyncEnabled",
        "resourceProvisioningOptions",
        "createdDateTime",
        "assignedLicenses",
    ],
    extra: &["mailNickname"],
    default: &[
        "id",
        "displayName",
        "description",
        "mail",
        "mailEnabled",
        "mailNickname",
        "securityEnabled",
        "groupTypes",
        "visibility",
        "membershipRule",
        "membershipRuleProcessingState",
        "isAssignableToRole",
        "onPremisesSyncEnabled",
        "resourceProvisioningOptions",
        "createdDateTime",
    ],
    not_listable: &[
        "allowExternalSenders",
        "autoSubscribeNewMembers",
        "hideFromAddressLists",
        "hideFromOutlookClients",
        "isSubscribedByMail",
        "unseenCount",
    ],
    known: "id deletedDateTime accessType allowExternalSenders assignedLabels* assignedLicenses* \
        autoSubscribeNewMembers classification createdDateTime description displayName \
        expirationDateTime groupTypes* hasMembersWithLicenseErrors hideFromAddressLists \
        hideFromOutlookClients infoCatalogs* isArchived isAssignableToRole isFavorite \
        isManagementRestricted isSubscribedByMail licenseProcessingState mail mailEnabled \
        mailNickname membershipRule membershipRuleProcessingState onPremisesDomainName \
        onPremisesExtensionAttributes onPremisesLastSyncDateTime onPremisesNetBiosName \
        onPremisesProvisioningErrors* onPremisesSamAccountName onPremisesSecurityIdentifier \
        onPremisesSyncEnabled organizationId preferredDataLocation preferredLanguage \
        proxyAddresses* renewedDateTime resourceBehaviorOptions* \
        resourceProvisioningOptions* securityEnabled securityIdentifier \
        serviceProvisioningErrors* theme uniqueName unseenConversationsCount unseenCount \
        unseenMessagesCount visibility welcomeMessageEnabled",
};

/// The tenant itself.
pub static ORGANIZATION: Schema = Schema {
    type_name: "organization",
    documented: &[
        "id",
        "displayName",
        "tenantType",
        "createdDateTime",
        "countryLetterCode",
        "defaultUsageLocation",
        "preferredLanguage",
        "partnerTenantType",
        "onPremisesSyncEnabled",
        "onPremisesLastSyncDateTime",
        "technicalNotificationMails",
        "assignedPlans",
        "verifiedDomains",
    ],
    extra: &["city", "country", "businessPhones"],
    default: &[],
    not_listable: &[],
    known: "id deletedDateTime assignedPlans* businessPhones* city country countryLetterCode \
        createdDateTime defaultUsageLocation displayName marketingNotificationEmails* \
        mobileDeviceManagementAuthority onPremisesLastSyncDateTime onPremisesSyncEnabled \
        partnerTenantType postalCode preferredLanguage privacyProfile provisionedPlans* \
        securityComplianceNotificationMails* securityComplianceNotificationPhones* state \
        street technicalNotificationMails* tenantType verifiedDomains*",
};

/// A product the tenant bought.
pub static SUBSCRIBED_SKU: Schema = Schema {
    type_name: "subscribedSku",
    documented: &[
        "id",
        "accountId",
        "accountName",
        "skuId",
        "skuPartNumber",
        "appliesTo",
        "capabilityStatus",
        "consumedUnits",
        "prepaidUnits",
        "servicePlans",
        "subscriptionIds",
    ],
    extra: &[],
    default: &[],
    not_listable: &[],
    known: "id accountId accountName appliesTo capabilityStatus consumedUnits prepaidUnits \
        servicePlans* skuId skuPartNumber subscriptionIds*",
};

/// A commercial subscription with its terms.
pub static SUBSCRIPTION: Schema = Schema {
    type_name: "companySubscription",
    documented: &[
        "id",
        "commerceSubscriptionId",
        "skuId",
        "skuPartNumber",
        "status",
        "totalLicenses",
        "isTrial",
        "createdDateTime",
        "nextLifecycleDateTime",
        "ownerId",
        "ownerTenantId",
        "ownerType",
        "serviceStatus",
    ],
    extra: &[],
    default: &[],
    not_listable: &[],
    known: "id commerceSubscriptionId createdDateTime isTrial nextLifecycleDateTime ownerId \
        ownerTenantId ownerType serviceStatus* skuId skuPartNumber status totalLicenses",
};

/// The score of one day.
pub static SECURE_SCORE: Schema = Schema {
    type_name: "secureScore",
    documented: &[
        "id",
        "azureTenantId",
        "activeUserCount",
        "licensedUserCount",
        "createdDateTime",
        "currentScore",
        "maxScore",
        "enabledServices",
        "averageComparativeScores",
        "controlScores",
        "vendorInformation",
    ],
    extra: &[],
    default: &[],
    not_listable: &[],
    known: "id activeUserCount averageComparativeScores* azureTenantId controlScores* \
        createdDateTime currentScore enabledServices* licensedUserCount maxScore \
        vendorInformation",
};

/// What a control of the score is about.
pub static CONTROL_PROFILE: Schema = Schema {
    type_name: "secureScoreControlProfile",
    documented: &[
        "id",
        "title",
        "maxScore",
        "rank",
        "tier",
        "service",
        "userImpact",
        "implementationCost",
        "remediation",
        "threats",
        "actionUrl",
        "deprecated",
        "controlStateUpdates",
        "lastModifiedDateTime",
    ],
    extra: &[
        "azureTenantId",
        "controlCategory",
        "actionType",
        "vendorInformation",
    ],
    default: &[],
    not_listable: &[],
    known: "id actionType actionUrl azureTenantId complianceInformation* controlCategory \
        controlStateUpdates* deprecated implementationCost lastModifiedDateTime maxScore \
        rank remediation remediationImpact service threats* tier title userImpact \
        vendorInformation",
};

/// A device that Intune manages.
pub static MANAGED_DEVICE: Schema = Schema {
    type_name: "managedDevice",
    documented: &[
        "id",
        "deviceName",
        "userId",
        "userPrincipalName",
        "operatingSystem",
        "osVersion",
        "complianceState",
        "isEncrypted",
        "jailBroken",
        "managementAgent",
        "managedDeviceOwnerType",
        "deviceEnrollmentType",
        "enrolledDateTime",
        "lastSyncDateTime",
        "manufacturer",
        "model",
        "serialNumber",
        "azureADDeviceId",
        "azureADRegistered",
        "totalStorageSpaceInBytes",
        "freeStorageSpaceInBytes",
        "complianceGracePeriodExpirationDateTime",
        "partnerReportedThreatState",
    ],
    extra: &["emailAddress", "userDisplayName", "isSupervised", "imei"],
    default: &[],
    not_listable: &[],
    known: "id activationLockBypassCode androidSecurityPatchLevel azureADDeviceId \
        azureADRegistered complianceGracePeriodExpirationDateTime complianceState \
        configurationManagerClientEnabledFeatures deviceActionResults* \
        deviceCategoryDisplayName deviceEnrollmentType deviceHealthAttestationState \
        deviceName deviceRegistrationState easActivated easActivationDateTime easDeviceId \
        emailAddress enrolledDateTime enrollmentProfileName ethernetMacAddress \
        exchangeAccessState exchangeAccessStateReason exchangeLastSuccessfulSyncDateTime \
        freeStorageSpaceInBytes iccid imei isEncrypted isSupervised jailBroken \
        lastSyncDateTime managedDeviceName managedDeviceOwnerType managementAgent \
        managementCertificateExpirationDate managementState manufacturer meid model notes \
        operatingSystem osVersion partnerReportedThreatState phoneNumber \
        physicalMemoryInBytes remoteAssistanceSessionErrorDetails remoteAssistanceSessionUrl \
        requireUserEnrollmentApproval serialNumber subscriberCarrier \
        totalStorageSpaceInBytes udid userDisplayName userId userPrincipalName \
        wiFiMacAddress",
};

/// A device object of the directory (not Intune's).
pub static DEVICE: Schema = Schema {
    type_name: "device",
    documented: &[
        "id",
        "displayName",
        "accountEnabled",
        "deviceId",
        "operatingSystem",
        "operatingSystemVersion",
        "trustType",
    ],
    extra: &[],
    default: &[],
    not_listable: &[],
    known: "id deletedDateTime accountEnabled alternativeSecurityIds* \
        approximateLastSignInDateTime complianceExpirationDateTime deviceCategory deviceId \
        deviceMetadata deviceOwnership deviceVersion displayName enrollmentProfileName \
        enrollmentType isCompliant isManaged isManagementRestricted isRooted managementType \
        manufacturer mdmAppId model onPremisesLastSyncDateTime onPremisesSecurityIdentifier \
        onPremisesSyncEnabled operatingSystem operatingSystemVersion physicalIds* \
        profileType registrationDateTime systemLabels* trustType",
};

/// An enterprise application.
pub static SERVICE_PRINCIPAL: Schema = Schema {
    type_name: "servicePrincipal",
    documented: &[
        "id",
        "displayName",
        "appId",
        "servicePrincipalType",
        "accountEnabled",
    ],
    extra: &[],
    default: &[],
    not_listable: &[],
    known: "id deletedDateTime accountEnabled addIns* alternativeNames* appDescription \
        appDisplayName appId applicationTemplateId appOwnerOrganizationId \
        appRoleAssignmentRequired appRoles* createdByAppId customSecurityAttributes \
        description disabledByMicrosoftStatus displayName homepage info isDisabled \
        keyCredentials* loginUrl logoutUrl notes notificationEmailAddresses* \
        oauth2PermissionScopes* passwordCredentials* preferredSingleSignOnMode \
        preferredTokenSigningKeyThumbprint replyUrls* \
        resourceSpecificApplicationPermissions* samlSingleSignOnSettings \
        servicePrincipalNames* servicePrincipalType signInAudience tags* \
        tokenEncryptionKeyId verifiedPublisher",
};

/// A mail contact.
pub static ORG_CONTACT: Schema = Schema {
    type_name: "orgContact",
    documented: &["id", "displayName", "mail"],
    extra: &[],
    default: &[],
    not_listable: &[],
    known: "id deletedDateTime addresses* companyName department displayName givenName jobTitle \
        mail mailNickname onPremisesLastSyncDateTime onPremisesProvisioningErrors* \
        onPremisesSyncEnabled phones* proxyAddresses* serviceProvisioningErrors* surname",
};

/// An activated directory role.
pub static DIRECTORY_ROLE: Schema = Schema {
    type_name: "directoryRole",
    documented: &["id", "displayName", "description", "roleTemplateId"],
    extra: &[],
    default: &[],
    not_listable: &[],
    known: "id deletedDateTime description displayName roleTemplateId",
};
