DELETE FROM schema_compatibility WHERE version = '202611221002000000';
DROP TABLE psa_hints;
DROP TABLE psa_records;
