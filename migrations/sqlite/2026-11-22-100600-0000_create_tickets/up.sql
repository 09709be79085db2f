-- Tickets that we keep at a PSA.
CREATE TABLE tickets (
    -- the organisation this row belongs to
    org_id BLOB NOT NULL CHECK (length(org_id) = 16),
    -- the PSA
    connection_id BLOB NOT NULL CHECK (length(connection_id) = 16),
    -- ours, stable for the trouble
    key TEXT NOT NULL,
    -- the tenant in trouble
    tenant_id BLOB NOT NULL CHECK (length(tenant_id) = 16),
    -- what it is about
    trouble TEXT NOT NULL CHECK (trouble IN ('connectionLost', 'reauthorizationRequired', 'syncFailing')),
    -- the customer's id at the PSA
    customer_external_id TEXT NOT NULL,
    -- what is to be done or was
    state TEXT NOT NULL CHECK (state IN ('wanted', 'open', 'closing', 'closed')),
    -- the ticket's id at the PSA; null before it is known
    external_id TEXT,
    -- the number that people see
    number TEXT,
    -- whether the PSA may have a ticket that we do not know: a try was begun whose end we do not know
    in_doubt BOOLEAN NOT NULL DEFAULT 0 CHECK (in_doubt IN (0, 1)),
    -- what is to be noted before the ticket is closed; null once it is
    note TEXT,
    -- one line
    summary TEXT NOT NULL,
    -- plain text
    description TEXT NOT NULL,
    -- tries since the state last changed
    attempts INTEGER NOT NULL DEFAULT 0,
    -- JSON {code, detail, action, at}: why the last try failed
    error TEXT,
    -- not before; null when nothing is to be done
    next_try_at INTEGER,
    -- when the state last changed
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (org_id, connection_id, key),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, connection_id) REFERENCES psa_connections (org_id, id) ON DELETE CASCADE
);
INSERT INTO schema_compatibility (version, compatible_from, global_tables)
    VALUES ('202611221006000000', '202611211203000000', '');
