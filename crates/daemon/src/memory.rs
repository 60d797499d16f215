//! What keeps secrets in this process's memory: no core file, no tracer, no swap.
//!
//! [`close`] comes first in the program's life, [`lock`] once the configuration is known and before the first secret is read.
//! What is wiped when, and what can't be, is in `docs/security.md`.

use std::fs;
use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use tokenbroker_core::config::Memory;
use tokenbroker_secret::locked::{self, Backing};

use crate::startup::{StartError, with_source};

/// Which mappings are in a core file (core(5)): none.
const FILTER: &str = "/proc/self/coredump_filter";

/// Lets the kernel write no core file of this process, and nobody but root trace it or look into its memory.
///
/// Answers what could not be done, for the log, which there may not be yet.
pub(crate) fn close() -> Vec<String> {
    let mut undone = Vec::new();
    let mut note = |what: &str, outcome: io::Result<()>| {
        undone.extend(outcome.err().map(|error| format!("{what}: {error}")));
    };
    // Before the next step, which makes the file root's.
    note("what is in a core file can't be limited", fs::write(FILTER, "0"));
    // Where core files go to a program, as with systemd-coredump, this alone counts and the limit below does not.
    let closed = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    note("the process can be traced by its user, and leave core files", closed.map_err(io::Error::from));
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    // A service manager may have set it, and allow no change.
    if getrlimit(Resource::Core) != none {
        let limited = setrlimit(Resource::Core, none);
        note("the limit of core files can't be set", limited.map_err(io::Error::from));
    }
    undone
}

/// Sets locked memory aside for secrets, as the configuration wants it.
///
/// # Errors
///
/// [`StartError::Refused`] if it is required and can't be had.
pub(crate) fn lock(memory: Memory, is_system: bool) -> Result<(), StartError> {
    // A laptop on which memory is kept out of the kernel's own map can't hibernate; that is for its owner to decide.
    let backings = match memory {
        Memory::Off => return Ok(()),
        Memory::Prefer if !is_system => &[Backing::Mlock][..],
        Memory::Prefer | Memory::Require => &[Backing::SecretMemory, Backing::Mlock],
    };
    raise_limit();
    match (locked::install(backings), memory) {
        (Ok(()), _) => Ok(()),
        (Err(error), Memory::Require) => Err(StartError::Refused {
            message: format!("secrets can't be kept in locked memory: {}", with_source(&error)),
            hint: Some(format!("{}, or set memory = \"prefer\" in [daemon]", how_to_allow(is_system))),
        }),
        (Err(error), _) => {
            let hint = format!("{}, or set memory = \"off\" in [daemon]", how_to_allow(is_system));
            tracing::warn!(hint, "secrets are in memory that may be swapped: {}", with_source(&error));
            Ok(())
        }
    }
}

/// What to do where no memory can be locked.
pub(crate) fn how_to_allow(is_system: bool) -> &'static str {
    match is_system {
        true => "set LimitMEMLOCK=64M in the unit (systemctl edit tokenbrokerd)",
        false => {
            "raise the limit: LimitMEMLOCK=8M in the unit (systemctl --user edit tokenbrokerd), or `ulimit -l 8192`"
        }
    }
}

/// Up to what is asked for, as far as the hard limit lets it.
fn raise_limit() {
    let limit = getrlimit(Resource::Memlock);
    let most = locked::MOST as u64;
    let wanted = limit.maximum.map_or(most, |hard| hard.min(most));
    if limit.current.is_some_and(|soft| soft < wanted) {
        let raised = Rlimit { current: Some(wanted), maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Memlock, raised) {
            tracing::warn!("the limit of locked memory stays at {:?}: {error}", limit.current);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsRawFd;

    use rustix::process::dumpable_behavior;

    use super::*;

    #[test]
    fn s57_a_closed_process_leaves_no_core_and_can_still_look_at_its_own_descriptors() {
        assert_eq!(close(), [""; 0]);
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        assert_eq!(getrlimit(Resource::Core), Rlimit { current: Some(0), maximum: Some(0) });
        assert_eq!(fs::read_to_string(FILTER).unwrap().trim(), "00000000");

        let file = File::open("/").unwrap();
        let of_file = format!("/proc/self/fdinfo/{}", file.as_raw_fd());
        assert!(fs::read_to_string(of_file).unwrap().contains("mnt_id:"));
    }
}
