//! Tests that need what a host may lack: they run, or say loudly that they did not.

use std::env;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

/// Whether the suite can go on.
///
/// If not, that is said on stderr and added as a line to the file that `TOKENBROKER_SKIPPED_SUITES` names, by each
/// test that asks.
///
/// # Panics
///
/// If `available` is an error and `CI` is set: there, a suite that does not run is a failure.
pub fn require_or_skip(suite: &str, available: Result<(), String>) -> bool {
    let is_failure = env::var_os("CI").is_some();
    let record = env::var_os("TOKENBROKER_SKIPPED_SUITES");
    go_on(suite, available, is_failure, record.as_ref().map(Path::new))
}

/// For [`require_or_skip`]: which of these programs are not on the search path, if any.
///
/// # Errors
///
/// Their names.
pub fn programs(names: &[&str]) -> Result<(), String> {
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = |name: &str| env::split_paths(&path).any(|directory| directory.join(name).is_file());
    let missing: Vec<_> = names.iter().copied().filter(|name| !on_path(name)).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("no {} on this host", missing.join(", "))) }
}

/// For [`require_or_skip`]: whether programs can be run as other users.
///
/// # Errors
///
/// That this is not root.
pub fn root() -> Result<(), String> {
    match rustix::process::geteuid().is_root() {
        true => Ok(()),
        false => Err("only root can run programs as other users".into()),
    }
}

fn go_on(suite: &str, available: Result<(), String>, is_failure: bool, record: Option<&Path>) -> bool {
    let Err(missing) = available else { return true };
    let line = format!("SUITE NOT RUN: {suite}: {missing}");
    assert!(!is_failure, "{line}");
    // Not eprintln, which the test harness swallows when a test passes.
    let _ = writeln!(io::stderr(), "\n{line}\n");
    if let Some(record) = record {
        // One write in append mode: suites of several processes don't mix their lines.
        let mut record = OpenOptions::new()
            .create(true)
            .append(true)
            .open(record)
            .expect("the file named by TOKENBROKER_SKIPPED_SUITES can be opened");
        record.write_all(format!("{line}\n").as_bytes()).expect("the file of skipped suites takes a line");
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_run_is_recorded_a_line_each() {
        let directory = tempfile::tempdir().unwrap();
        let record = directory.path().join("skipped");
        assert!(go_on("one", Ok(()), false, Some(&record)));
        assert!(!go_on("two", Err("no node".into()), false, Some(&record)));
        assert!(!go_on("three", Err("no bus".into()), false, Some(&record)));
        let lines = std::fs::read_to_string(record).unwrap();
        assert_eq!(lines, "SUITE NOT RUN: two: no node\nSUITE NOT RUN: three: no bus\n");
    }

    #[test]
    fn missing_programs_are_named() {
        assert_eq!(programs(&["sh"]), Ok(()));
        let missing = programs(&["no-such-program", "sh", "nor-this"]);
        assert_eq!(missing, Err("no no-such-program, nor-this on this host".into()));
    }

    #[test]
    #[should_panic(expected = "SUITE NOT RUN: two: no node")]
    fn in_ci_what_does_not_run_is_a_failure() {
        go_on("two", Err("no node".into()), true, None);
    }
}
