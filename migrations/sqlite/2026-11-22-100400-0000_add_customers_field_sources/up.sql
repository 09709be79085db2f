-- JSON: the fields a person wrote, which no PSA overwrites, as {"name": "manual"}; a field that is not in it
-- follows the customer's source.
ALTER TABLE customers ADD COLUMN field_sources TEXT NOT NULL DEFAULT '{}';
-- Which system of its source it came from: ids of another system name other companies. Null when made by hand.
ALTER TABLE customers ADD COLUMN source_system TEXT;
-- The customer that took its place; what comes from its source again belongs there.
ALTER TABLE customers ADD COLUMN merged_into BLOB CHECK (length(merged_into) = 16);
CREATE INDEX customers_by_source ON customers (org_id, source, external_id);
INSERT INTO schema_compatibility (version, compatible_from, global_tables)
    VALUES ('202611221004000000', '202611211203000000', '');
