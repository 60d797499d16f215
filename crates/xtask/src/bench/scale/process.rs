//! What the kernel tells of a process: its memory, and how often its threads ran.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::PathBuf;

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::Result;

/// A running process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Process(u32);

/// What of it is in memory, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory {
    pub(super) resident: u64,
    /// Its own: neither the program nor a library.
    pub(super) anonymous: u64,
}

/// By thread.
pub(super) struct Switches(BTreeMap<OsString, u64>);

impl Switches {
    /// How many there were since then. A thread that ended meanwhile was woken for that.
    pub(super) fn since(&self, before: &Self) -> u64 {
        let of_before = |thread| before.0.get(thread).copied().unwrap_or(0);
        let more = self.0.iter().map(|(thread, now)| now.saturating_sub(of_before(thread))).sum::<u64>();
        let ended = before.0.keys().filter(|thread| !self.0.contains_key(*thread)).count();
        more + ended as u64
    }
}

impl Process {
    pub(super) fn new(pid: u32) -> Self {
        Self(pid)
    }

    pub(super) fn memory(self) -> Result<Memory> {
        let text = fs::read_to_string(self.file("smaps_rollup"))?;
        let bytes = |key| number(&text, key).map(|kib| kib * 1024).ok_or("smaps_rollup lacks a line");
        Ok(Memory { resident: bytes("Rss:")?, anonymous: bytes("Anonymous:")? })
    }

    /// How often each of its threads was taken off a CPU so far, by itself or not: as often as it was put on one.
    pub(super) fn switches(self) -> Result<Switches> {
        let mut switches = BTreeMap::new();
        for thread in fs::read_dir(self.file("task"))? {
            let thread = thread?;
            let text = match fs::read_to_string(thread.path().join("status")) {
                Ok(text) => text,
                // It ended meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error.into()),
            };
            let both = ["voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"];
            switches.insert(thread.file_name(), both.iter().filter_map(|key| number(&text, key)).sum());
        }
        Ok(Switches(switches))
    }

    /// Binds its threads to these CPUs.
    pub(super) fn pin(self, cpus: &CpuSet) -> Result {
        for thread in fs::read_dir(self.file("task"))? {
            let number = thread?.file_name().to_str().and_then(|name| name.parse().ok());
            sched_setaffinity(number.and_then(Pid::from_raw), cpus)?;
        }
        Ok(())
    }

    fn file(self, name: &str) -> PathBuf {
        ["/proc", &self.0.to_string(), name].iter().collect()
    }
}

/// The number in the line that begins with a key.
fn number(text: &str, key: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_of_its_own_and_has_run() {
        let process = Process::new(std::process::id());
        let Memory { resident, anonymous } = process.memory().unwrap();
        assert!(0 < anonymous && anonymous < resident, "{anonymous} of {resident}");
        let before = process.switches().unwrap();
        std::thread::spawn(|| {}).join().unwrap();
        assert!(process.switches().unwrap().since(&before) > 0, "it waited for a thread");
    }

    #[test]
    fn a_thread_that_ended_was_woken_once_more_and_a_new_one_counts_from_its_start() {
        let switches = |of: &[(&str, u64)]| {
            Switches(of.iter().map(|(thread, count)| ((*thread).into(), *count)).collect())
        };
        let before = switches(&[("1", 10), ("2", 500)]);
        assert_eq!(switches(&[("1", 13), ("3", 4)]).since(&before), 3 + 1 + 4);
        assert_eq!(before.since(&before), 0);
    }

    #[test]
    fn a_number_is_found_by_the_whole_beginning_of_its_line() {
        let text = "nonvoluntary_ctxt_switches:\t7\nvoluntary_ctxt_switches:\t5\nRss:    12 kB\n";
        assert_eq!(number(text, "voluntary_ctxt_switches:"), Some(5));
        assert_eq!(number(text, "Rss:"), Some(12));
        assert_eq!(number(text, "Pss:"), None);
    }
}
