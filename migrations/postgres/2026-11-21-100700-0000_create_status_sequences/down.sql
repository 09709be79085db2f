DROP INDEX tenant_status_by_sequence;
ALTER TABLE tenant_status DROP COLUMN sequence;
DROP TABLE status_sequences;
