DROP TABLE api_keys;
DROP TABLE organizations;
DROP TABLE installation;
-- The role stays: it belongs to the cluster and other databases may use it.
REVOKE SELECT ON __diesel_schema_migrations FROM tenantry_app;
REVOKE USAGE ON SCHEMA public FROM tenantry_app;
