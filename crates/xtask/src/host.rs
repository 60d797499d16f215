//! What a process takes of the host.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::Result;

/// Read off `/proc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Resident memory, in KiB.
    pub(crate) resident: u64,
    pub(crate) descriptors: usize,
    /// Those of the descriptors that are Unix sockets: an authorization server in the same process has others.
    pub(crate) unix_sockets: usize,
    pub(crate) threads: u64,
}

impl Sample {
    pub(crate) fn of_this_process() -> Result<Self> {
        Self::of(Path::new("/proc/self"))
    }

    pub(crate) fn of_process(pid: u32) -> Result<Self> {
        Self::of(Path::new(&format!("/proc/{pid}")))
    }

    fn of(process: &Path) -> Result<Self> {
        let status = fs::read_to_string(process.join("status"))?;
        // One may be closed meanwhile, and then it is none.
        let descriptors =
            fs::read_dir(process.join("fd"))?.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        let descriptors: Vec<_> = descriptors.map(|link| link.to_string_lossy().into_owned()).collect();
        let unix = fs::read_to_string(process.join("net/unix"))?;
        let unix: BTreeSet<_> =
            unix.lines().filter_map(|line| line.split_ascii_whitespace().nth(6)).collect();
        let inode = |link: &str| link.strip_prefix("socket:[")?.strip_suffix(']').map(str::to_owned);
        let is_unix = |link: &&String| inode(link).is_some_and(|inode| unix.contains(inode.as_str()));
        Ok(Self {
            resident: number(&status, "VmRSS:")?,
            descriptors: descriptors.len(),
            unix_sockets: descriptors.iter().filter(is_unix).count(),
            threads: number(&status, "Threads:")?,
        })
    }

    /// Memory is no measure of what was forgotten to be closed.
    pub(crate) fn holds_no_more_than(&self, other: &Self) -> bool {
        self.unix_sockets <= other.unix_sockets && self.threads <= other.threads
    }
}

fn number(status: &str, key: &str) -> Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok());
    Ok(number.ok_or_else(|| format!("there is no {key} in the status of a process"))?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn sockets_that_were_not_closed_are_seen() {
        let before = Sample::of_this_process().unwrap();
        assert!(before.resident > 0 && before.threads >= 1);
        let held: Vec<_> = (0..50).map(|_| UnixStream::pair().unwrap()).collect();
        let after = Sample::of_this_process().unwrap();
        assert!(!after.holds_no_more_than(&before));
        assert!(after.unix_sockets >= 100 && after.descriptors >= after.unix_sockets, "{after:?}");
        drop(held);
    }

    #[test]
    fn numbers_are_found_by_their_keys() {
        assert_eq!(number("Name:\tx\nVmRSS:\t  7680 kB\n", "VmRSS:").unwrap(), 7680);
        assert!(number("Name:\tx\n", "VmRSS:").is_err());
    }
}
