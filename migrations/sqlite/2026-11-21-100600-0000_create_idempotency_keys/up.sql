-- Answers of creating calls, so that a repeated call has one effect.
CREATE TABLE idempotency_keys (
    -- the organisation this row belongs to
    org_id BLOB NOT NULL CHECK (length(org_id) = 16),
    -- who called
    principal TEXT NOT NULL,
    -- method and route
    route TEXT NOT NULL,
    -- SHA-256 of the Idempotency-Key
    key_hash BLOB NOT NULL,
    -- SHA-256 of the request body
    request_hash BLOB NOT NULL,
    -- HTTP status of the answer; null while the call runs
    status INTEGER,
    -- Location of the answer
    location TEXT,
    -- wrapped data key of the sealed answer
    data_key BLOB,
    -- the answer's body, sealed by the vault
    sealed_answer BLOB,
    -- bound into the sealed answer
    row_id BLOB NOT NULL CHECK (length(row_id) = 16),
    -- kept 24 hours from here
    created_at INTEGER NOT NULL,
    PRIMARY KEY (org_id, principal, route, key_hash),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE
);
