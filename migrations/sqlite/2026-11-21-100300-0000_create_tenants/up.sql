-- Each attempt to connect a tenant; the proven one is the tenant's connection.
CREATE TABLE connections (
    -- the organisation this row belongs to
    org_id BLOB NOT NULL CHECK (length(org_id) = 16),
    -- UUIDv7
    id BLOB NOT NULL CHECK (length(id) = 16),
    -- Microsoft's tid, resolved before anything was stored
    tenant_id BLOB NOT NULL CHECK (length(tenant_id) = 16),
    -- how the tenant is read
    connection_type TEXT NOT NULL CHECK (connection_type IN ('adminConsent', 'delegated', 'applicationCredentials', 'gdap')),
    -- pending until proven; voided by a newer link
    state TEXT NOT NULL CHECK (state IN ('pending', 'proven', 'superseded', 'voided', 'revoked')),
    -- what has to happen next
    next_step TEXT NOT NULL CHECK (next_step IN ('signIn', 'adminConsent', 'proof', 'done')),
    -- the domain or GUID as the technician typed it
    entered_tenant TEXT NOT NULL,
    -- the customer the tenant is for
    customer_id BLOB CHECK (length(customer_id) = 16),
    -- where the administrator goes at the end
    return_url TEXT,
    -- the wrapped data key of this connection; null once erased
    data_key BLOB,
    -- the link's token, sealed under the data key: the way back to the result page
    sealed_link BLOB,
    -- JSON: who proved the tenant (object id, names, kind of account)
    signed_in TEXT,
    -- JSON: the last outcome in the words of a problem; null before the first
    last_outcome TEXT,
    -- until when the proof is tried again
    proof_deadline INTEGER,
    -- when the link was made
    created_at INTEGER NOT NULL,
    -- when the link ends
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (org_id, id),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, customer_id) REFERENCES customers (org_id, id)
);

-- The customers' Microsoft 365 tenants.
CREATE TABLE tenants (
    -- the organisation this row belongs to
    org_id BLOB NOT NULL CHECK (length(org_id) = 16),
    -- Microsoft's tid
    tenant_id BLOB NOT NULL CHECK (length(tenant_id) = 16),
    -- the customer it belongs to
    customer_id BLOB CHECK (length(customer_id) = 16),
    -- the proven connection; null before the first proof and after revoke
    connection_id BLOB CHECK (length(connection_id) = 16),
    -- of the proven connection, or of the pending one before that
    connection_type TEXT NOT NULL,
    -- the contract's five
    status TEXT NOT NULL CHECK (status IN ('pendingConsent', 'connected', 'degraded', 'reauthorizationRequired', 'revoked')),
    -- as a technician named it, as the organisation calls itself, or as it was entered
    display_name TEXT NOT NULL,
    -- true when a technician chose the name
    display_name_set BOOLEAN NOT NULL DEFAULT 0 CHECK (display_name_set IN (0, 1)),
    -- as the organisation calls itself; null until it was read
    organization_name TEXT,
    -- its default verified domain
    default_domain TEXT,
    -- name, domains and id in lower case, for ?search=
    search_text TEXT NOT NULL,
    -- JSON array: what the token said it holds
    granted_permissions TEXT NOT NULL,
    -- JSON array: required but not granted
    missing_permissions TEXT NOT NULL,
    -- JSON: the administrator who proved the tenant
    consented_by TEXT,
    -- JSON: why the connection does not work at the moment
    connection_error TEXT,
    -- JSON array of words
    tags TEXT NOT NULL,
    -- whether events of this tenant reach people
    notifications BOOLEAN NOT NULL DEFAULT 1 CHECK (notifications IN (0, 1)),
    -- when it was last proven
    connected_at INTEGER,
    -- end of the last completed run
    last_completed_at INTEGER,
    -- when it was revoked
    revoked_at INTEGER,
    -- whether Microsoft refuses us too
    upstream_revoked BOOLEAN NOT NULL DEFAULT 0 CHECK (upstream_revoked IN (0, 1)),
    -- grows with each change; the ETag
    version INTEGER NOT NULL,
    -- when it was first asked for
    created_at INTEGER NOT NULL,
    PRIMARY KEY (org_id, tenant_id),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, customer_id) REFERENCES customers (org_id, id),
    FOREIGN KEY (org_id, connection_id) REFERENCES connections (org_id, id)
);

CREATE INDEX connections_by_tenant ON connections (org_id, tenant_id);
CREATE INDEX tenants_by_customer ON tenants (org_id, customer_id);

-- What was sent to Microsoft and may come back once.
CREATE TABLE authorization_requests (
    -- the organisation this row belongs to
    org_id BLOB NOT NULL CHECK (length(org_id) = 16),
    -- UUIDv7
    id BLOB NOT NULL CHECK (length(id) = 16),
    -- the connection it belongs to
    connection_id BLOB NOT NULL CHECK (length(connection_id) = 16),
    -- which of the two
    leg TEXT NOT NULL CHECK (leg IN ('signIn', 'adminConsent')),
    -- SHA-256 of the browser's binding cookie; null when the organisation relays the answer
    cookie_hash BLOB,
    -- sealed by the vault; null for a leg without sign-in
    sealed_nonce BLOB,
    -- the PKCE verifier, sealed by the vault
    sealed_verifier BLOB,
    -- when Microsoft's URL was made
    created_at INTEGER NOT NULL,
    -- ten minutes later
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (org_id, id),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, connection_id) REFERENCES connections (org_id, id) ON DELETE CASCADE
);

-- Global: a link or a state arrives before its organisation is known. Hashes only, no personal data.
CREATE TABLE flow_index (
    -- SHA-256 of the link token or of the state
    token_hash BLOB PRIMARY KEY,
    -- which of the two
    kind TEXT NOT NULL CHECK (kind IN ('link', 'state')),
    -- the organisation that began the flow
    org_id BLOB NOT NULL REFERENCES organizations (id) ON DELETE CASCADE CHECK (length(org_id) = 16),
    -- the connection it belongs to
    connection_id BLOB NOT NULL CHECK (length(connection_id) = 16),
    -- the request a state stands for; null for a link
    authorization_request_id BLOB CHECK (length(authorization_request_id) = 16),
    -- when it ends; kept a while longer to say so
    expires_at INTEGER NOT NULL
);

CREATE INDEX flow_index_by_expiry ON flow_index (expires_at);

-- Global: one proven connection per tenant in the whole installation.
CREATE TABLE tenant_claims (
    -- Microsoft's tid
    tenant_id BLOB PRIMARY KEY CHECK (length(tenant_id) = 16),
    -- who holds it
    org_id BLOB NOT NULL REFERENCES organizations (id) ON DELETE CASCADE CHECK (length(org_id) = 16),
    -- the proven connection
    connection_id BLOB NOT NULL CHECK (length(connection_id) = 16),
    -- when it was proven
    claimed_at INTEGER NOT NULL
);
