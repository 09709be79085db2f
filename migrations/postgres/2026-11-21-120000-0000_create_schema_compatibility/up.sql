-- Global: which older versions of the program may work on this schema. A migration with no row here locks
-- out every program that does not know it.
CREATE TABLE schema_compatibility (
    -- version of a migration: its name up to the underscore, digits only
    version text PRIMARY KEY,
    -- the newest migration of the oldest program that works on the schema with it
    compatible_from text NOT NULL,
    -- the tables without an organisation that it makes, separated by commas; empty for none
    global_tables text NOT NULL DEFAULT ''
);
-- Only who migrates writes it.
GRANT SELECT ON schema_compatibility TO tenantry_app;
