-- Answers of creating calls, so that a repeated call has one effect.
CREATE TABLE idempotency_keys (
    -- the organisation this row belongs to
    org_id uuid NOT NULL,
    -- who called
    principal text NOT NULL,
    -- method and route
    route text NOT NULL,
    -- SHA-256 of the Idempotency-Key
    key_hash bytea NOT NULL,
    -- SHA-256 of the request body
    request_hash bytea NOT NULL,
    -- HTTP status of the answer; null while the call runs
    status integer,
    -- Location of the answer
    location text,
    -- wrapped data key of the sealed answer
    data_key bytea,
    -- the answer's body, sealed by the vault
    sealed_answer bytea,
    -- bound into the sealed answer
    row_id uuid NOT NULL,
    -- kept 24 hours from here
    created_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, principal, route, key_hash),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE
);
ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE idempotency_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY organization ON idempotency_keys
    USING (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid))
    WITH CHECK (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_keys TO tenantry_app;
