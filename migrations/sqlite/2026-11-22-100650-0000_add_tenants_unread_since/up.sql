-- When the first run began since the last one completed; null when nothing was tried since.
ALTER TABLE tenants ADD COLUMN unread_since INTEGER;
INSERT INTO schema_compatibility (version, compatible_from, global_tables)
    VALUES ('202611221006500000', '202611211203000000', '');
