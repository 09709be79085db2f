-- The customers of an MSP, kept by hand (later also by a PSA).
CREATE TABLE customers (
    -- the organisation this row belongs to
    org_id BLOB NOT NULL CHECK (length(org_id) = 16),
    -- UUIDv7
    id BLOB NOT NULL CHECK (length(id) = 16),
    -- as people write it
    name TEXT NOT NULL,
    -- name and domains in lower case, for ?search=
    search_text TEXT NOT NULL,
    -- JSON array of domain names in lower case
    domains TEXT NOT NULL,
    -- where it came from
    source TEXT NOT NULL CHECK (source IN ('manual', 'connectwise', 'autotask', 'halopsa')),
    -- its id at the source; null when made by hand
    external_id TEXT,
    -- false after deactivation
    active BOOLEAN NOT NULL DEFAULT 1 CHECK (active IN (0, 1)),
    -- grows with each change; the ETag
    version INTEGER NOT NULL,
    -- when it was created
    created_at INTEGER NOT NULL,
    -- when it last changed
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (org_id, id),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE
);
