-- One read of a PSA's customers.
CREATE TABLE customer_sync_runs (
    -- the organisation this row belongs to
    org_id BLOB NOT NULL CHECK (length(org_id) = 16),
    -- the connection it reads through
    connection_id BLOB NOT NULL CHECK (length(connection_id) = 16),
    -- UUIDv7
    id BLOB NOT NULL CHECK (length(id) = 16),
    -- what it reads
    kind TEXT NOT NULL CHECK (kind IN ('incremental', 'full')),
    -- as of tenant syncs
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'completed', 'completedWithWarnings', 'failed', 'cancelled')),
    -- changes from this moment on; null for a full read
    since INTEGER,
    -- records read
    processed INTEGER NOT NULL DEFAULT 0,
    -- how many there will be, once known
    expected INTEGER,
    -- customers made
    created INTEGER NOT NULL DEFAULT 0,
    -- customers changed
    updated INTEGER NOT NULL DEFAULT 0,
    -- customers deactivated
    deactivated INTEGER NOT NULL DEFAULT 0,
    -- calls to the PSA
    requests INTEGER NOT NULL DEFAULT 0,
    -- JSON {code, detail, action}
    warning TEXT,
    -- JSON {code, detail, action, at}: why it failed
    error TEXT,
    -- JSON: where to go on; null before the first page
    checkpoint TEXT,
    -- when it was asked for
    created_at INTEGER NOT NULL,
    -- when a worker first took it
    started_at INTEGER,
    -- when it ended
    finished_at INTEGER,
    PRIMARY KEY (org_id, connection_id, id),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, connection_id) REFERENCES psa_connections (org_id, id) ON DELETE CASCADE
);

-- What outlives a run: what the next one reads, and when.
CREATE TABLE customer_sync_states (
    -- the organisation this row belongs to
    org_id BLOB NOT NULL CHECK (length(org_id) = 16),
    -- the connection
    connection_id BLOB NOT NULL CHECK (length(connection_id) = 16),
    -- number of the last full read begun
    generation INTEGER NOT NULL DEFAULT 0,
    -- where the next incremental read begins; null: read in full
    changes_since INTEGER,
    -- when the next one is due
    next_incremental_at INTEGER NOT NULL,
    -- when the next full read is due
    next_full_at INTEGER NOT NULL,
    -- customers whose disappearance waits for another full read
    held_back INTEGER NOT NULL DEFAULT 0,
    -- the full read that missed them; null when nothing is held back
    held_back_generation INTEGER,
    PRIMARY KEY (org_id, connection_id),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, connection_id) REFERENCES psa_connections (org_id, id) ON DELETE CASCADE
);

-- Records that a webhook named, to be read again.
CREATE TABLE psa_changes (
    -- the organisation this row belongs to
    org_id BLOB NOT NULL CHECK (length(org_id) = 16),
    -- the connection
    connection_id BLOB NOT NULL CHECK (length(connection_id) = 16),
    -- the record
    external_id TEXT NOT NULL,
    -- when it was named
    noted_at INTEGER NOT NULL,
    PRIMARY KEY (org_id, connection_id, external_id),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, connection_id) REFERENCES psa_connections (org_id, id) ON DELETE CASCADE
);
INSERT INTO schema_compatibility (version, compatible_from, global_tables)
    VALUES ('202611221003000000', '202611211203000000', '');
