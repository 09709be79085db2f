-- The changes of an organisation's status documents, counted in the order of their commits.
CREATE TABLE status_sequences (
    -- the organisation this row belongs to
    org_id uuid NOT NULL,
    -- number of the newest change
    last bigint NOT NULL,
    PRIMARY KEY (org_id),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE
);

-- Number of the document's newest change; 0 only inside the transaction that makes it.
ALTER TABLE tenant_status ADD COLUMN sequence bigint NOT NULL DEFAULT 0;
CREATE INDEX tenant_status_by_sequence ON tenant_status (org_id, sequence);

-- What is there gets its numbers. The owner migrates and sees no row while row-level security is forced.
ALTER TABLE tenant_status NO FORCE ROW LEVEL SECURITY;
INSERT INTO status_sequences (org_id, last)
    SELECT org_id, count(*) FROM tenant_status GROUP BY org_id;
UPDATE tenant_status SET sequence = numbered.number
    FROM (SELECT org_id, tenant_id, row_number() OVER (PARTITION BY org_id ORDER BY tenant_id) AS number
          FROM tenant_status) AS numbered
    WHERE tenant_status.org_id = numbered.org_id AND tenant_status.tenant_id = numbered.tenant_id;
ALTER TABLE tenant_status FORCE ROW LEVEL SECURITY;

ALTER TABLE status_sequences ENABLE ROW LEVEL SECURITY;
ALTER TABLE status_sequences FORCE ROW LEVEL SECURITY;
CREATE POLICY organization ON status_sequences
    USING (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid))
    WITH CHECK (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON status_sequences TO tenantry_app;
