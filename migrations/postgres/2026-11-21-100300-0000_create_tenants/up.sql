-- Each attempt to connect a tenant; the proven one is the tenant's connection.
CREATE TABLE connections (
    -- the organisation this row belongs to
    org_id uuid NOT NULL,
    -- UUIDv7
    id uuid NOT NULL,
    -- Microsoft's tid, resolved before anything was stored
    tenant_id uuid NOT NULL,
    -- how the tenant is read
    connection_type text NOT NULL CHECK (connection_type IN ('adminConsent', 'delegated', 'applicationCredentials', 'gdap')),
    -- pending until proven; voided by a newer link
    state text NOT NULL CHECK (state IN ('pending', 'proven', 'superseded', 'voided', 'revoked')),
    -- what has to happen next
    next_step text NOT NULL CHECK (next_step IN ('signIn', 'adminConsent', 'proof', 'done')),
    -- the domain or GUID as the technician typed it
    entered_tenant text NOT NULL,
    -- the customer the tenant is for
    customer_id uuid,
    -- where the administrator goes at the end
    return_url text,
    -- the wrapped data key of this connection; null once erased
    data_key bytea,
    -- the link's token, sealed under the data key: the way back to the result page
    sealed_link bytea,
    -- JSON: who proved the tenant (object id, names, kind of account)
    signed_in text,
    -- JSON: the last outcome in the words of a problem; null before the first
    last_outcome text,
    -- until when the proof is tried again
    proof_deadline timestamptz,
    -- when the link was made
    created_at timestamptz NOT NULL,
    -- when the link ends
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, id),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, customer_id) REFERENCES customers (org_id, id)
);
ALTER TABLE connections ENABLE ROW LEVEL SECURITY;
ALTER TABLE connections FORCE ROW LEVEL SECURITY;
CREATE POLICY organization ON connections
    USING (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid))
    WITH CHECK (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON connections TO tenantry_app;

-- The customers' Microsoft 365 tenants.
CREATE TABLE tenants (
    -- the organisation this row belongs to
    org_id uuid NOT NULL,
    -- Microsoft's tid
    tenant_id uuid NOT NULL,
    -- the customer it belongs to
    customer_id uuid,
    -- the proven connection; null before the first proof and after revoke
    connection_id uuid,
    -- of the proven connection, or of the pending one before that
    connection_type text NOT NULL,
    -- the contract's five
    status text NOT NULL CHECK (status IN ('pendingConsent', 'connected', 'degraded', 'reauthorizationRequired', 'revoked')),
    -- as a technician named it, as the organisation calls itself, or as it was entered
    display_name text NOT NULL,
    -- true when a technician chose the name
    display_name_set boolean NOT NULL DEFAULT false,
    -- as the organisation calls itself; null until it was read
    organization_name text,
    -- its default verified domain
    default_domain text,
    -- name, domains and id in lower case, for ?search=
    search_text text NOT NULL,
    -- JSON array: what the token said it holds
    granted_permissions text NOT NULL,
    -- JSON array: required but not granted
    missing_permissions text NOT NULL,
    -- JSON: the administrator who proved the tenant
    consented_by text,
    -- JSON: why the connection does not work at the moment
    connection_error text,
    -- JSON array of words
    tags text NOT NULL,
    -- whether events of this tenant reach people
    notifications boolean NOT NULL DEFAULT true,
    -- when it was last proven
    connected_at timestamptz,
    -- end of the last completed run
    last_completed_at timestamptz,
    -- when it was revoked
    revoked_at timestamptz,
    -- whether Microsoft refuses us too
    upstream_revoked boolean NOT NULL DEFAULT false,
    -- grows with each change; the ETag
    version bigint NOT NULL,
    -- when it was first asked for
    created_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, tenant_id),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, customer_id) REFERENCES customers (org_id, id),
    FOREIGN KEY (org_id, connection_id) REFERENCES connections (org_id, id)
);
ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenants FORCE ROW LEVEL SECURITY;
CREATE POLICY organization ON tenants
    USING (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid))
    WITH CHECK (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON tenants TO tenantry_app;

CREATE INDEX connections_by_tenant ON connections (org_id, tenant_id);
CREATE INDEX tenants_by_customer ON tenants (org_id, customer_id);

-- What was sent to Microsoft and may come back once.
CREATE TABLE authorization_requests (
    -- the organisation this row belongs to
    org_id uuid NOT NULL,
    -- UUIDv7
    id uuid NOT NULL,
    -- the connection it belongs to
    connection_id uuid NOT NULL,
    -- which of the two
    leg text NOT NULL CHECK (leg IN ('signIn', 'adminConsent')),
    -- SHA-256 of the browser's binding cookie; null when the organisation relays the answer
    cookie_hash bytea,
    -- sealed by the vault; null for a leg without sign-in
    sealed_nonce bytea,
    -- the PKCE verifier, sealed by the vault
    sealed_verifier bytea,
    -- when Microsoft's URL was made
    created_at timestamptz NOT NULL,
    -- ten minutes later
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, id),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, connection_id) REFERENCES connections (org_id, id) ON DELETE CASCADE
);
ALTER TABLE authorization_requests ENABLE ROW LEVEL SECURITY;
ALTER TABLE authorization_requests FORCE ROW LEVEL SECURITY;
CREATE POLICY organization ON authorization_requests
    USING (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid))
    WITH CHECK (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON authorization_requests TO tenantry_app;

-- Global: a link or a state arrives before its organisation is known. Hashes only, no personal data.
CREATE TABLE flow_index (
    -- SHA-256 of the link token or of the state
    token_hash bytea PRIMARY KEY,
    -- which of the two
    kind text NOT NULL CHECK (kind IN ('link', 'state')),
    -- the organisation that began the flow
    org_id uuid NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    -- the connection it belongs to
    connection_id uuid NOT NULL,
    -- the request a state stands for; null for a link
    authorization_request_id uuid,
    -- when it ends; kept a while longer to say so
    expires_at timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE, DELETE ON flow_index TO tenantry_app;

CREATE INDEX flow_index_by_expiry ON flow_index (expires_at);

-- Global: one proven connection per tenant in the whole installation.
CREATE TABLE tenant_claims (
    -- Microsoft's tid
    tenant_id uuid PRIMARY KEY,
    -- who holds it
    org_id uuid NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    -- the proven connection
    connection_id uuid NOT NULL,
    -- when it was proven
    claimed_at timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE, DELETE ON tenant_claims TO tenantry_app;
