//! A file that holds the log: safe, moved away, full.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use tokenbroker_protocol::Command;
use tokenbroker_testkit::{Install, programs, require_or_skip, root, wait_until};

use crate::{Host, SOON, get, of, records, token};

#[test]
fn a_file_that_others_could_change_is_refused_at_start_and_at_a_reload() {
    let host = Host::new();
    let open = host.install.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
    let keys = format!("audit = {:?}", open.join("audit.jsonl"));
    host.install.config(&Host::configuration(&host.server, &keys, ""));
    let words = ["the audit log is not safe there: ", "can be written by others", "hint: run: chmod go-w "];
    host.install.cli(["reload"]).run().refused(1, &words);
    token(&mut host.greeted());
    host.wait_for("token", 1);

    let Host { daemon, install, .. } = host;
    daemon.terminate();
    install.tokenbrokerd([""; 0]).run().refused(1, &words);
}

#[test]
fn a_file_that_was_moved_away_is_let_go_of_at_a_reload() {
    let host = Host::new();
    let (log, moved) = (host.install.audit_log(), host.install.path().join("run/audit.jsonl.1"));
    token(&mut host.greeted());
    host.wait_for("token", 1);
    fs::rename(&log, &moved).unwrap();
    host.daemon.reload();
    wait_until(SOON, || !of(records(&log), "administration").is_empty());
    let before = fs::metadata(&moved).unwrap().len();
    host.install.cli(["renew", "app"]).run().success();
    token(&mut host.greeted());
    host.wait_for("token", 1);
    assert_eq!(fs::metadata(&moved).unwrap().len(), before);
    assert_eq!(fs::metadata(&log).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn off_is_off_from_a_reload_on_and_a_file_counts_from_another() {
    let host = Host::new();
    host.reload("audit = \"off\"", "");
    host.wait_for("stopped", 1);
    let count = host.records().len();
    token(&mut host.greeted());
    host.install.cli(["renew", "app"]).run().success();
    assert_eq!(host.records().len(), count);
    host.reload("", "");
    token(&mut host.greeted());
    host.wait_for("token", 1);
}

#[test]
fn the_beginning_and_the_end_are_in_it() {
    let host = Host::new();
    let log = host.install.audit_log();
    let Host { daemon, install, .. } = host;
    assert!(daemon.terminate().success());
    let records = records(&log);
    assert_eq!(records.first().unwrap()["event"], "started");
    assert_eq!(records.last().unwrap()["event"], "stopped");
    drop(install);
}

#[test]
fn s62_a_full_disk_delays_nobody_tears_no_line_and_what_is_lost_is_counted() {
    let available = root().and_then(|()| programs(&["unshare", "mount"]));
    if !require_or_skip("an audit log on a full disk", available) {
        return;
    }
    let install = Install::new();
    let disk = install.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=1m,mode=700 tmpfs {0}; head -c 1044480 /dev/zero >{0}/filler; exec \"$@\"",
        disk.display()
    );
    let keys = format!("audit = {:?}", disk.join("audit.jsonl"));
    let host = Host::start(install, &keys, |install| {
        install.start_under(&["unshare", "--mount", "sh", "-c", &script, "sh"])
    });
    // The disk as the daemon sees it.
    let disk = host.install.path().join("disk");
    let disk = format!("/proc/{}/root{}", host.daemon.pid(), disk.display());
    let log = std::path::PathBuf::from(&disk).join("audit.jsonl");

    let asked = flood(&host);
    assert!(host.daemon.log().contains("the audit can't be written: "), "{}", host.daemon.log());
    let report = host.install.cli(["doctor"]).run().stdout;
    assert!(report.contains("it can't be written now"), "{report}");
    fs::remove_file(format!("{disk}/filler")).unwrap();
    wait_until(SOON, || is_accounted_for(&records(&log), asked));
}

/// More records than the queue has room for, every reply of which comes.
pub(super) fn flood(host: &Host) -> u64 {
    let mut wire = host.greeted();
    let mut asked = 0;
    for number in 0..1150_u32 {
        let command = match number % 10 {
            0 => get(&format!("client-{number}")),
            _ => Command::CredentialList { client: None },
        };
        wire.ask(1, command);
        wire.reply().unwrap();
        asked += 1;
    }
    token(&mut wire);
    asked
}

/// Whether what was written, summed up and dropped is what was asked: the flood, and what the test did besides, which is to
/// set the secret, to get the token, and perhaps to ask the doctor.
pub(super) fn is_accounted_for(records: &[Value], asked: u64) -> bool {
    let of = |event: &str| of(records.to_vec(), event);
    let sum = |event| of(event).iter().filter_map(|record| record["count"].as_u64()).sum::<u64>();
    let written: usize = ["administration", "denied", "token"].into_iter().map(|event| of(event).len()).sum();
    let (more, dropped) = (sum("more"), sum("dropped"));
    let accounted = u64::try_from(written).unwrap() + more + dropped;
    assert!(accounted <= asked + 3, "{written} written, {more} more and {dropped} dropped of {asked}");
    dropped > 0 && accounted >= asked + 2
}
