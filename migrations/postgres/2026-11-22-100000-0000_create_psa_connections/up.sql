-- The organisation's connections to PSA systems.
CREATE TABLE psa_connections (
    -- the organisation this row belongs to
    org_id uuid NOT NULL,
    -- UUIDv7
    id uuid NOT NULL,
    -- which PSA
    kind text NOT NULL CHECK (kind IN ('connectwise', 'autotask', 'halopsa')),
    -- as people call it
    name text NOT NULL,
    -- as it was entered, in one spelling
    base_url text NOT NULL,
    -- which system stands behind it; records of another one have other ids
    system text NOT NULL,
    -- the data key of this connection, wrapped by the master key
    data_key bytea NOT NULL,
    -- JSON of the credentials, sealed under the data key
    sealed_credentials bytea NOT NULL,
    -- grows with each change of the credentials
    generation bigint NOT NULL,
    -- JSON: schedule, types, webhooks, tickets
    settings text NOT NULL,
    -- JSON {code, detail, action, at}: what stands in the way; null when nothing is known to
    trouble text,
    -- grows with each change by a person; the ETag
    version bigint NOT NULL,
    -- when it was created
    created_at timestamptz NOT NULL,
    -- when it last changed
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, id),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE
);
ALTER TABLE psa_connections ENABLE ROW LEVEL SECURITY;
ALTER TABLE psa_connections FORCE ROW LEVEL SECURITY;
CREATE POLICY organization ON psa_connections
    USING (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid))
    WITH CHECK (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON psa_connections TO tenantry_app;
INSERT INTO schema_compatibility (version, compatible_from, global_tables)
    VALUES ('202611221000000000', '202611211203000000', '');
