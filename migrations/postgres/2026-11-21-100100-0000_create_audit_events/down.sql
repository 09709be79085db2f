DROP TABLE audit_events;
DROP TABLE audit_heads;
DROP FUNCTION audit_events_refuse_change();
