-- Work for connections to PSAs, which is about no tenant. Says nothing in schema_compatibility: a program
-- that does not know these kinds of work would claim them and fail.
ALTER TABLE work_items ALTER COLUMN tenant_id DROP NOT NULL;
ALTER TABLE work_items DROP CONSTRAINT work_items_kind_check;
ALTER TABLE work_items ADD CONSTRAINT work_items_kind_check
    CHECK (kind IN ('proof', 'sync', 'mailboxPurposes', 'customerSync', 'tickets'));
ALTER TABLE work_items ADD CONSTRAINT work_items_tenant_check
    CHECK ((tenant_id IS NULL) = (kind IN ('customerSync', 'tickets')));
-- Whether an organisation has connections to PSAs at all: each has one such piece of work, always.
CREATE INDEX work_items_customer_syncs ON work_items (org_id) WHERE kind = 'customerSync';
