DROP INDEX work_items_customer_syncs;
DELETE FROM work_items WHERE kind IN ('customerSync', 'tickets');
ALTER TABLE work_items DROP CONSTRAINT work_items_tenant_check;
ALTER TABLE work_items DROP CONSTRAINT work_items_kind_check;
ALTER TABLE work_items ADD CONSTRAINT work_items_kind_check
    CHECK (kind IN ('proof', 'sync', 'mailboxPurposes'));
ALTER TABLE work_items ALTER COLUMN tenant_id SET NOT NULL;
