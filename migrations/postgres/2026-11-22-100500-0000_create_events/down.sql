DELETE FROM schema_compatibility WHERE version = '202611221005000000';
DROP TABLE events;
