DELETE FROM schema_compatibility WHERE version = '202611221004000000';
DROP INDEX customers_by_source;
ALTER TABLE customers DROP COLUMN merged_into;
ALTER TABLE customers DROP COLUMN source_system;
ALTER TABLE customers DROP COLUMN field_sources;
