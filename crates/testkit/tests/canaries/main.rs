//! A thousand secrets and tokens with a mark in them, and whatever can be done with them: the mark is not in any output that is
//! not meant to hold one, nor in a file, an argument, an environment, the daemon's unlocked memory or a core file.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod marks;
mod places;
mod site;
mod sweep;

use std::time::Duration;

use tokenbroker_testkit::{programs, require_or_skip, root, wait_for};

use self::site::{CLIENTS, Site};

/// Ample: other tests use the same processors, and a connection to a server is idle for ten seconds before it goes.
const DEADLINE: Duration = Duration::from_secs(120);

#[test]
fn s57_a_thousand_canaries_are_found_nowhere_but_where_they_were_asked_for() {
    let mut site = Site::start(CLIENTS);
    site.set_all_secrets();
    sweep::read_everything(&site);
    sweep::change_credentials(&site);
    sweep::have_the_server_tell(&site);
    sweep::damage(&site);
    site.restart();
    sweep::read_everything(&site);
    site.assert_clean();
}

#[test]
fn s57_s64_a_panic_shows_no_secret_and_is_the_callers_own() {
    for place in ["session", "key-store"] {
        let site = Site::with(3, &[("TOKENBROKER_PROVOKED_PANIC", &format!("{place}:c0001"))]);
        site.set_secret(0);
        let refused = site.try_to_set_secret(1);
        assert_ne!(refused.code, 0, "{refused:?}");
        let log = site.daemon().log();
        assert!(log.contains("provoked in ") && log.contains("[redacted]"), "{place}: {log}");
        // Everybody else goes on.
        site.set_secret(2);
        site.wait_until_warm(2);
        site.get(0, &[]);
        site.assert_clean();
    }
}

#[test]
fn s57_what_was_done_with_is_not_in_memory_that_can_be_read_nor_in_a_core_file() {
    let available = root().and_then(|()| programs(&["gdb"]));
    if !require_or_skip("core files", available) {
        return;
    }
    let site = Site::start(50);
    if !require_or_skip("memory that root can't read", site.has_secret_memory()) {
        return;
    }
    site.set_all_secrets();
    sweep::read_everything(&site);
    sweep::change_credentials(&site);
    let pid = site.daemon().pid();
    // What is done lately is in buffers of connections that are kept for a while.
    let clean = wait_for(DEADLINE, || places::memory(&site.needles, pid).is_empty().then_some(()));
    let left = places::memory(&site.needles, pid);
    assert!(clean.is_some() && left.is_empty(), "{left:#?}");

    let core = site.core();
    assert!(core.len() > 1024 * 1024, "{} bytes are no core file", core.len());
    assert_eq!(site.needles.find(&core), [""; 0]);
    // Of a process that holds it in its own memory, the core file has it: the caller of this test is one.
}

/// The same search, in a process that takes no care.
#[test]
fn s57_a_core_file_of_a_careless_process_shows_the_canary() {
    if !require_or_skip("core files", root().and_then(|()| programs(&["gdb"]))) {
        return;
    }
    let site = Site::start(1);
    assert!(!site.needles.find(&site.core_of_careless()).is_empty());
}
