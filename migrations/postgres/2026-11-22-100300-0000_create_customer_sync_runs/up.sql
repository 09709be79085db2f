-- One read of a PSA's customers.
CREATE TABLE customer_sync_runs (
    -- the organisation this row belongs to
    org_id uuid NOT NULL,
    -- the connection it reads through
    connection_id uuid NOT NULL,
    -- UUIDv7
    id uuid NOT NULL,
    -- what it reads
    kind text NOT NULL CHECK (kind IN ('incremental', 'full')),
    -- as of tenant syncs
    state text NOT NULL CHECK (state IN ('queued', 'running', 'completed', 'completedWithWarnings', 'failed', 'cancelled')),
    -- changes from this moment on; null for a full read
    since timestamptz,
    -- records read
    processed bigint NOT NULL DEFAULT 0,
    -- how many there will be, once known
    expected bigint,
    -- customers made
    created bigint NOT NULL DEFAULT 0,
    -- customers changed
    updated bigint NOT NULL DEFAULT 0,
    -- customers deactivated
    deactivated bigint NOT NULL DEFAULT 0,
    -- calls to the PSA
    requests bigint NOT NULL DEFAULT 0,
    -- JSON {code, detail, action}
    warning text,
    -- JSON {code, detail, action, at}: why it failed
    error text,
    -- JSON: where to go on; null before the first page
    checkpoint text,
    -- when it was asked for
    created_at timestamptz NOT NULL,
    -- when a worker first took it
    started_at timestamptz,
    -- when it ended
    finished_at timestamptz,
    PRIMARY KEY (org_id, connection_id, id),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, connection_id) REFERENCES psa_connections (org_id, id) ON DELETE CASCADE
);
ALTER TABLE customer_sync_runs ENABLE ROW LEVEL SECURITY;
ALTER TABLE customer_sync_runs FORCE ROW LEVEL SECURITY;
CREATE POLICY organization ON customer_sync_runs
    USING (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid))
    WITH CHECK (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON customer_sync_runs TO tenantry_app;

-- What outlives a run: what the next one reads, and when.
CREATE TABLE customer_sync_states (
    -- the organisation this row belongs to
    org_id uuid NOT NULL,
    -- the connection
    connection_id uuid NOT NULL,
    -- number of the last full read begun
    generation bigint NOT NULL DEFAULT 0,
    -- where the next incremental read begins; null: read in full
    changes_since timestamptz,
    -- when the next one is due
    next_incremental_at timestamptz NOT NULL,
    -- when the next full read is due
    next_full_at timestamptz NOT NULL,
    -- customers whose disappearance waits for another full read
    held_back bigint NOT NULL DEFAULT 0,
    -- the full read that missed them; null when nothing is held back
    held_back_generation bigint,
    PRIMARY KEY (org_id, connection_id),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, connection_id) REFERENCES psa_connections (org_id, id) ON DELETE CASCADE
);
ALTER TABLE customer_sync_states ENABLE ROW LEVEL SECURITY;
ALTER TABLE customer_sync_states FORCE ROW LEVEL SECURITY;
CREATE POLICY organization ON customer_sync_states
    USING (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid))
    WITH CHECK (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON customer_sync_states TO tenantry_app;

-- Records that a webhook named, to be read again.
CREATE TABLE psa_changes (
    -- the organisation this row belongs to
    org_id uuid NOT NULL,
    -- the connection
    connection_id uuid NOT NULL,
    -- the record
    external_id text NOT NULL,
    -- when it was named
    noted_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, connection_id, external_id),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, connection_id) REFERENCES psa_connections (org_id, id) ON DELETE CASCADE
);
ALTER TABLE psa_changes ENABLE ROW LEVEL SECURITY;
ALTER TABLE psa_changes FORCE ROW LEVEL SECURITY;
CREATE POLICY organization ON psa_changes
    USING (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid))
    WITH CHECK (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON psa_changes TO tenantry_app;
INSERT INTO schema_compatibility (version, compatible_from, global_tables)
    VALUES ('202611221003000000', '202611211203000000', '');
