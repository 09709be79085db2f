//! The SQL of this room, visible to it only.

mod data_sets;
mod refresh;
mod runs;
mod status;
mod work;

pub(super) use self::{
    data_sets::{DataSetRecord, data_set_record, end_open_data_sets, store_data_set},
    refresh::{complete_read, next_generation, refresh_state, store_held_back},
    runs::{
        count_runs, end_run, insert_run, may_go_on, raise_progress, run, runs, start_run,
        unfinished_run,
    },
    status::{
        StoredStatus, last_status_sequence, next_status_version, statuses_after, store_status,
        tenant_part,
    },
    work::{
        count_attempts, delete_finished_work, delete_work, delete_work_of_tenant, forget_attempts,
        hold_work, is_wanted_again, release_all_work, subjects_of_kind,
    },
};
