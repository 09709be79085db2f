DROP INDEX tenant_claims_by_organization;
DROP INDEX work_items_held;
DROP INDEX work_items_yielding;
DROP INDEX work_items_pressing;
