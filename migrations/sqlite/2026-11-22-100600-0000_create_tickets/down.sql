DELETE FROM schema_compatibility WHERE version = '202611221006000000';
DROP TABLE tickets;
