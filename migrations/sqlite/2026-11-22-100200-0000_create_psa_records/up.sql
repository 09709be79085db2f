-- What a PSA says about a customer.
CREATE TABLE psa_records (
    -- the organisation this row belongs to
    org_id BLOB NOT NULL CHECK (length(org_id) = 16),
    -- the connection it came through
    connection_id BLOB NOT NULL CHECK (length(connection_id) = 16),
    -- its id at the PSA
    external_id TEXT NOT NULL,
    -- the customer it stands for
    customer_id BLOB NOT NULL CHECK (length(customer_id) = 16),
    -- its name there
    name TEXT NOT NULL,
    -- its short code there
    code TEXT,
    -- whether it is a customer at present; gone: two full reads did not find it
    state TEXT NOT NULL CHECK (state IN ('active', 'inactive', 'deleted', 'gone')),
    -- JSON: types, phone, website, address, updatedAt
    document TEXT NOT NULL,
    -- of all that the PSA says: an equal one needs no write
    hash BLOB NOT NULL,
    -- the last full read that saw it
    generation INTEGER NOT NULL,
    -- full reads in a row that did not see it
    misses INTEGER NOT NULL,
    -- when we last stored a change
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (org_id, connection_id, external_id),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, connection_id) REFERENCES psa_connections (org_id, id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, customer_id) REFERENCES customers (org_id, id) ON DELETE CASCADE
);
CREATE INDEX psa_records_by_customer ON psa_records (org_id, customer_id);

-- What ties a PSA's customer to Microsoft tenants.
CREATE TABLE psa_hints (
    -- the organisation this row belongs to
    org_id BLOB NOT NULL CHECK (length(org_id) = 16),
    -- the connection it came through
    connection_id BLOB NOT NULL CHECK (length(connection_id) = 16),
    -- the customer's id at the PSA
    external_id TEXT NOT NULL,
    -- where it was found
    source TEXT NOT NULL CHECK (source IN ('record', 'contacts', 'tenantMap')),
    -- what it is
    kind TEXT NOT NULL CHECK (kind IN ('tenantMap', 'tenantId', 'initialDomain', 'mailDomain', 'website')),
    -- a tenant id or a domain, in one spelling
    value TEXT NOT NULL,
    -- how many contacts say so; 1 for other sources
    contacts INTEGER NOT NULL,
    -- the full read that last saw it
    generation INTEGER NOT NULL,
    PRIMARY KEY (org_id, connection_id, external_id, source, kind, value),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, connection_id) REFERENCES psa_connections (org_id, id) ON DELETE CASCADE
);
CREATE INDEX psa_hints_by_value ON psa_hints (org_id, value);
INSERT INTO schema_compatibility (version, compatible_from, global_tables)
    VALUES ('202611221002000000', '202611211203000000', '');
