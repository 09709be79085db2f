-- What happened that others want to know: written with the change, told later.
CREATE TABLE events (
    -- the organisation this row belongs to
    org_id BLOB NOT NULL CHECK (length(org_id) = 16),
    -- UUIDv7
    id BLOB NOT NULL CHECK (length(id) = 16),
    -- noun.verbPast
    kind TEXT NOT NULL,
    -- the tenant it is about
    tenant_id BLOB CHECK (length(tenant_id) = 16),
    -- the customer it is about
    customer_id BLOB CHECK (length(customer_id) = 16),
    -- JSON: ids and codes, no personal data
    document TEXT NOT NULL,
    -- when it happened
    created_at INTEGER NOT NULL,
    PRIMARY KEY (org_id, id),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE
);
CREATE INDEX events_by_tenant ON events (org_id, tenant_id, created_at);
CREATE INDEX events_by_time ON events (org_id, created_at);
INSERT INTO schema_compatibility (version, compatible_from, global_tables)
    VALUES ('202611221005000000', '202611211203000000', '');
