-- What a PSA says about a customer.
CREATE TABLE psa_records (
    -- the organisation this row belongs to
    org_id uuid NOT NULL,
    -- the connection it came through
    connection_id uuid NOT NULL,
    -- its id at the PSA
    external_id text NOT NULL,
    -- the customer it stands for
    customer_id uuid NOT NULL,
    -- its name there
    name text NOT NULL,
    -- its short code there
    code text,
    -- whether it is a customer at present; gone: two full reads did not find it
    state text NOT NULL CHECK (state IN ('active', 'inactive', 'deleted', 'gone')),
    -- JSON: types, phone, website, address, updatedAt
    document text NOT NULL,
    -- of all that the PSA says: an equal one needs no write
    hash bytea NOT NULL,
    -- the last full read that saw it
    generation bigint NOT NULL,
    -- full reads in a row that did not see it
    misses integer NOT NULL,
    -- when we last stored a change
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, connection_id, external_id),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, connection_id) REFERENCES psa_connections (org_id, id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, customer_id) REFERENCES customers (org_id, id) ON DELETE CASCADE
);
CREATE INDEX psa_records_by_customer ON psa_records (org_id, customer_id);
ALTER TABLE psa_records ENABLE ROW LEVEL SECURITY;
ALTER TABLE psa_records FORCE ROW LEVEL SECURITY;
CREATE POLICY organization ON psa_records
    USING (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid))
    WITH CHECK (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON psa_records TO tenantry_app;

-- What ties a PSA's customer to Microsoft tenants.
CREATE TABLE psa_hints (
    -- the organisation this row belongs to
    org_id uuid NOT NULL,
    -- the connection it came through
    connection_id uuid NOT NULL,
    -- the customer's id at the PSA
    external_id text NOT NULL,
    -- where it was found
    source text NOT NULL CHECK (source IN ('record', 'contacts', 'tenantMap')),
    -- what it is
    kind text NOT NULL CHECK (kind IN ('tenantMap', 'tenantId', 'initialDomain', 'mailDomain', 'website')),
    -- a tenant id or a domain, in one spelling
    value text NOT NULL,
    -- how many contacts say so; 1 for other sources
    contacts bigint NOT NULL,
    -- the full read that last saw it
    generation bigint NOT NULL,
    PRIMARY KEY (org_id, connection_id, external_id, source, kind, value),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, connection_id) REFERENCES psa_connections (org_id, id) ON DELETE CASCADE
);
CREATE INDEX psa_hints_by_value ON psa_hints (org_id, value);
ALTER TABLE psa_hints ENABLE ROW LEVEL SECURITY;
ALTER TABLE psa_hints FORCE ROW LEVEL SECURITY;
CREATE POLICY organization ON psa_hints
    USING (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid))
    WITH CHECK (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON psa_hints TO tenantry_app;
INSERT INTO schema_compatibility (version, compatible_from, global_tables)
    VALUES ('202611221002000000', '202611211203000000', '');
