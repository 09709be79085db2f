-- Tickets that we keep at a PSA.
CREATE TABLE tickets (
    -- the organisation this row belongs to
    org_id uuid NOT NULL,
    -- the PSA
    connection_id uuid NOT NULL,
    -- ours, stable for the trouble
    key text NOT NULL,
    -- the tenant in trouble
    tenant_id uuid NOT NULL,
    -- what it is about
    trouble text NOT NULL CHECK (trouble IN ('connectionLost', 'reauthorizationRequired', 'syncFailing')),
    -- the customer's id at the PSA
    customer_external_id text NOT NULL,
    -- what is to be done or was
    state text NOT NULL CHECK (state IN ('wanted', 'open', 'closing', 'closed')),
    -- the ticket's id at the PSA; null before it is known
    external_id text,
    -- the number that people see
    number text,
    -- whether the PSA may have a ticket that we do not know: a try was begun whose end we do not know
    in_doubt boolean NOT NULL DEFAULT false,
    -- what is to be noted before the ticket is closed; null once it is
    note text,
    -- one line
    summary text NOT NULL,
    -- plain text
    description text NOT NULL,
    -- tries since the state last changed
    attempts integer NOT NULL DEFAULT 0,
    -- JSON {code, detail, action, at}: why the last try failed
    error text,
    -- not before; null when nothing is to be done
    next_try_at timestamptz,
    -- when the state last changed
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, connection_id, key),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, connection_id) REFERENCES psa_connections (org_id, id) ON DELETE CASCADE
);
ALTER TABLE tickets ENABLE ROW LEVEL SECURITY;
ALTER TABLE tickets FORCE ROW LEVEL SECURITY;
CREATE POLICY organization ON tickets
    USING (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid))
    WITH CHECK (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON tickets TO tenantry_app;
INSERT INTO schema_compatibility (version, compatible_from, global_tables)
    VALUES ('202611221006000000', '202611211203000000', '');
