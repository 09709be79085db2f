-- The organisation's connections to PSA systems.
CREATE TABLE psa_connections (
    -- the organisation this row belongs to
    org_id BLOB NOT NULL CHECK (length(org_id) = 16),
    -- UUIDv7
    id BLOB NOT NULL CHECK (length(id) = 16),
    -- which PSA
    kind TEXT NOT NULL CHECK (kind IN ('connectwise', 'autotask', 'halopsa')),
    -- as people call it
    name TEXT NOT NULL,
    -- as it was entered, in one spelling
    base_url TEXT NOT NULL,
    -- which system stands behind it; records of another one have other ids
    system TEXT NOT NULL,
    -- the data key of this connection, wrapped by the master key
    data_key BLOB NOT NULL,
    -- JSON of the credentials, sealed under the data key
    sealed_credentials BLOB NOT NULL,
    -- grows with each change of the credentials
    generation INTEGER NOT NULL,
    -- JSON: schedule, types, webhooks, tickets
    settings TEXT NOT NULL,
    -- JSON {code, detail, action, at}: what stands in the way; null when nothing is known to
    trouble TEXT,
    -- grows with each change by a person; the ETag
    version INTEGER NOT NULL,
    -- when it was created
    created_at INTEGER NOT NULL,
    -- when it last changed
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (org_id, id),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE
);
INSERT INTO schema_compatibility (version, compatible_from, global_tables)
    VALUES ('202611221000000000', '202611211203000000', '');
