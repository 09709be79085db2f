-- What the last sync found: one row an object, in Microsoft's own words.
CREATE TABLE inventory_objects (
    -- the organisation this row belongs to
    org_id uuid NOT NULL,
    -- the tenant
    tenant_id uuid NOT NULL,
    -- which collection; numbers in inventory/model.rs
    kind integer NOT NULL,
    -- Microsoft's GUID, or the first 16 bytes of SHA-256 of an id that is none
    object_key uuid NOT NULL,
    -- display name in lower case, for ?search=
    name text,
    -- JSON with Microsoft Graph's own names
    document text NOT NULL,
    -- the full read that last saw it
    generation bigint NOT NULL,
    -- when a complete read or a delta no longer had it
    removed_at timestamptz,
    PRIMARY KEY (org_id, tenant_id, kind, object_key),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, tenant_id) REFERENCES tenants (org_id, tenant_id) ON DELETE CASCADE
);
ALTER TABLE inventory_objects ENABLE ROW LEVEL SECURITY;
ALTER TABLE inventory_objects FORCE ROW LEVEL SECURITY;
CREATE POLICY organization ON inventory_objects
    USING (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid))
    WITH CHECK (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON inventory_objects TO tenantry_app;

-- Who is in which group.
CREATE TABLE group_members (
    -- the organisation this row belongs to
    org_id uuid NOT NULL,
    -- the tenant
    tenant_id uuid NOT NULL,
    -- the group
    group_id uuid NOT NULL,
    -- the member
    member_id uuid NOT NULL,
    -- Microsoft's @odata.type
    member_type text NOT NULL,
    -- display name where the member is no object of ours
    name text,
    -- the full read that last saw it
    generation bigint NOT NULL,
    PRIMARY KEY (org_id, tenant_id, group_id, member_id),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, tenant_id) REFERENCES tenants (org_id, tenant_id) ON DELETE CASCADE
);
ALTER TABLE group_members ENABLE ROW LEVEL SECURITY;
ALTER TABLE group_members FORCE ROW LEVEL SECURITY;
CREATE POLICY organization ON group_members
    USING (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid))
    WITH CHECK (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON group_members TO tenantry_app;
