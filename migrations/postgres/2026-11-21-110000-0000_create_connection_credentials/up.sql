-- What a connection authenticates with where that is not the installation's registration.
CREATE TABLE connection_credentials (
    -- the organisation this row belongs to
    org_id uuid NOT NULL,
    -- the connection it belongs to
    connection_id uuid NOT NULL,
    -- what was sealed
    kind text NOT NULL CHECK (kind IN ('refreshToken', 'clientSecret', 'clientCertificate')),
    -- the customer's own application (client) id; null for a refresh token
    client_id text,
    -- sealed under the connection's data key, bound to kind and generation
    sealed bytea NOT NULL,
    -- grows by one with each credential that takes the place of another
    generation bigint NOT NULL,
    -- the exchange of the refresh token that is under way
    held_by uuid,
    -- until when it may, by the database's clock
    held_until timestamptz,
    -- when it was stored
    stored_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, connection_id),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, connection_id) REFERENCES connections (org_id, id) ON DELETE CASCADE
);
ALTER TABLE connection_credentials ENABLE ROW LEVEL SECURITY;
ALTER TABLE connection_credentials FORCE ROW LEVEL SECURITY;
CREATE POLICY organization ON connection_credentials
    USING (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid))
    WITH CHECK (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON connection_credentials TO tenantry_app;
