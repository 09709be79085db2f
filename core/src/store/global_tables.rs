//! The tables without an organisation in their primary key, each with its reason. The schema test
//! reads this list (Z1): a new table is either scoped or stands here.

/// A global table and why it is one.
pub struct GlobalTable {
    /// Its name.
    pub name: &'static str,
    /// Why it is not scoped, in one sentence.
    pub reason: &'static str,
}

/// All of them. None holds personal data.
pub const GLOBAL_TABLES: &[GlobalTable] = &[
    GlobalTable {
        name: "installation",
        reason: "one row about the installation itself",
    },
    GlobalTable {
        name: "organizations",
        reason: "the list of organisations",
    },
    GlobalTable {
        name: "api_keys",
        reason: "a key arrives before its organisation is known",
    },
    GlobalTable {
        name: "flow_index",
        reason: "a link or state arrives before its organisation is known",
    },
    GlobalTable {
        name: "work_items",
        reason: "workers claim across organisations in turn",
    },
    GlobalTable {
        name: "tenant_claims",
        reason: "a tenant is proven once in the whole installation",
    },
    GlobalTable {
        name: "throttle_holders",
        reason: "the processes of the installation, which share Microsoft's limits",
    },
    GlobalTable {
        name: "throttle_slices",
        reason: "Microsoft limits an application in a tenant, and in all tenants of all organisations together; no API answer reads it",
    },
    GlobalTable {
        name: "throttle_pauses",
        reason: "a pause that Microsoft named holds for whoever asks that tenant, or any; no API answer reads it",
    },
    GlobalTable {
        name: "psa_callback_index",
        reason: "a webhook of a PSA arrives before its organisation is known",
    },
    GlobalTable {
        name: "schema_compatibility",
        reason: "about the schema itself",
    },
    GlobalTable {
        name: "__diesel_schema_migrations",
        reason: "kept by the migration library",
    },
];
