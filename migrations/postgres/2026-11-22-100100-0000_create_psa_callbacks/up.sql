-- The webhook that a PSA calls when a customer changes.
CREATE TABLE psa_callbacks (
    -- the organisation this row belongs to
    org_id uuid NOT NULL,
    -- the connection
    connection_id uuid NOT NULL,
    -- its id at the PSA; null while it is not set up there
    external_id text,
    -- path secret and signing secret, sealed under the data key of the connection
    sealed bytea NOT NULL,
    -- grows with each new secret
    generation bigint NOT NULL,
    -- when it last changed
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, connection_id),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, connection_id) REFERENCES psa_connections (org_id, id) ON DELETE CASCADE
);
ALTER TABLE psa_callbacks ENABLE ROW LEVEL SECURITY;
ALTER TABLE psa_callbacks FORCE ROW LEVEL SECURITY;
CREATE POLICY organization ON psa_callbacks
    USING (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid))
    WITH CHECK (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON psa_callbacks TO tenantry_app;

-- Global: a webhook arrives before its organisation is known. Ids and hashes only.
CREATE TABLE psa_callback_index (
    -- the connection
    connection_id uuid NOT NULL,
    -- whose connection it is
    org_id uuid NOT NULL,
    -- SHA-256 of the secret in the path
    path_hash bytea NOT NULL,
    PRIMARY KEY (connection_id),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, connection_id) REFERENCES psa_connections (org_id, id) ON DELETE CASCADE
);
GRANT SELECT, INSERT, UPDATE, DELETE ON psa_callback_index TO tenantry_app;

-- Webhooks that were taken, for a day, so that none counts twice.
CREATE TABLE psa_events_seen (
    -- the organisation this row belongs to
    org_id uuid NOT NULL,
    -- the connection
    connection_id uuid NOT NULL,
    -- SHA-256 of the event's id
    event_hash bytea NOT NULL,
    -- when it came
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, connection_id, event_hash),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, connection_id) REFERENCES psa_connections (org_id, id) ON DELETE CASCADE
);
CREATE INDEX psa_events_seen_by_time ON psa_events_seen (org_id, seen_at);
ALTER TABLE psa_events_seen ENABLE ROW LEVEL SECURITY;
ALTER TABLE psa_events_seen FORCE ROW LEVEL SECURITY;
CREATE POLICY organization ON psa_events_seen
    USING (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid))
    WITH CHECK (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON psa_events_seen TO tenantry_app;
INSERT INTO schema_compatibility (version, compatible_from, global_tables)
    VALUES ('202611221001000000', '202611211203000000', 'psa_callback_index');
