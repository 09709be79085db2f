-- The MSP's own domains, which tie nothing to a customer.
CREATE TABLE organization_domains (
    -- the organisation this row belongs to
    org_id BLOB NOT NULL CHECK (length(org_id) = 16),
    -- in one spelling
    domain TEXT NOT NULL,
    PRIMARY KEY (org_id, domain),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE
);
INSERT INTO schema_compatibility (version, compatible_from, global_tables)
    VALUES ('202611221007000000', '202611211203000000', '');
