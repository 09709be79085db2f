DROP TABLE tenant_claims;
DROP TABLE flow_index;
DROP TABLE authorization_requests;
DROP TABLE tenants;
DROP TABLE connections;
