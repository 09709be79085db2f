-- The head of each organisation's hash chain; its row lock gives the sequence in commit order.
CREATE TABLE audit_heads (
    -- the organisation the chain belongs to
    org_id BLOB PRIMARY KEY CHECK (length(org_id) = 16),
    -- sequence of the newest event; 0 before the first
    sequence INTEGER NOT NULL,
    -- hash of the newest event; 32 zero bytes before the first
    hash BLOB NOT NULL,
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE
);

-- What happened, for ever: hash-chained per organisation, append-only.
CREATE TABLE audit_events (
    -- the organisation this row belongs to
    org_id BLOB NOT NULL CHECK (length(org_id) = 16),
    -- 1, 2, 3 … without gaps in each organisation
    sequence INTEGER NOT NULL,
    -- UUIDv7
    id BLOB NOT NULL CHECK (length(id) = 16),
    -- when it happened
    at INTEGER NOT NULL,
    -- apiKey, administrator, system or commandLine
    actor_type TEXT NOT NULL,
    -- who exactly; null for the system
    actor_id TEXT,
    -- the HTTP request it came from
    request_id BLOB CHECK (length(request_id) = 16),
    -- noun.verbPast
    action TEXT NOT NULL,
    -- the tenant it is about, if one
    tenant_id BLOB CHECK (length(tenant_id) = 16),
    -- canonical JSON (RFC 8785); its bytes are hashed
    details TEXT NOT NULL,
    -- SHA-256 over the previous hash and this row
    hash BLOB NOT NULL,
    PRIMARY KEY (org_id, sequence),
    FOREIGN KEY (org_id) REFERENCES organizations (id)
);

CREATE UNIQUE INDEX audit_events_id ON audit_events (org_id, id);
CREATE TRIGGER audit_events_no_update BEFORE UPDATE ON audit_events
BEGIN
    SELECT RAISE(ABORT, 'audit events are append-only');
END;
-- REPLACE deletes without the trigger for deletes.
CREATE TRIGGER audit_events_no_replace BEFORE INSERT ON audit_events
WHEN EXISTS (SELECT 1 FROM audit_events WHERE org_id = NEW.org_id AND (sequence = NEW.sequence OR id = NEW.id))
BEGIN
    SELECT RAISE(ABORT, 'audit events are append-only');
END;
CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events
BEGIN
    SELECT RAISE(ABORT, 'audit events are append-only');
END;
