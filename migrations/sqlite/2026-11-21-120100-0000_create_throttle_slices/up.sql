-- Unused here, where one process holds everything; the schema is that of PostgreSQL all the same.

-- Global: the processes that share Microsoft's limits. All that a process holds has this one lease.
CREATE TABLE throttle_holders (
    -- made anew with each process
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    -- by database time; what it holds is free a while after
    lease_until INTEGER NOT NULL
);

-- Global: how many of the 32 slices of each of Microsoft's budgets a process may spend from. The limits
-- are Microsoft's for an application and tenant, whoever manages it. Ids only, no personal data.
CREATE TABLE throttle_slices (
    -- client id of the app registration
    application_id TEXT NOT NULL,
    -- the tenant; zeros: all tenants together
    tenant_id BLOB NOT NULL CHECK (length(tenant_id) = 16),
    -- what the budget is for
    workload TEXT NOT NULL CHECK (workload IN ('identity', 'intune', 'security', 'mailboxUsageReport', 'outlook', 'other', 'all')),
    -- the process
    holder BLOB NOT NULL REFERENCES throttle_holders (id) ON DELETE CASCADE CHECK (length(holder) = 16),
    -- what it holds
    slices INTEGER NOT NULL CHECK (slices BETWEEN 0 AND 32),
    -- what it would like to hold
    wants INTEGER NOT NULL CHECK (wants BETWEEN 0 AND 32),
    PRIMARY KEY (application_id, tenant_id, workload, holder)
);
CREATE INDEX throttle_slices_by_holder ON throttle_slices (holder);

-- Global: pauses that Microsoft named, for all processes. Ids only, no personal data.
CREATE TABLE throttle_pauses (
    -- client id of the app registration
    application_id TEXT NOT NULL,
    -- the tenant; zeros: all tenants together
    tenant_id BLOB NOT NULL CHECK (length(tenant_id) = 16),
    -- what is paused
    workload TEXT NOT NULL CHECK (workload IN ('identity', 'intune', 'security', 'mailboxUsageReport', 'outlook', 'other', 'all')),
    -- by database time; nobody asks before
    paused_until INTEGER NOT NULL,
    PRIMARY KEY (application_id, tenant_id, workload)
);
