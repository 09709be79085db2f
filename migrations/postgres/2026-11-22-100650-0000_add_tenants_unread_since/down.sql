DELETE FROM schema_compatibility WHERE version = '202611221006500000';
ALTER TABLE tenants DROP COLUMN unread_since;
