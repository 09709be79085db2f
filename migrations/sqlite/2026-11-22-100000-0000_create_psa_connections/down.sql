DELETE FROM schema_compatibility WHERE version = '202611221000000000';
DROP TABLE psa_connections;
