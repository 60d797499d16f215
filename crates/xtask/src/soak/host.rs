//! What a process takes of the host.

use std::fs;
use std::path::Path;

use crate::Result;

/// Read off `/proc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    /// Resident memory, in KiB.
    pub(super) resident: u64,
    pub(super) descriptors: usize,
    pub(super) threads: u64,
}

impl Sample {
    pub(super) fn of_this_process() -> Result<Self> {
        Self::of(Path::new("/proc/self"))
    }

    pub(super) fn of_process(pid: u32) -> Result<Self> {
        Self::of(Path::new(&format!("/proc/{pid}")))
    }

    fn of(process: &Path) -> Result<Self> {
        let status = fs::read_to_string(process.join("status"))?;
        let descriptors = fs::read_dir(process.join("fd"))?.count();
        Ok(Self { resident: number(&status, "VmRSS:")?, descriptors, threads: number(&status, "Threads:")? })
    }

    /// Memory is no measure of what was forgotten to be closed.
    pub(super) fn holds_no_more_than(&self, other: &Self) -> bool {
        self.descriptors <= other.descriptors && self.threads <= other.threads
    }
}

fn number(status: &str, key: &str) -> Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok());
    Ok(number.ok_or_else(|| format!("there is no {key} in the status of a process"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_and_a_thread_more_are_seen() {
        let before = Sample::of_this_process().unwrap();
        assert!(before.resident > 0 && before.threads >= 1);
        let held: Vec<_> = (0..50).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        assert!(!Sample::of_this_process().unwrap().holds_no_more_than(&before));
        drop(held);
    }

    #[test]
    fn numbers_are_found_by_their_keys() {
        assert_eq!(number("Name:\tx\nVmRSS:\t  7680 kB\n", "VmRSS:").unwrap(), 7680);
        assert!(number("Name:\tx\n", "VmRSS:").is_err());
    }
}
