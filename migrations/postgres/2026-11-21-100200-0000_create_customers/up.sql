-- The customers of an MSP, kept by hand (later also by a PSA).
CREATE TABLE customers (
    -- the organisation this row belongs to
    org_id uuid NOT NULL,
    -- UUIDv7
    id uuid NOT NULL,
    -- as people write it
    name text NOT NULL,
    -- name and domains in lower case, for ?search=
    search_text text NOT NULL,
    -- JSON array of domain names in lower case
    domains text NOT NULL,
    -- where it came from
    source text NOT NULL CHECK (source IN ('manual', 'connectwise', 'autotask', 'halopsa')),
    -- its id at the source; null when made by hand
    external_id text,
    -- false after deactivation
    active boolean NOT NULL DEFAULT true,
    -- grows with each change; the ETag
    version bigint NOT NULL,
    -- when it was created
    created_at timestamptz NOT NULL,
    -- when it last changed
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, id),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE
);
ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
ALTER TABLE customers FORCE ROW LEVEL SECURITY;
CREATE POLICY organization ON customers
    USING (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid))
    WITH CHECK (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON customers TO tenantry_app;
