//! The tables of both databases, in one list. A test reads every one of them through it on each.

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::{DbTs, DbUuid};

    installation (singleton) {
        singleton -> Integer,
        installation_id -> DbUuid,
        key_check -> Binary,
        key_epoch -> BigInt,
        created_at -> DbTs,
        cloud -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::{DbTs, DbUuid};

    organizations (id) {
        id -> DbUuid,
        name -> Text,
        created_at -> DbTs,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::{DbTs, DbUuid};

    api_keys (id) {
        id -> DbUuid,
        org_id -> DbUuid,
        key_hash -> Binary,
        role -> Text,
        created_at -> DbTs,
        expires_at -> Nullable<DbTs>,
        revoked_at -> Nullable<DbTs>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::{DbTs, DbUuid};

    audit_heads (org_id) {
        org_id -> DbUuid,
        sequence -> BigInt,
        hash -> Binary,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::{DbTs, DbUuid};

    audit_events (org_id, sequence) {
        org_id -> DbUuid,
        sequence -> BigInt,
        id -> DbUuid,
        at -> DbTs,
        actor_type -> Text,
        actor_id -> Nullable<Text>,
        request_id -> Nullable<DbUuid>,
        action -> Text,
        tenant_id -> Nullable<DbUuid>,
        details -> Text,
        hash -> Binary,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::{DbTs, DbUuid};

    customers (org_id, id) {
        org_id -> DbUuid,
        id -> DbUuid,
        name -> Text,
        search_text -> Text,
        domains -> Text,
        source -> Text,
        external_id -> Nullable<Text>,
        active -> Bool,
        version -> BigInt,
        created_at -> DbTs,
        changed_at -> DbTs,
        field_sources -> Text,
        source_system -> Nullable<Text>,
        merged_into -> Nullable<DbUuid>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::{DbTs, DbUuid};

    connections (org_id, id) {
        org_id -> DbUuid,
        id -> DbUuid,
        tenant_id -> DbUuid,
        connection_type -> Text,
        state -> Text,
        next_step -> Text,
        entered_tenant -> Text,
        customer_id -> Nullable<DbUuid>,
        return_url -> Nullable<Text>,
        data_key -> Nullable<Binary>,
        sealed_link -> Nullable<Binary>,
        signed_in -> Nullable<Text>,
        last_outcome -> Nullable<Text>,
        proof_deadline -> Nullable<DbTs>,
        created_at -> DbTs,
        expires_at -> DbTs,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::{DbTs, DbUuid};

    /// What a connection authenticates with where that is not the installation's registration.
    connection_credentials (org_id, connection_id) {
        org_id -> DbUuid,
        connection_id -> DbUuid,
        kind -> Text,
        client_id -> Nullable<Text>,
        sealed -> Binary,
        generation -> BigInt,
        held_by -> Nullable<DbUuid>,
        held_until -> Nullable<DbTs>,
        stored_at -> DbTs,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::{DbTs, DbUuid};

    tenants (org_id, tenant_id) {
        org_id -> DbUuid,
        tenant_id -> DbUuid,
        customer_id -> Nullable<DbUuid>,
        connection_id -> Nullable<DbUuid>,
        connection_type -> Text,
        status -> Text,
        display_name -> Text,
        display_name_set -> Bool,
        organization_name -> Nullable<Text>,
        default_domain -> Nullable<Text>,
        search_text -> Text,
        granted_permissions -> Text,
        missing_permissions -> Text,
        consented_by -> Nullable<Text>,
        connection_error -> Nullable<Text>,
        tags -> Text,
        notifications -> Bool,
        connected_at -> Nullable<DbTs>,
        last_completed_at -> Nullable<DbTs>,
        revoked_at -> Nullable<DbTs>,
        upstream_revoked -> Bool,
        version -> BigInt,
        created_at -> DbTs,
        unread_since -> Nullable<DbTs>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::{DbTs, DbUuid};

    authorization_requests (org_id, id) {
        org_id -> DbUuid,
        id -> DbUuid,
        connection_id -> DbUuid,
        leg -> Text,
        cookie_hash -> Nullable<Binary>,
        sealed_nonce -> Nullable<Binary>,
        sealed_verifier -> Nullable<Binary>,
        created_at -> DbTs,
        expires_at -> DbTs,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::{DbTs, DbUuid};

    flow_index (token_hash) {
        token_hash -> Binary,
        kind -> Text,
        org_id -> DbUuid,
        connection_id -> DbUuid,
        authorization_request_id -> Nullable<DbUuid>,
        expires_at -> DbTs,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::{DbTs, DbUuid};

    tenant_claims (tenant_id) {
        tenant_id -> DbUuid,
        org_id -> DbUuid,
        connection_id -> DbUuid,
        claimed_at -> DbTs,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::{DbTs, DbUuid};

    work_items (id) {
        id -> DbUuid,
        org_id -> DbUuid,
        tenant_id -> Nullable<DbUuid>,
        kind -> Text,
        subject_id -> DbUuid,
        due_at -> DbTs,
        lease_owner -> Nullable<DbUuid>,
        lease_until -> Nullable<DbTs>,
        fence -> BigInt,
        attempts -> Integer,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::{DbTs, DbUuid};

    sync_runs (org_id, tenant_id, id) {
        org_id -> DbUuid,
        tenant_id -> DbUuid,
        id -> DbUuid,
        kind -> Text,
        state -> Text,
        progress -> BigInt,
        created_at -> DbTs,
        started_at -> Nullable<DbTs>,
        finished_at -> Nullable<DbTs>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::{DbTs, DbUuid};

    sync_run_data_sets (org_id, tenant_id, run_id, name) {
        org_id -> DbUuid,
        tenant_id -> DbUuid,
        run_id -> DbUuid,
        name -> Text,
        position -> Integer,
        state -> Text,
        processed -> BigInt,
        expected -> Nullable<BigInt>,
        requests -> BigInt,
        retries -> BigInt,
        throttled_ms -> BigInt,
        warning -> Nullable<Text>,
        checkpoint -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::{DbTs, DbUuid};

    data_set_states (org_id, tenant_id, name) {
        org_id -> DbUuid,
        tenant_id -> DbUuid,
        name -> Text,
        generation -> BigInt,
        delta_link -> Nullable<Text>,
        as_of -> Nullable<DbTs>,
        held_back -> BigInt,
        held_back_generation -> Nullable<BigInt>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::{DbTs, DbUuid};

    tenant_status (org_id, tenant_id) {
        org_id -> DbUuid,
        tenant_id -> DbUuid,
        version -> BigInt,
        document -> Text,
        last_completed_at -> Nullable<DbTs>,
        sequence -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::{DbTs, DbUuid};

    status_sequences (org_id) {
        org_id -> DbUuid,
        last -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::{DbTs, DbUuid};

    inventory_objects (org_id, tenant_id, kind, object_key) {
        org_id -> DbUuid,
        tenant_id -> DbUuid,
        kind -> Integer,
        object_key -> DbUuid,
        name -> Nullable<Text>,
        document -> Text,
        generation -> BigInt,
        removed_at -> Nullable<DbTs>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::{DbTs, DbUuid};

    group_members (org_id, tenant_id, group_id, member_id) {
        org_id -> DbUuid,
        tenant_id -> DbUuid,
        group_id -> DbUuid,
        member_id -> DbUuid,
        member_type -> Text,
        name -> Nullable<Text>,
        generation -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::{DbTs, DbUuid};

    idempotency_keys (org_id, principal, route, key_hash) {
        org_id -> DbUuid,
        principal -> Text,
        route -> Text,
        key_hash -> Binary,
        request_hash -> Binary,
        status -> Nullable<Integer>,
        location -> Nullable<Text>,
        data_key -> Nullable<Binary>,
        sealed_answer -> Nullable<Binary>,
        row_id -> DbUuid,
        created_at -> DbTs,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::{DbTs, DbUuid};

    throttle_holders (id) {
        id -> DbUuid,
        lease_until -> DbTs,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::DbUuid;

    throttle_slices (application_id, tenant_id, workload, holder) {
        application_id -> Text,
        tenant_id -> DbUuid,
        workload -> Text,
        holder -> DbUuid,
        slices -> Integer,
        wants -> Integer,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::{DbTs, DbUuid};

    throttle_pauses (application_id, tenant_id, workload) {
        application_id -> Text,
        tenant_id -> DbUuid,
        workload -> Text,
        paused_until -> DbTs,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::{DbTs, DbUuid};

    psa_connections (org_id, id) {
        org_id -> DbUuid,
        id -> DbUuid,
        kind -> Text,
        name -> Text,
        base_url -> Text,
        system -> Text,
        data_key -> Binary,
        sealed_credentials -> Binary,
        generation -> BigInt,
        settings -> Text,
        trouble -> Nullable<Text>,
        version -> BigInt,
        created_at -> DbTs,
        changed_at -> DbTs,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::{DbTs, DbUuid};

    psa_callbacks (org_id, connection_id) {
        org_id -> DbUuid,
        connection_id -> DbUuid,
        external_id -> Nullable<Text>,
        sealed -> Binary,
        generation -> BigInt,
        changed_at -> DbTs,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::{DbTs, DbUuid};

    psa_callback_index (connection_id) {
        connection_id -> DbUuid,
        org_id -> DbUuid,
        path_hash -> Binary,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::{DbTs, DbUuid};

    psa_events_seen (org_id, connection_id, event_hash) {
        org_id -> DbUuid,
        connection_id -> DbUuid,
        event_hash -> Binary,
        seen_at -> DbTs,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::{DbTs, DbUuid};

    psa_records (org_id, connection_id, external_id) {
        org_id -> DbUuid,
        connection_id -> DbUuid,
        external_id -> Text,
        customer_id -> DbUuid,
        name -> Text,
        code -> Nullable<Text>,
        state -> Text,
        document -> Text,
        hash -> Binary,
        generation -> BigInt,
        misses -> Integer,
        changed_at -> DbTs,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::{DbTs, DbUuid};

    psa_hints (org_id, connection_id, external_id, source, kind, value) {
        org_id -> DbUuid,
        connection_id -> DbUuid,
        external_id -> Text,
        source -> Text,
        kind -> Text,
        value -> Text,
        contacts -> BigInt,
        generation -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::{DbTs, DbUuid};

    customer_sync_runs (org_id, connection_id, id) {
        org_id -> DbUuid,
        connection_id -> DbUuid,
        id -> DbUuid,
        kind -> Text,
        state -> Text,
        since -> Nullable<DbTs>,
        processed -> BigInt,
        expected -> Nullable<BigInt>,
        created -> BigInt,
        updated -> BigInt,
        deactivated -> BigInt,
        requests -> BigInt,
        warning -> Nullable<Text>,
        error -> Nullable<Text>,
        checkpoint -> Nullable<Text>,
        created_at -> DbTs,
        started_at -> Nullable<DbTs>,
        finished_at -> Nullable<DbTs>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::{DbTs, DbUuid};

    customer_sync_states (org_id, connection_id) {
        org_id -> DbUuid,
        connection_id -> DbUuid,
        generation -> BigInt,
        changes_since -> Nullable<DbTs>,
        next_incremental_at -> DbTs,
        next_full_at -> DbTs,
        held_back -> BigInt,
        held_back_generation -> Nullable<BigInt>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::{DbTs, DbUuid};

    psa_changes (org_id, connection_id, external_id) {
        org_id -> DbUuid,
        connection_id -> DbUuid,
        external_id -> Text,
        noted_at -> DbTs,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::{DbTs, DbUuid};

    events (org_id, id) {
        org_id -> DbUuid,
        id -> DbUuid,
        kind -> Text,
        tenant_id -> Nullable<DbUuid>,
        customer_id -> Nullable<DbUuid>,
        document -> Text,
        created_at -> DbTs,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::{DbTs, DbUuid};

    tickets (org_id, connection_id, key) {
        org_id -> DbUuid,
        connection_id -> DbUuid,
        key -> Text,
        tenant_id -> DbUuid,
        trouble -> Text,
        customer_external_id -> Text,
        state -> Text,
        external_id -> Nullable<Text>,
        number -> Nullable<Text>,
        in_doubt -> Bool,
        note -> Nullable<Text>,
        summary -> Text,
        description -> Text,
        attempts -> Integer,
        error -> Nullable<Text>,
        next_try_at -> Nullable<DbTs>,
        changed_at -> DbTs,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::{DbTs, DbUuid};

    organization_domains (org_id, domain) {
        org_id -> DbUuid,
        domain -> Text,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    installation,
    organizations,
    api_keys,
    audit_heads,
    audit_events,
    customers,
    connections,
    connection_credentials,
    tenants,
    authorization_requests,
    flow_index,
    tenant_claims,
    work_items,
    sync_runs,
    sync_run_data_sets,
    data_set_states,
    tenant_status,
    status_sequences,
    inventory_objects,
    group_members,
    idempotency_keys,
    throttle_holders,
    throttle_slices,
    throttle_pauses,
    psa_connections,
    psa_callbacks,
    psa_callback_index,
    psa_events_seen,
    psa_records,
    psa_hints,
    customer_sync_runs,
    customer_sync_states,
    psa_changes,
    events,
    tickets,
    organization_domains,
);

diesel::table! {
    use diesel::sql_types::*;

    schema_compatibility (version) {
        version -> Text,
        compatible_from -> Text,
        global_tables -> Text,
    }
}
