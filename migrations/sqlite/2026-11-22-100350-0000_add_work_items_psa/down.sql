ALTER TABLE work_items RENAME TO work_items_after;
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
INSERT INTO work_items (id, org_id, tenant_id, kind, subject_id, due_at, lease_owner, lease_until, fence, attempts)
    SELECT id, org_id, tenant_id, kind, subject_id, due_at, lease_owner, lease_until, fence, attempts FROM work_items_after
    WHERE tenant_id IS NOT NULL;
DROP TABLE work_items_after;
CREATE INDEX work_items_by_due ON work_items (org_id, due_at);
CREATE UNIQUE INDEX work_items_by_subject ON work_items (kind, subject_id);
CREATE INDEX work_items_pressing ON work_items (org_id, due_at, id) WHERE kind <> 'mailboxPurposes';
CREATE INDEX work_items_yielding ON work_items (org_id, due_at, id) WHERE kind = 'mailboxPurposes';
CREATE INDEX work_items_held ON work_items (org_id, lease_owner) WHERE lease_until IS NOT NULL;
