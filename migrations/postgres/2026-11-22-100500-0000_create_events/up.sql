-- What happened that others want to know: written with the change, told later.
CREATE TABLE events (
    -- the organisation this row belongs to
    org_id uuid NOT NULL,
    -- UUIDv7
    id uuid NOT NULL,
    -- noun.verbPast
    kind text NOT NULL,
    -- the tenant it is about
    tenant_id uuid,
    -- the customer it is about
    customer_id uuid,
    -- JSON: ids and codes, no personal data
    document text NOT NULL,
    -- when it happened
    created_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, id),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE
);
CREATE INDEX events_by_tenant ON events (org_id, tenant_id, created_at);
CREATE INDEX events_by_time ON events (org_id, created_at);
ALTER TABLE events ENABLE ROW LEVEL SECURITY;
ALTER TABLE events FORCE ROW LEVEL SECURITY;
CREATE POLICY organization ON events
    USING (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid))
    WITH CHECK (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON events TO tenantry_app;
INSERT INTO schema_compatibility (version, compatible_from, global_tables)
    VALUES ('202611221005000000', '202611211203000000', '');
