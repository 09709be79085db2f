//! How much memory a process of the product holds, as Linux tells it.

use anyhow::{Context as _, Result};

/// A figure of `/proc/PID/status` in MiB: `VmRSS` now, `VmHWM` at its most.
pub fn mebibytes(pid: u32, figure: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(figure)?.strip_prefix(':'))
        .with_context(|| format!("no {figure}"))?;
    let kibibytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kibibytes / 1024.0)
}
