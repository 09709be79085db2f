-- Global: the queue of durable work, claimed across organisations in turn. Ids only, no personal data.
CREATE TABLE work_items (
    -- UUIDv7
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    -- the organisation the work is for
    org_id BLOB NOT NULL REFERENCES organizations (id) ON DELETE CASCADE CHECK (length(org_id) = 16),
    -- the tenant the work is for
    tenant_id BLOB NOT NULL CHECK (length(tenant_id) = 16),
    -- what to do
    kind TEXT NOT NULL CHECK (kind IN ('proof', 'sync', 'mailboxPurposes')),
    -- the connection to prove or the run to go on with
    subject_id BLOB NOT NULL CHECK (length(subject_id) = 16),
    -- not before
    due_at INTEGER NOT NULL,
    -- the worker that holds it; null when free
    lease_owner BLOB CHECK (length(lease_owner) = 16),
    -- by database time; past it anyone may take it
    lease_until INTEGER,
    -- grows with each claim; a write with an older one is refused
    fence INTEGER NOT NULL DEFAULT 0,
    -- claims so far, counted before the work begins
    attempts INTEGER NOT NULL DEFAULT 0
);

CREATE INDEX work_items_by_due ON work_items (org_id, due_at);
CREATE UNIQUE INDEX work_items_by_subject ON work_items (kind, subject_id);

-- One run over a tenant's data sets.
CREATE TABLE sync_runs (
    -- the organisation this row belongs to
    org_id BLOB NOT NULL CHECK (length(org_id) = 16),
    -- the tenant
    tenant_id BLOB NOT NULL CHECK (length(tenant_id) = 16),
    -- UUIDv7
    id BLOB NOT NULL CHECK (length(id) = 16),
    -- what the run reads
    kind TEXT NOT NULL CHECK (kind IN ('initial', 'delta', 'full')),
    -- the contract's six
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'completed', 'completedWithWarnings', 'failed', 'cancelled')),
    -- millionths; never falls
    progress INTEGER NOT NULL DEFAULT 0,
    -- when it was asked for
    created_at INTEGER NOT NULL,
    -- when a worker first took it
    started_at INTEGER,
    -- when it ended
    finished_at INTEGER,
    PRIMARY KEY (org_id, tenant_id, id),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, tenant_id) REFERENCES tenants (org_id, tenant_id) ON DELETE CASCADE
);

-- The data sets of a run with their checkpoint.
CREATE TABLE sync_run_data_sets (
    -- the organisation this row belongs to
    org_id BLOB NOT NULL CHECK (length(org_id) = 16),
    -- the tenant
    tenant_id BLOB NOT NULL CHECK (length(tenant_id) = 16),
    -- the run
    run_id BLOB NOT NULL CHECK (length(run_id) = 16),
    -- the contract's name of the data set
    name TEXT NOT NULL,
    -- order in which the status lists it
    position INTEGER NOT NULL,
    -- the contract's five
    state TEXT NOT NULL CHECK (state IN ('pending', 'running', 'completed', 'skipped', 'failed')),
    -- objects of the main list
    processed INTEGER NOT NULL DEFAULT 0,
    -- how many there will be, once known
    expected INTEGER,
    -- calls to Microsoft
    requests INTEGER NOT NULL DEFAULT 0,
    -- calls made again
    retries INTEGER NOT NULL DEFAULT 0,
    -- time waited because Microsoft asked for it
    throttled_ms INTEGER NOT NULL DEFAULT 0,
    -- JSON {code, detail, action}
    warning TEXT,
    -- JSON: where to go on; null before the first page
    checkpoint TEXT,
    PRIMARY KEY (org_id, tenant_id, run_id, name),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, tenant_id, run_id) REFERENCES sync_runs (org_id, tenant_id, id) ON DELETE CASCADE
);

-- What outlives a run: where the next refresh of a data set begins.
CREATE TABLE data_set_states (
    -- the organisation this row belongs to
    org_id BLOB NOT NULL CHECK (length(org_id) = 16),
    -- the tenant
    tenant_id BLOB NOT NULL CHECK (length(tenant_id) = 16),
    -- the data set
    name TEXT NOT NULL,
    -- number of the last full read begun
    generation INTEGER NOT NULL DEFAULT 0,
    -- Microsoft's link for the next delta; null: read in full
    delta_link TEXT,
    -- end of the last complete read
    as_of INTEGER,
    -- objects whose disappearance waits for a second full read
    held_back INTEGER NOT NULL DEFAULT 0,
    -- the full read that missed them; null when nothing is held back
    held_back_generation INTEGER,
    PRIMARY KEY (org_id, tenant_id, name),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, tenant_id) REFERENCES tenants (org_id, tenant_id) ON DELETE CASCADE
);

-- The status document as it is served: written in the transaction of each change.
CREATE TABLE tenant_status (
    -- the organisation this row belongs to
    org_id BLOB NOT NULL CHECK (length(org_id) = 16),
    -- the tenant
    tenant_id BLOB NOT NULL CHECK (length(tenant_id) = 16),
    -- grows with each change; the ETag and the event id
    version INTEGER NOT NULL,
    -- JSON as in the contract, without nextPollAfterMs and stale
    document TEXT NOT NULL,
    -- for staleness, which is a matter of the present moment
    last_completed_at INTEGER,
    PRIMARY KEY (org_id, tenant_id),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, tenant_id) REFERENCES tenants (org_id, tenant_id) ON DELETE CASCADE
);
