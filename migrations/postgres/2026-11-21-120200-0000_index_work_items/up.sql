-- The oldest free work of an organisation: what people wait for, and what yields to it.
CREATE INDEX work_items_pressing ON work_items (org_id, due_at, id) WHERE kind <> 'mailboxPurposes';
CREATE INDEX work_items_yielding ON work_items (org_id, due_at, id) WHERE kind = 'mailboxPurposes';
-- The few that workers hold, to be counted for each organisation.
CREATE INDEX work_items_held ON work_items (org_id, lease_owner) WHERE lease_until IS NOT NULL;
-- Whether an organisation has tenants at all.
CREATE INDEX tenant_claims_by_organization ON tenant_claims (org_id);
