-- The role every query runs as: it owns nothing and bypasses nothing. Roles belong to the whole
-- cluster, so another database of it may have made this one already, or be making it right now.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tenantry_app') THEN
        CREATE ROLE tenantry_app NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
    WHEN insufficient_privilege THEN
        RAISE EXCEPTION 'the role % may not create the role tenantry_app', current_user;
END
$$;
DO $$
BEGIN
    EXECUTE format('GRANT tenantry_app TO %I', current_user);
EXCEPTION
    -- A cluster-wide grant made by two migrations at once; either one is enough.
    WHEN unique_violation OR internal_error THEN NULL;
    -- Who may not grant it may have been granted it.
    WHEN insufficient_privilege THEN
        IF NOT pg_has_role(current_user, 'tenantry_app', 'MEMBER') THEN
            RAISE EXCEPTION 'the role % is no member of the role tenantry_app', current_user;
        END IF;
END
$$;
GRANT USAGE ON SCHEMA public TO tenantry_app;
GRANT SELECT ON __diesel_schema_migrations TO tenantry_app;

-- Global: the one row that says which installation this database is.
CREATE TABLE installation (
    -- always 1: there is one row
    singleton integer PRIMARY KEY CHECK (singleton = 1),
    -- random; bound into every sealed secret
    installation_id uuid NOT NULL,
    -- proof of the master key: a start with another key is refused
    key_check bytea NOT NULL,
    -- grows with every revoked key; processes re-read keys when it moves
    key_epoch bigint NOT NULL DEFAULT 0,
    -- when the database was first used
    created_at timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE ON installation TO tenantry_app;

-- Global: the MSPs of this installation. The nil id is the installation itself, owner of its own audit chain.
CREATE TABLE organizations (
    -- UUIDv7, or nil for the installation itself
    id uuid PRIMARY KEY,
    -- what the MSP calls itself
    name text NOT NULL,
    -- when it was created
    created_at timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE ON organizations TO tenantry_app;

-- Global: a key arrives before its organisation is known, so it is found by its own id. No personal data.
CREATE TABLE api_keys (
    -- the public part of the key
    id uuid PRIMARY KEY,
    -- the organisation it acts for
    org_id uuid NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    -- keyed SHA-256 of the secret part
    key_hash bytea NOT NULL,
    -- what it may do
    role text NOT NULL CHECK (role IN ('owner', 'technician', 'integration', 'reader')),
    -- when it was made
    created_at timestamptz NOT NULL,
    -- when it ends; null is never
    expires_at timestamptz,
    -- when it was revoked; null is not
    revoked_at timestamptz
);
GRANT SELECT, INSERT, UPDATE ON api_keys TO tenantry_app;
