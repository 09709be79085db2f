-- Global: the queue of durable work, claimed across organisations in turn. Ids only, no personal data.
CREATE TABLE work_items (
    -- UUIDv7
    id uuid PRIMARY KEY,
    -- the organisation the work is for
    org_id uuid NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    -- the tenant the work is for
    tenant_id uuid NOT NULL,
    -- what to do
    kind text NOT NULL CHECK (kind IN ('proof', 'sync', 'mailboxPurposes')),
    -- the connection to prove or the run to go on with
    subject_id uuid NOT NULL,
    -- not before
    due_at timestamptz NOT NULL,
    -- the worker that holds it; null when free
    lease_owner uuid,
    -- by database time; past it anyone may take it
    lease_until timestamptz,
    -- grows with each claim; a write with an older one is refused
    fence bigint NOT NULL DEFAULT 0,
    -- claims so far, counted before the work begins
    attempts integer NOT NULL DEFAULT 0
);
GRANT SELECT, INSERT, UPDATE, DELETE ON work_items TO tenantry_app;

CREATE INDEX work_items_by_due ON work_items (org_id, due_at);
CREATE UNIQUE INDEX work_items_by_subject ON work_items (kind, subject_id);

-- One run over a tenant's data sets.
CREATE TABLE sync_runs (
    -- the organisation this row belongs to
    org_id uuid NOT NULL,
    -- the tenant
    tenant_id uuid NOT NULL,
    -- UUIDv7
    id uuid NOT NULL,
    -- what the run reads
    kind text NOT NULL CHECK (kind IN ('initial', 'delta', 'full')),
    -- the contract's six
    state text NOT NULL CHECK (state IN ('queued', 'running', 'completed', 'completedWithWarnings', 'failed', 'cancelled')),
    -- millionths; never falls
    progress bigint NOT NULL DEFAULT 0,
    -- when it was asked for
    created_at timestamptz NOT NULL,
    -- when a worker first took it
    started_at timestamptz,
    -- when it ended
    finished_at timestamptz,
    PRIMARY KEY (org_id, tenant_id, id),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, tenant_id) REFERENCES tenants (org_id, tenant_id) ON DELETE CASCADE
);
ALTER TABLE sync_runs ENABLE ROW LEVEL SECURITY;
ALTER TABLE sync_runs FORCE ROW LEVEL SECURITY;
CREATE POLICY organization ON sync_runs
    USING (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid))
    WITH CHECK (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON sync_runs TO tenantry_app;

-- The data sets of a run with their checkpoint.
CREATE TABLE sync_run_data_sets (
    -- the organisation this row belongs to
    org_id uuid NOT NULL,
    -- the tenant
    tenant_id uuid NOT NULL,
    -- the run
    run_id uuid NOT NULL,
    -- the contract's name of the data set
    name text NOT NULL,
    -- order in which the status lists it
    position integer NOT NULL,
    -- the contract's five
    state text NOT NULL CHECK (state IN ('pending', 'running', 'completed', 'skipped', 'failed')),
    -- objects of the main list
    processed bigint NOT NULL DEFAULT 0,
    -- how many there will be, once known
    expected bigint,
    -- calls to Microsoft
    requests bigint NOT NULL DEFAULT 0,
    -- calls made again
    retries bigint NOT NULL DEFAULT 0,
    -- time waited because Microsoft asked for it
    throttled_ms bigint NOT NULL DEFAULT 0,
    -- JSON {code, detail, action}
    warning text,
    -- JSON: where to go on; null before the first page
    checkpoint text,
    PRIMARY KEY (org_id, tenant_id, run_id, name),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, tenant_id, run_id) REFERENCES sync_runs (org_id, tenant_id, id) ON DELETE CASCADE
);
ALTER TABLE sync_run_data_sets ENABLE ROW LEVEL SECURITY;
ALTER TABLE sync_run_data_sets FORCE ROW LEVEL SECURITY;
CREATE POLICY organization ON sync_run_data_sets
    USING (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid))
    WITH CHECK (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON sync_run_data_sets TO tenantry_app;

-- What outlives a run: where the next refresh of a data set begins.
CREATE TABLE data_set_states (
    -- the organisation this row belongs to
    org_id uuid NOT NULL,
    -- the tenant
    tenant_id uuid NOT NULL,
    -- the data set
    name text NOT NULL,
    -- number of the last full read begun
    generation bigint NOT NULL DEFAULT 0,
    -- Microsoft's link for the next delta; null: read in full
    delta_link text,
    -- end of the last complete read
    as_of timestamptz,
    -- objects whose disappearance waits for a second full read
    held_back bigint NOT NULL DEFAULT 0,
    -- the full read that missed them; null when nothing is held back
    held_back_generation bigint,
    PRIMARY KEY (org_id, tenant_id, name),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, tenant_id) REFERENCES tenants (org_id, tenant_id) ON DELETE CASCADE
);
ALTER TABLE data_set_states ENABLE ROW LEVEL SECURITY;
ALTER TABLE data_set_states FORCE ROW LEVEL SECURITY;
CREATE POLICY organization ON data_set_states
    USING (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid))
    WITH CHECK (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON data_set_states TO tenantry_app;

-- The status document as it is served: written in the transaction of each change.
CREATE TABLE tenant_status (
    -- the organisation this row belongs to
    org_id uuid NOT NULL,
    -- the tenant
    tenant_id uuid NOT NULL,
    -- grows with each change; the ETag and the event id
    version bigint NOT NULL,
    -- JSON as in the contract, without nextPollAfterMs and stale
    document text NOT NULL,
    -- for staleness, which is a matter of the present moment
    last_completed_at timestamptz,
    PRIMARY KEY (org_id, tenant_id),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, tenant_id) REFERENCES tenants (org_id, tenant_id) ON DELETE CASCADE
);
ALTER TABLE tenant_status ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant_status FORCE ROW LEVEL SECURITY;
CREATE POLICY organization ON tenant_status
    USING (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid))
    WITH CHECK (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON tenant_status TO tenantry_app;
