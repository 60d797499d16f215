//! The journal: a socket that the test reads from, or doesn't.

use std::collections::HashMap;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};
use tokenbroker_protocol::Command;
use tokenbroker_testkit::{Install, programs, require_or_skip, root, wait_until};

use crate::files::{flood, is_accounted_for};
use crate::{Host, SOON, token};

/// A daemon in whose mounts the journal's socket is the test's.
fn host() -> Option<(Host, UnixDatagram)> {
    let available = root().and_then(|()| programs(&["unshare", "mount"]));
    require_or_skip("an audit log in the journal", available).then(|| {
        let install = Install::new();
        let socket = install.path().join("journal");
        let journal = UnixDatagram::bind(&socket).unwrap();
        journal.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let script = format!(
            "mount -t tmpfs tmpfs /run; mkdir -p /run/systemd/journal; touch /run/systemd/journal/socket; \
             mount --bind {} /run/systemd/journal/socket; exec \"$@\"",
            socket.display()
        );
        let host = Host::start(install, "audit = \"journal\"", |install| {
            install.start_under(&["unshare", "--mount", "sh", "-c", &script, "sh"])
        });
        (host, journal)
    })
}

/// A datagram's fields.
fn fields(datagram: &[u8]) -> HashMap<String, String> {
    let text = String::from_utf8(datagram.to_vec()).unwrap();
    text.lines().map(|line| line.split_once('=').unwrap()).map(|(a, b)| (a.into(), b.into())).collect()
}

/// What came so far, as a log file would have it.
fn receive(journal: &UnixDatagram, into: &mut Vec<Value>) {
    let mut buffer = [0; 64 * 1024];
    while let Ok(length) = journal.recv(&mut buffer) {
        if buffer[..length] == *FILLER {
            continue;
        }
        let fields = fields(&buffer[..length]);
        let ours = fields.iter().filter_map(|(name, value)| {
            let value = value.parse::<u64>().map_or_else(|_| value.as_str().into(), Value::from);
            Some((name.strip_prefix("TOKENBROKER_")?.to_ascii_lowercase(), value))
        });
        into.push(Value::Object(ours.collect::<Map<_, _>>()));
    }
}

const FILLER: &[u8] = b"filler";

/// Takes all the room that the kernel has for a socket, however much that is: no sender alone may have it.
fn fill(socket: &Path) {
    loop {
        let sender = UnixDatagram::unbound().unwrap();
        sender.set_nonblocking(true).unwrap();
        let sent = (0..).take_while(|_| sender.send_to(FILLER, socket).is_ok()).count();
        if sent == 0 {
            return;
        }
    }
}

#[test]
fn a_record_has_its_fields_in_the_journal() {
    let Some((host, journal)) = host() else { return };
    let token = token(&mut host.greeted());
    let mut buffer = [0; 64 * 1024];
    let record = loop {
        let length = journal.recv(&mut buffer).unwrap();
        let fields = fields(&buffer[..length]);
        if fields["TOKENBROKER_EVENT"] == "token" {
            break fields;
        }
    };
    let pid = std::process::id().to_string();
    for (name, value) in [
        ("SYSLOG_IDENTIFIER", "tokenbrokerd"),
        ("PRIORITY", "6"),
        ("MESSAGE_ID", "7da7f9862d8f3fc0c842f49fb8dfa555"),
        ("TOKENBROKER_CLIENT", "app"),
        ("TOKENBROKER_DECISION", "permitted"),
        ("TOKENBROKER_PID", &pid),
        ("TOKENBROKER_GENERATION", &token.generation.to_string()),
    ] {
        assert_eq!(record[name], value, "{name}");
    }
    assert!(record["MESSAGE"].starts_with("audit: token uid="), "{record:?}");
    assert!(record.values().all(|value| !value.contains(token.access_token.expose())));
}

#[test]
fn s62_a_journal_that_takes_nothing_delays_nobody_and_what_is_lost_is_counted() {
    let Some((host, journal)) = host() else { return };
    fill(&host.install.path().join("journal"));
    let asked = flood(&host);
    let mut records = Vec::new();
    wait_until(SOON, || {
        receive(&journal, &mut records);
        is_accounted_for(&records, asked)
    });
}

#[test]
fn s66_a_journal_that_takes_nothing_holds_up_no_end() {
    let Some((host, journal)) = host() else { return };
    fill(&host.install.path().join("journal"));
    let mut wire = host.greeted();
    for _ in 0..100 {
        wire.ask(1, Command::CredentialList { client: None });
        wire.reply().unwrap();
    }
    let Host { daemon, install, .. } = host;
    // A second for each record would be more than is waited for here.
    assert!(daemon.terminate().success());
    drop((journal, install));
}

#[test]
fn without_a_journal_it_is_said_once_and_doctor_says_it_again() {
    if !require_or_skip("a host without a journal", root().and_then(|()| programs(&["unshare", "mount"]))) {
        return;
    }
    let host = Host::start(Install::new(), "audit = \"journal\"", |install| {
        install.start_under(&[
            "unshare",
            "--mount",
            "sh",
            "-c",
            "mount -t tmpfs tmpfs /run; exec \"$@\"",
            "sh",
        ])
    });
    let said = "the audit can't be written: there is no journal on this host";
    wait_until(SOON, || host.daemon.log().contains(said));
    token(&mut host.greeted());
    host.install.cli(["renew", "app"]).run().success();
    let report = host.install.cli(["doctor"]).run().stdout;
    assert!(report.contains("there is no journal on this host"), "{report}");
    assert_eq!(host.daemon.log().matches(said).count(), 1);
}
