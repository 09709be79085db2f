-- Global: the processes that share Microsoft's limits. All that a process holds has this one lease.
CREATE TABLE throttle_holders (
    -- made anew with each process
    id uuid PRIMARY KEY,
    -- by database time; what it holds is free a while after
    lease_until timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE, DELETE ON throttle_holders TO tenantry_app;

-- Global: how many of the 32 slices of each of Microsoft's budgets a process may spend from. The limits
-- are Microsoft's for an application and tenant, whoever manages it. Ids only, no personal data.
CREATE TABLE throttle_slices (
    -- client id of the app registration
    application_id text NOT NULL,
    -- the tenant; zeros: all tenants together
    tenant_id uuid NOT NULL,
    -- what the budget is for
    workload text NOT NULL CHECK (workload IN ('identity', 'intune', 'security', 'mailboxUsageReport', 'outlook', 'other', 'all')),
    -- the process
    holder uuid NOT NULL REFERENCES throttle_holders (id) ON DELETE CASCADE,
    -- what it holds
    slices integer NOT NULL CHECK (slices BETWEEN 0 AND 32),
    -- what it would like to hold
    wants integer NOT NULL CHECK (wants BETWEEN 0 AND 32),
    PRIMARY KEY (application_id, tenant_id, workload, holder)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON throttle_slices TO tenantry_app;
CREATE INDEX throttle_slices_by_holder ON throttle_slices (holder);

-- Global: pauses that Microsoft named, for all processes. Ids only, no personal data.
CREATE TABLE throttle_pauses (
    -- client id of the app registration
    application_id text NOT NULL,
    -- the tenant; zeros: all tenants together
    tenant_id uuid NOT NULL,
    -- what is paused
    workload text NOT NULL CHECK (workload IN ('identity', 'intune', 'security', 'mailboxUsageReport', 'outlook', 'other', 'all')),
    -- by database time; nobody asks before
    paused_until timestamptz NOT NULL,
    PRIMARY KEY (application_id, tenant_id, workload)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON throttle_pauses TO tenantry_app;
