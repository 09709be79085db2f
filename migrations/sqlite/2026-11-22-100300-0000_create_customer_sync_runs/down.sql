DELETE FROM schema_compatibility WHERE version = '202611221003000000';
DROP TABLE psa_changes;
DROP TABLE customer_sync_states;
DROP TABLE customer_sync_runs;
