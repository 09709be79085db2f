-- What a connection authenticates with where that is not the installation's registration.
CREATE TABLE connection_credentials (
    -- the organisation this row belongs to
    org_id BLOB NOT NULL CHECK (length(org_id) = 16),
    -- the connection it belongs to
    connection_id BLOB NOT NULL CHECK (length(connection_id) = 16),
    -- what was sealed
    kind TEXT NOT NULL CHECK (kind IN ('refreshToken', 'clientSecret', 'clientCertificate')),
    -- the customer's own application (client) id; null for a refresh token
    client_id TEXT,
    -- sealed under the connection's data key, bound to kind and generation
    sealed BLOB NOT NULL,
    -- grows by one with each credential that takes the place of another
    generation INTEGER NOT NULL,
    -- the exchange of the refresh token that is under way
    held_by BLOB CHECK (length(held_by) = 16),
    -- until when it may, by the database's clock
    held_until INTEGER,
    -- when it was stored
    stored_at INTEGER NOT NULL,
    PRIMARY KEY (org_id, connection_id),
    FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, connection_id) REFERENCES connections (org_id, id) ON DELETE CASCADE
);
