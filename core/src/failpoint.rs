//! Named stops at which a test may end the process or fail a step.
//!
//! Only with the feature `failpoints`, which no release has: `TENANTRY_FAILPOINTS` then holds a list
//! such as `sync.after_page_commit=abort@3`: at the third passage the process ends as by `kill -9`. With
//! `stop` in the place of `abort` it stops as by SIGSTOP, and goes on there when SIGCONT comes.

/// Passes a named stop. Without the feature nothing is left of it.
macro_rules! failpoint {
    ($name:literal) => {
        #[cfg(feature = "failpoints")]
        $crate::failpoint::pass($name);
    };
}
pub(crate) use failpoint;

/// Counts a passage and ends the process where a test asked for it.
#[cfg(feature = "failpoints")]
pub(crate) fn pass(name: &'static str) {
    use std::{collections::HashMap, sync::Mutex, sync::PoisonError};
    static PASSED: Mutex<Option<HashMap<&'static str, u32>>> = Mutex::new(None);
    let Ok(list) = std::env::var("TENANTRY_FAILPOINTS") else {
        return;
    };
    let wanted = list
        .split(';')
        .filter_map(|entry| entry.split_once('='))
        .find(|(stop, _)| *stop == name);
    let Some((_, action)) = wanted else { return };
    let mut passed = PASSED.lock().unwrap_or_else(PoisonError::into_inner);
    let count = passed
        .get_or_insert_with(HashMap::new)
        .entry(name)
        .or_insert(0);
    *count += 1;
    let at = action
        .split_once('@')
        .and_then(|(_, at)| at.parse::<u32>().ok())
        .unwrap_or(1);
    if *count == at && action.starts_with("stop") {
        drop(passed);
        // The standard library cannot send a signal.
        let pid = std::process::id().to_string();
        let sent = std::process::Command::new("kill")
            .args(["-STOP", &pid])
            .status();
        assert!(sent.is_ok_and(|status| status.success()), "cannot stop");
    } else if *count == at {
        std::process::abort();
    }
}
