-- The head of each organisation's hash chain; its row lock gives the sequence in commit order.
CREATE TABLE audit_heads (
    -- the organisation the chain belongs to
    org_id uuid PRIMARY KEY,
    -- sequence of the newest event; 0 before the first
    sequence bigint NOT NULL,
    -- hash of the newest event; 32 zero bytes before the first
    hash bytea NOT NULL,
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE
);
ALTER TABLE audit_heads ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_heads FORCE ROW LEVEL SECURITY;
CREATE POLICY organization ON audit_heads
    USING (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid))
    WITH CHECK (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON audit_heads TO tenantry_app;

-- What happened, for ever: hash-chained per organisation, append-only.
CREATE TABLE audit_events (
    -- the organisation this row belongs to
    org_id uuid NOT NULL,
    -- 1, 2, 3 … without gaps in each organisation
    sequence bigint NOT NULL,
    -- UUIDv7
    id uuid NOT NULL,
    -- when it happened
    at timestamptz NOT NULL,
    -- apiKey, administrator, system or commandLine
    actor_type text NOT NULL,
    -- who exactly; null for the system
    actor_id text,
    -- the HTTP request it came from
    request_id uuid,
    -- noun.verbPast
    action text NOT NULL,
    -- the tenant it is about, if one
    tenant_id uuid,
    -- canonical JSON (RFC 8785); its bytes are hashed
    details text NOT NULL,
    -- SHA-256 over the previous hash and this row
    hash bytea NOT NULL,
    PRIMARY KEY (org_id, sequence),
    FOREIGN KEY (org_id) REFERENCES organizations (id)
);
ALTER TABLE audit_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_events FORCE ROW LEVEL SECURITY;
CREATE POLICY organization ON audit_events
    USING (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid))
    WITH CHECK (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid));
GRANT SELECT, INSERT ON audit_events TO tenantry_app;

CREATE UNIQUE INDEX audit_events_id ON audit_events (org_id, id);
CREATE FUNCTION audit_events_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit events are append-only';
END
$$;
CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION audit_events_refuse_change();
