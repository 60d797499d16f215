//! The units of the daemon, as far as systemd is there and answers.

use std::collections::HashMap;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokenbroker_client::protocol::Check;

use super::{Scope, bad, good, skipped, warning};

const UNITS: [&str; 2] = ["tokenbrokerd.socket", "tokenbrokerd.service"];

const PROPERTIES: [&str; 6] = ["Id", "LoadState", "ActiveState", "SubState", "Result", "ExecMainStatus"];

/// What the daemon exits with when it refuses its configuration.
const REFUSED_CONFIGURATION: &str = "78";

/// What systemd makes of a unit whose user does not exist.
const NO_SUCH_USER: &str = "217";

/// Far more than the answer has.
const LONGEST: u64 = 64 * 1024;

/// How systemd is reached.
#[derive(Debug)]
pub(super) struct Systemd {
    /// There while systemd runs the host.
    pub mark: PathBuf,
    pub systemctl: PathBuf,
    /// How long it may take.
    pub patience: Duration,
}

impl Systemd {
    pub(super) fn of_this_host() -> Self {
        Self {
            mark: "/run/systemd/system".into(),
            systemctl: "systemctl".into(),
            patience: Duration::from_secs(5),
        }
    }

    pub(super) fn is_there(&self) -> bool {
        self.mark.is_dir()
    }

    /// How the units are doing. A user's own that do not exist are no matter.
    pub(super) fn checks(&self, scope: Scope) -> Vec<Check> {
        if !self.is_there() {
            return Vec::new();
        }
        let Some(shown) = self.show(scope) else {
            return match scope {
                Scope::System => vec![skipped("units", "systemctl does not say how they are".to_owned())],
                Scope::User => Vec::new(),
            };
        };
        let units = shown.split("\n\n").map(Unit::parse);
        let known = |unit: &Unit<'_>| scope == Scope::System || unit.is("LoadState", "loaded");
        units.filter(known).filter_map(|unit| unit.check(scope)).collect()
    }

    fn show(&self, scope: Scope) -> Option<String> {
        let mut command = Command::new(&self.systemctl);
        if scope == Scope::User {
            command.arg("--user");
        }
        command.arg("--no-pager").arg("show").args(PROPERTIES.map(|name| format!("--property={name}")));
        output(command.args(UNITS), self.patience)
    }
}

/// What a command prints, if it does so in time. It does not outlive this.
fn output(command: &mut Command, patience: Duration) -> Option<String> {
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    let stdout = child.stdout.take()?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        let read = stdout.take(LONGEST).read_to_string(&mut text);
        // Nobody waits any more for what comes too late.
        let _ = sender.send(read.ok().map(|_| text));
    });
    let text = receiver.recv_timeout(patience).ok().flatten();
    // It has printed all it will, or takes too long.
    let _ = child.kill();
    let _ = child.wait();
    text.filter(|text| !text.trim().is_empty())
}

/// The properties of a unit.
struct Unit<'a>(HashMap<&'a str, &'a str>);

impl<'a> Unit<'a> {
    fn parse(block: &'a str) -> Self {
        Self(block.lines().filter_map(|line| line.split_once('=')).collect())
    }

    fn get(&self, property: &str) -> &'a str {
        self.0.get(property).copied().unwrap_or_default()
    }

    fn is(&self, property: &str, value: &str) -> bool {
        self.get(property) == value
    }

    fn check(&self, scope: Scope) -> Option<Check> {
        let id = self.get("Id");
        let subject = if id.ends_with(".socket") { "socket unit" } else { "service unit" };
        let user = if scope == Scope::User { "--user " } else { "" };
        let enable = format!("`systemctl {user}enable --now {}`", UNITS.join(" "));
        Some(match (self.get("LoadState"), self.get("ActiveState")) {
            _ if id.is_empty() => return None,
            ("not-found", _) => skipped(subject, format!("systemd knows no {id}")),
            ("masked", _) => bad(
                subject,
                format!("{id} is masked"),
                format!("`systemctl {user}unmask {id}`, then {enable}"),
            ),
            ("loaded", "active") => good(subject, format!("{id} is active ({})", self.get("SubState"))),
            ("loaded", "failed") => bad(subject, format!("{id} failed: {}", self.why()), self.remedy(user)),
            ("loaded", "activating") if self.is("SubState", "auto-restart") => {
                let finding = format!("{id} ends and is started again: {}", self.why());
                bad(subject, finding, self.remedy(user))
            }
            ("loaded", "inactive") => warning(subject, format!("{id} is not started"), enable),
            ("loaded", state) => {
                let finding = format!("{id} is {state} ({})", self.get("SubState"));
                warning(subject, finding, format!("see whether that goes on: `systemctl {user}status {id}`"))
            }
            (state, _) => bad(subject, format!("{id} can't be loaded ({state})"), self.remedy(user)),
        })
    }

    fn why(&self) -> String {
        match (self.get("Result"), self.get("ExecMainStatus")) {
            ("exit-code", REFUSED_CONFIGURATION) => "the daemon refuses its configuration".to_owned(),
            ("exit-code", NO_SUCH_USER) => "the user that it is to run as does not exist".to_owned(),
            ("exit-code", status) => format!("exit status {status}"),
            (result, _) => result.to_owned(),
        }
    }

    fn remedy(&self, user: &str) -> String {
        let id = self.get("Id");
        match (self.get("Result"), self.get("ExecMainStatus")) {
            ("exit-code", REFUSED_CONFIGURATION) => format!(
                "put right what `tokenbrokerd --check-config` says, then `systemctl {user}restart {id}`"
            ),
            ("exit-code", NO_SUCH_USER) => {
                format!("make the user, with `systemd-sysusers`, then `systemctl {user}restart {id}`")
            }
            _ => format!("see why: `journalctl {user}-u {id} -n 50`; then `systemctl {user}restart {id}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;
    use tokenbroker_client::protocol::Verdict;

    use super::*;

    fn unit(id: &str, properties: &str) -> Check {
        Unit::parse(&format!("Id={id}\n{properties}")).check(Scope::System).unwrap()
    }

    /// A systemctl that does what the script says.
    fn systemd(script: &str, patience: Duration) -> (TempDir, Systemd) {
        let directory = tempfile::tempdir().unwrap();
        let systemctl = directory.path().join("systemctl");
        fs::write(&systemctl, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&systemctl, Permissions::from_mode(0o700)).unwrap();
        let mark = directory.path().to_owned();
        (directory, Systemd { mark, systemctl, patience })
    }

    #[test]
    fn a_unit_that_is_active_is_good() {
        let check = unit("tokenbrokerd.service", "LoadState=loaded\nActiveState=active\nSubState=running");
        assert_eq!((check.verdict, check.subject.as_str()), (Verdict::Good, "service unit"));
        assert_eq!(check.finding, "tokenbrokerd.service is active (running)");
    }

    #[test]
    fn a_refused_configuration_is_told_from_other_failures() {
        let failed = |more: &str| {
            unit(
                "tokenbrokerd.service",
                &format!("LoadState=loaded\nActiveState=failed\nSubState=failed\n{more}"),
            )
        };
        let refused = failed("Result=exit-code\nExecMainStatus=78");
        assert_eq!(refused.verdict, Verdict::Bad);
        assert_eq!(refused.finding, "tokenbrokerd.service failed: the daemon refuses its configuration");
        assert!(refused.remedy.unwrap().contains("`tokenbrokerd --check-config`"));
        let other = failed("Result=exit-code\nExecMainStatus=1");
        assert_eq!(other.finding, "tokenbrokerd.service failed: exit status 1");
        assert!(other.remedy.unwrap().contains("`journalctl -u tokenbrokerd.service -n 50`"));
        assert!(
            failed("Result=exit-code\nExecMainStatus=217").remedy.unwrap().contains("`systemd-sysusers`")
        );
        let limit = failed("Result=start-limit-hit\nExecMainStatus=0");
        assert_eq!(limit.finding, "tokenbrokerd.service failed: start-limit-hit");
    }

    #[test]
    fn a_unit_that_does_not_run_is_told_with_what_starts_it() {
        let inactive = unit("tokenbrokerd.socket", "LoadState=loaded\nActiveState=inactive\nSubState=dead");
        assert_eq!(inactive.verdict, Verdict::Warning);
        assert!(inactive.remedy.unwrap().contains("enable --now tokenbrokerd.socket"));
        let missing = unit("tokenbrokerd.socket", "LoadState=not-found\nActiveState=inactive");
        assert_eq!(missing.verdict, Verdict::Skipped);
        let masked = unit("tokenbrokerd.socket", "LoadState=masked\nActiveState=inactive");
        assert!(masked.remedy.unwrap().contains("unmask tokenbrokerd.socket"));
        let looping = "LoadState=loaded\nActiveState=activating\nSubState=auto-restart\nResult=exit-code\nExecMainStatus=1";
        let looping = unit("tokenbrokerd.service", looping);
        assert_eq!(looping.verdict, Verdict::Bad);
        assert_eq!(looping.finding, "tokenbrokerd.service ends and is started again: exit status 1");
        let starting =
            unit("tokenbrokerd.service", "LoadState=loaded\nActiveState=activating\nSubState=start");
        assert_eq!(starting.verdict, Verdict::Warning);
    }

    #[test]
    fn systemctl_is_asked_for_both_units_of_the_scope() {
        let script = "echo Id=tokenbrokerd.socket; echo LoadState=loaded; echo ActiveState=active; echo; \
                      echo Id=tokenbrokerd.service; echo LoadState=not-found; echo \"$@\" > \"$0.asked\"";
        let (directory, systemd) = systemd(script, Duration::from_secs(60));
        let verdicts = |scope| systemd.checks(scope).iter().map(|check| check.verdict).collect::<Vec<_>>();
        assert_eq!(verdicts(Scope::System), [Verdict::Good, Verdict::Skipped]);
        let asked = || fs::read_to_string(directory.path().join("systemctl.asked")).unwrap();
        assert!(asked().starts_with("--no-pager show --property=Id "), "{}", asked());
        assert!(asked().ends_with("tokenbrokerd.socket tokenbrokerd.service\n"), "{}", asked());
        assert_eq!(verdicts(Scope::User), [Verdict::Good], "a user has units or has none");
        assert!(asked().starts_with("--user "), "{}", asked());
    }

    #[test]
    fn a_systemctl_that_hangs_fails_or_is_missing_is_no_failure() {
        let says_nothing = |systemd: &Systemd| {
            let checks = systemd.checks(Scope::System);
            checks.len() == 1 && checks[0].verdict == Verdict::Skipped
        };
        let (_hanging, hanging) = systemd("exec sleep 600", Duration::from_millis(50));
        assert!(says_nothing(&hanging));
        let (_failing, failing) = systemd("echo 'no bus' >&2; exit 1", Duration::from_secs(60));
        assert!(says_nothing(&failing));
        assert!(says_nothing(&Systemd { systemctl: "/nowhere/systemctl".into(), ..failing }));
    }

    #[test]
    fn without_systemd_nothing_is_asked() {
        let (_directory, systemd) = systemd("echo Id=tokenbrokerd.socket", Duration::from_secs(60));
        let elsewhere = Systemd { mark: "/nowhere".into(), ..systemd };
        assert_eq!(elsewhere.checks(Scope::System), []);
    }
}
