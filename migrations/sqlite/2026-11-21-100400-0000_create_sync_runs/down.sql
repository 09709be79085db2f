DROP TABLE tenant_status;
DROP TABLE data_set_states;
DROP TABLE sync_run_data_sets;
DROP TABLE sync_runs;
DROP TABLE work_items;
