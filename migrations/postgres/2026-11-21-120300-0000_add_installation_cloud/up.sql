-- Which of Microsoft's clouds the tenants of this installation live in; null before the first start that
-- tells. Another one is refused while a tenant is connected.
ALTER TABLE installation ADD COLUMN cloud text;
INSERT INTO schema_compatibility (version, compatible_from, global_tables)
    VALUES ('202611211203000000', '202611211202000000', '');
