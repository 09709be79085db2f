-- The webhook that a PSA calls when a customer changes.
CREATE TABLE psa_callbacks (
    -- the organisation this row belongs to
    org_id BLOB NOT NULL CHECK (length(org_id) = 16),
    -- the connection
    connection_id BLOB NOT NULL CHECK (length(connection_id) = 16),
    -- its id at the PSA; null while it is not set up there
    external_id TEXT,
    -- path secret and signing secret, sealed under the data key of the connection
    sealed BLOB NOT NULL,
    -- grows with each new secret
    generation INTEGER NOT NULL,
    -- when it last changed
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (org_id, connection_id),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, connection_id) REFERENCES psa_connections (org_id, id) ON DELETE CASCADE
);

-- Global: a webhook arrives before its organisation is known. Ids and hashes only.
CREATE TABLE psa_callback_index (
    -- the connection
    connection_id BLOB NOT NULL CHECK (length(connection_id) = 16),
    -- whose connection it is
    org_id BLOB NOT NULL CHECK (length(org_id) = 16),
    -- SHA-256 of the secret in the path
    path_hash BLOB NOT NULL,
    PRIMARY KEY (connection_id),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, connection_id) REFERENCES psa_connections (org_id, id) ON DELETE CASCADE
);

-- Webhooks that were taken, for a day, so that none counts twice.
CREATE TABLE psa_events_seen (
    -- the organisation this row belongs to
    org_id BLOB NOT NULL CHECK (length(org_id) = 16),
    -- the connection
    connection_id BLOB NOT NULL CHECK (length(connection_id) = 16),
    -- SHA-256 of the event's id
    event_hash BLOB NOT NULL,
    -- when it came
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (org_id, connection_id, event_hash),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, connection_id) REFERENCES psa_connections (org_id, id) ON DELETE CASCADE
);
CREATE INDEX psa_events_seen_by_time ON psa_events_seen (org_id, seen_at);
INSERT INTO schema_compatibility (version, compatible_from, global_tables)
    VALUES ('202611221001000000', '202611211203000000', 'psa_callback_index');
