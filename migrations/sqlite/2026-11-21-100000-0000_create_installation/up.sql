-- Global: the one row that says which installation this database is.
CREATE TABLE installation (
    -- always 1: there is one row
    singleton INTEGER PRIMARY KEY CHECK (singleton = 1),
    -- random; bound into every sealed secret
    installation_id BLOB NOT NULL CHECK (length(installation_id) = 16),
    -- proof of the master key: a start with another key is refused
    key_check BLOB NOT NULL,
    -- grows with every revoked key; processes re-read keys when it moves
    key_epoch INTEGER NOT NULL DEFAULT 0,
    -- when the database was first used
    created_at INTEGER NOT NULL
);

-- Global: the MSPs of this installation. The nil id is the installation itself, owner of its own audit chain.
CREATE TABLE organizations (
    -- UUIDv7, or nil for the installation itself
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    -- what the MSP calls itself
    name TEXT NOT NULL,
    -- when it was created
    created_at INTEGER NOT NULL
);

-- Global: a key arrives before its organisation is known, so it is found by its own id. No personal data.
CREATE TABLE api_keys (
    -- the public part of the key
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    -- the organisation it acts for
    org_id BLOB NOT NULL REFERENCES organizations (id) ON DELETE CASCADE CHECK (length(org_id) = 16),
    -- keyed SHA-256 of the secret part
    key_hash BLOB NOT NULL,
    -- what it may do
    role TEXT NOT NULL CHECK (role IN ('owner', 'technician', 'integration', 'reader')),
    -- when it was made
    created_at INTEGER NOT NULL,
    -- when it ends; null is never
    expires_at INTEGER,
    -- when it was revoked; null is not
    revoked_at INTEGER
);
