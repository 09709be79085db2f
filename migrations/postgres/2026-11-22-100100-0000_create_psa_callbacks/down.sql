DELETE FROM schema_compatibility WHERE version = '202611221001000000';
DROP TABLE psa_events_seen;
DROP TABLE psa_callback_index;
DROP TABLE psa_callbacks;
