//! A daemon that has no descriptor left for one more caller, and a descriptor that goes from one caller to another.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command as Program, Stdio};
use std::time::Duration;

use tokenbroker_protocol::{Command, GetToken, Reply, Response};
use tokenbroker_testkit::wire::request;
use tokenbroker_testkit::{Stopwatch, Wire, require_or_skip, root, wait_until};

use crate::Host;

const SOON: Duration = Duration::from_secs(20);

/// Enough for the daemon itself and a few callers.
const DESCRIPTORS: usize = 48;

/// Nobody whom a rule names.
const BEN: u32 = 2002;

/// In ticks of the kernel, a hundred of which are a second.
fn processor_time(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, after_name) = stat.rsplit_once(')').unwrap();
    let fields: Vec<_> = after_name.split_ascii_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn s11_out_of_descriptors_the_daemon_waits_without_spinning_and_recovers_by_itself() {
    let mut host = Host::new();
    let limited = format!("ulimit -n {DESCRIPTORS}; exec \"$@\"");
    host.restart_under(&["sh", "-c", &limited, "sh"]);
    // What the daemon does not accept waits in the kernel's queue.
    let callers: Vec<_> = (0..2 * DESCRIPTORS).map(|_| host.dial()).collect();
    wait_until(SOON, || host.daemon.log().contains("connections can't be accepted"));
    // Not even the caller for whom there was a descriptor, and none to find out who it is.
    let has_ended = |caller: &&Wire| {
        let mut end = caller.try_clone().unwrap();
        end.set_nonblocking(true).unwrap();
        matches!(end.read(&mut [0]), Ok(0))
    };
    let ended = callers.iter().filter(has_ended).count();
    assert_eq!(ended, 0, "who can't be served yet waits");

    let (before, watch) = (processor_time(host.daemon.pid()), Stopwatch::start());
    // Callers that say nothing have five seconds: the queue moves on only then.
    wait_until(SOON, || watch.elapsed() > Duration::from_secs(2));
    let ticks = processor_time(host.daemon.pid()) - before;
    assert!(ticks < 50, "{ticks} ticks in two seconds of nothing to do");

    drop(callers);
    wait_until(SOON, || host.install.cli(["get", "app"]).run().code == 0);
    let complaints = host.daemon.log().matches("connections can't be accepted").count();
    assert!(complaints < 5, "it was said {complaints} times");
    host.expect_well();
}

/// Who is asked for its rights is whoever connected: a process that hands the connection on lends them.
#[test]
fn s04_a_connection_that_is_handed_to_another_process_is_still_that_of_who_made_it() {
    if !require_or_skip("callers of other users", root()) {
        return;
    }
    let host = Host::new();
    let get = Command::GetToken(GetToken { client: "app".into(), ..GetToken::default() });
    let asked = host.install.path().join("request");
    fs::write(&asked, request(7, get)).unwrap();

    let mut wire = host.greeted();
    let given = OwnedFd::from(wire.try_clone().unwrap());
    let lent = Program::new("dd")
        .args(["bs=65536", "count=1", "status=none"])
        .stdin(File::open(&asked).unwrap())
        .stdout(Stdio::from(given))
        .uid(BEN)
        .gid(BEN)
        .status();
    assert!(lent.unwrap().success());
    let Reply { id, response } = wire.reply().unwrap();
    assert!(id == 7 && matches!(response, Response::Token(_)), "{response:?}");

    // By itself the other process gets nothing.
    host.install.open_to_other_users();
    host.install.cli(["get", "app"]).as_user(BEN, BEN).run().expect(4);
    host.expect_well();
}
