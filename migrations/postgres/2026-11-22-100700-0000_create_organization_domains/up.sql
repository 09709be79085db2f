-- The MSP's own domains, which tie nothing to a customer.
CREATE TABLE organization_domains (
    -- the organisation this row belongs to
    org_id uuid NOT NULL,
    -- in one spelling
    domain text NOT NULL,
    PRIMARY KEY (org_id, domain),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE
);
ALTER TABLE organization_domains ENABLE ROW LEVEL SECURITY;
ALTER TABLE organization_domains FORCE ROW LEVEL SECURITY;
CREATE POLICY organization ON organization_domains
    USING (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid))
    WITH CHECK (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON organization_domains TO tenantry_app;
INSERT INTO schema_compatibility (version, compatible_from, global_tables)
    VALUES ('202611221007000000', '202611211203000000', '');
