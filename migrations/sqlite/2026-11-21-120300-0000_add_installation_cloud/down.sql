DELETE FROM schema_compatibility WHERE version = '202611211203000000';
ALTER TABLE installation DROP COLUMN cloud;
