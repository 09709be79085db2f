-- The changes of an organisation's status documents, counted in the order of their commits.
CREATE TABLE status_sequences (
    -- the organisation this row belongs to
    org_id BLOB NOT NULL CHECK (length(org_id) = 16),
    -- number of the newest change
    last INTEGER NOT NULL,
    PRIMARY KEY (org_id),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE
);

-- Number of the document's newest change; 0 only inside the transaction that makes it.
ALTER TABLE tenant_status ADD COLUMN sequence INTEGER NOT NULL DEFAULT 0;
CREATE INDEX tenant_status_by_sequence ON tenant_status (org_id, sequence);

-- What is there gets its numbers.
INSERT INTO status_sequences (org_id, last)
    SELECT org_id, count(*) FROM tenant_status GROUP BY org_id;
UPDATE tenant_status SET sequence = numbered.number
    FROM (SELECT org_id, tenant_id, row_number() OVER (PARTITION BY org_id ORDER BY tenant_id) AS number
          FROM tenant_status) AS numbered
    WHERE tenant_status.org_id = numbered.org_id AND tenant_status.tenant_id = numbered.tenant_id;
