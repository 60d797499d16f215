//! Rules that name units, where there are none to be told: under an old kernel, and without systemd.
//!
//! What they do under a real systemd is tested with the units of the service.

use tokenbroker_testkit::{AuthServer, Install, programs, require_or_skip, root};

use crate::{ANN, Host};

/// Becomes its arguments, with a kernel that does not know SO_PEERPIDFD: a filter that answers ENOPROTOOPT for it.
const OLD_KERNEL: &str = r#"
import ctypes, os, platform, struct, sys
NUMBER = {"x86_64": 55, "aarch64": 209}[platform.machine()]
def step(code, k, yes=0, no=0): return struct.pack("HBBI", code, yes, no, k)
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
program = b"".join([
    step(LOAD, 0), step(EQUAL, NUMBER, 0, 5),
    step(LOAD, 24), step(EQUAL, 1, 0, 3),
    step(LOAD, 32), step(EQUAL, 77, 0, 1),
    step(RETURN, 0x00050000 | 92), step(RETURN, 0x7fff0000)])
filter = ctypes.create_string_buffer(program, len(program))
described = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(filter)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, described, 0, 0) == 0
os.execvp(sys.argv[1], sys.argv[1:])
"#;

/// A daemon that is started by another program.
fn host_under(wrapper: &[&str], clients: &[(&str, &str)]) -> Host {
    let (server, install) = (AuthServer::start(), Install::new());
    install.config(&Host::configuration(&server, "", clients));
    let host = Host { daemon: install.start_under(wrapper), server, install };
    host.install.open_to_other_users();
    host.set_secrets(clients);
    host
}

#[test]
fn s75_without_peer_pidfds_users_and_groups_count_and_units_are_refused_and_that_is_said() {
    let filters = root().and_then(|()| programs(&["python3"]));
    if !require_or_skip("a kernel without SO_PEERPIDFD", filters) {
        return;
    }
    let by_user = format!("{{ user = {ANN} }}");
    let by_group = format!("{{ group = {ANN} }}");
    let by_unit = format!("{{ user = {ANN}, unit = \"signer.service\" }}");
    let clients = [("user", &*by_user), ("group", &*by_group), ("unit", &*by_unit), ("own", "")];
    let host = host_under(&["python3", "-c", OLD_KERNEL], &clients);
    for client in ["user", "group"] {
        host.by(ANN, &["get", client]).run().success();
    }
    host.by(ANN, &["get", "unit"]).run().refused(4, &["is not for this caller, or does not exist"]);
    host.install.cli(["get", "own"]).run().success();

    let this = std::process::id().to_string();
    let explained = host.install.cli(["policy", "explain", "unit", "--pid", &this]).run().success();
    assert!(explained.contains("the kernel does not pin callers"), "{explained}");

    let words = "no rule with `unit` or `user_unit` holds for anybody: \
                 the kernel does not pin callers: that takes Linux 6.5";
    assert_eq!(host.daemon.log().matches(words).count(), 1, "{}", host.daemon.log());
    let doctor = host.install.cli(["doctor", "--json"]).run();
    assert!(doctor.stdout.contains(words), "{}", doctor.stdout);
}

#[test]
fn who_is_not_in_the_unit_is_denied_and_why_is_explained() {
    let Some(host) = Host::for_other_users(&[("unit", "{ unit = \"signer.service\" }")]) else { return };
    host.by(ANN, &["get", "unit"]).run().refused(4, &["is not for this caller, or does not exist"]);
    // Whatever this host is run by: this process is in no unit of that name.
    let pid = std::process::id().to_string();
    let said = host.install.cli(["policy", "explain", "unit", "--pid", &pid]).run().success();
    assert!(said.contains("may not have the token") && said.contains("signer.service"), "{said}");
}
