DELETE FROM schema_compatibility WHERE version = '202611221007000000';
DROP TABLE organization_domains;
