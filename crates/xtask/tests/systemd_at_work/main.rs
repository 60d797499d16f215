//! The units under a real systemd: PID 1 of namespaces of its own, on a file system that is laid over the host's.
//!
//! `cage.sh` and `boot.sh` say how it is started, each other script what is done there, with the words of `common.sh`. One
//! more is a file and a line here.

mod boot;

use self::boot::passes;

#[test]
fn enabling_its_socket_is_all_that_http_takes() {
    passes("http.sh");
}

#[test]
fn what_systemd_decrypts_is_used_and_nothing_of_it_is_stored() {
    passes("credentials.sh");
}

#[test]
fn s65_a_daemon_that_hangs_is_replaced_and_callers_get_their_tokens() {
    passes("watchdog.sh");
}

#[test]
fn s15_callers_wait_through_the_start_of_the_one_daemon_there_is() {
    passes("socket.sh");
}

#[test]
fn s69_no_get_fails_through_restarts_and_a_crash() {
    passes("restart.sh");
}

#[test]
fn s70_tokens_are_back_after_a_restart_while_the_server_is_unreachable() {
    passes("offline.sh");
}

#[test]
fn s66_sigterm_ends_the_daemon_in_good_order_and_callers_get_their_answers() {
    passes("drain.sh");
}

#[test]
fn what_the_sandbox_refuses_is_refused_and_each_directive_has_its_part_in_it() {
    passes("sandbox.sh");
}

#[test]
fn a_user_has_a_broker_of_their_own_in_a_sandbox_without_mounts() {
    passes("user.sh");
}

#[test]
fn s59_the_service_has_its_secrets_in_locked_memory_or_says_what_to_do() {
    passes("memory.sh");
}

#[test]
fn audit_files_take_a_drop_in_and_nothing_else() {
    passes("audit.sh");
}

#[test]
fn a_unit_counts_for_who_is_in_it_and_for_nobody_who_only_has_its_name_or_enters_its_group() {
    passes("units.sh");
}
