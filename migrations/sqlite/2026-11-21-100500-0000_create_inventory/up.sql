-- What the last sync found: one row an object, in Microsoft's own words.
CREATE TABLE inventory_objects (
    -- the organisation this row belongs to
    org_id BLOB NOT NULL CHECK (length(org_id) = 16),
    -- the tenant
    tenant_id BLOB NOT NULL CHECK (length(tenant_id) = 16),
    -- which collection; numbers in inventory/model.rs
    kind INTEGER NOT NULL,
    -- Microsoft's GUID, or the first 16 bytes of SHA-256 of an id that is none
    object_key BLOB NOT NULL CHECK (length(object_key) = 16),
    -- display name in lower case, for ?search=
    name TEXT,
    -- JSON with Microsoft Graph's own names
    document TEXT NOT NULL,
    -- the full read that last saw it
    generation INTEGER NOT NULL,
    -- when a complete read or a delta no longer had it
    removed_at INTEGER,
    PRIMARY KEY (org_id, tenant_id, kind, object_key),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, tenant_id) REFERENCES tenants (org_id, tenant_id) ON DELETE CASCADE
);

-- Who is in which group.
CREATE TABLE group_members (
    -- the organisation this row belongs to
    org_id BLOB NOT NULL CHECK (length(org_id) = 16),
    -- the tenant
    tenant_id BLOB NOT NULL CHECK (length(tenant_id) = 16),
    -- the group
    group_id BLOB NOT NULL CHECK (length(group_id) = 16),
    -- the member
    member_id BLOB NOT NULL CHECK (length(member_id) = 16),
    -- Microsoft's @odata.type
    member_type TEXT NOT NULL,
    -- display name where the member is no object of ours
    name TEXT,
    -- the full read that last saw it
    generation INTEGER NOT NULL,
    PRIMARY KEY (org_id, tenant_id, group_id, member_id),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, tenant_id) REFERENCES tenants (org_id, tenant_id) ON DELETE CASCADE
);
