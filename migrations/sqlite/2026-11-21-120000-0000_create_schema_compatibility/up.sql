-- Global: which older versions of the program may work on this schema. A migration with no row here locks
-- out every program that does not know it.
CREATE TABLE schema_compatibility (
    -- version of a migration: its name up to the underscore, digits only
    version TEXT NOT NULL PRIMARY KEY,
    -- the newest migration of the oldest program that works on the schema with it
    compatible_from TEXT NOT NULL,
    -- the tables without an organisation that it makes, separated by commas; empty for none
    global_tables TEXT NOT NULL DEFAULT ''
);
