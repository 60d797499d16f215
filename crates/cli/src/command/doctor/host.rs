//! This host: where the daemon's things are on it, and what keeps the daemon from answering.

use std::env;
use std::io::ErrorKind;
use std::path::PathBuf;

use tokenbroker_client::Error as BrokerError;
use tokenbroker_client::protocol::Check;

use super::accounts::{Accounts, own_uid};
use super::configuration::Directory;
use super::units::Systemd;
use super::{Scope, bad, sockets};
use crate::exit::{self, Error};

/// The daemon of users below this is the system's, on the distributions we know.
const FIRST_PERSONAL_UID: u32 = 1000;

/// The user of the system's daemon, unless TOKENBROKER_SERVER_USER names another.
const SERVER_USER: &str = "tokenbroker";

/// Where things are. Tests have another one.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) accounts: Accounts,
    systemd: Systemd,
    uid: u32,
    server_user: String,
    system_config: PathBuf,
    /// Of users who may have a daemon of their own.
    user_config: Option<PathBuf>,
}

impl Host {
    pub(super) fn this() -> Self {
        let uid = own_uid().unwrap_or(FIRST_PERSONAL_UID);
        let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let user_config = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")));
        let server_user = env::var("TOKENBROKER_SERVER_USER").ok().filter(|name| !name.is_empty());
        Self {
            accounts: Accounts::of_this_host(),
            systemd: Systemd::of_this_host(),
            uid,
            server_user: server_user.unwrap_or_else(|| SERVER_USER.to_owned()),
            system_config: "/etc/tokenbroker".into(),
            user_config: user_config
                .filter(|_| uid >= FIRST_PERSONAL_UID)
                .map(|base| base.join("tokenbroker")),
        }
    }

    /// How the daemon is started.
    pub(super) fn start(&self, scope: Option<Scope>) -> String {
        match scope {
            Some(Scope::System) if self.systemd.is_there() => {
                "start the daemon, as root: `systemctl enable --now tokenbrokerd.socket tokenbrokerd.service`"
                    .to_owned()
            }
            Some(Scope::User) if self.systemd.is_there() => {
                "start the daemon, as this user: `systemctl --user enable --now tokenbrokerd.service`, or \
                 `tokenbrokerd` in a terminal"
                    .to_owned()
            }
            _ => "start the daemon: `tokenbrokerd`".to_owned(),
        }
    }

    /// Why the daemon has not answered; and if it could not be reached, before that what may be the reason: its
    /// configuration and its units.
    pub(super) fn without_answer(&self, scope: Option<Scope>, error: &Error) -> Vec<Check> {
        let mut checks = Vec::new();
        if !matches!(error, Error::Broker(BrokerError::Failed(_)) | Error::UnexpectedReply) {
            checks.extend(self.configuration());
            checks.extend(self.systemd.checks(Scope::System));
            if self.user_config.is_some() {
                checks.extend(self.systemd.checks(Scope::User));
            }
        }
        checks.push(bad("daemon", exit::sentence(error), self.remedy(scope, error)));
        checks
    }

    fn remedy(&self, scope: Option<Scope>, error: &Error) -> Option<String> {
        let is_silent =
            matches!(error, Error::Broker(BrokerError::TimedOut { .. } | BrokerError::ConnectionLost { .. }));
        match (sockets::kind(error), self.see_why(scope)) {
            (Some(ErrorKind::NotFound | ErrorKind::NotADirectory), _) => Some(self.start(scope)),
            (Some(ErrorKind::ConnectionRefused), None) => Some(self.start(scope)),
            (Some(ErrorKind::ConnectionRefused), Some(why)) => {
                Some(format!("see why it does not run, {why}; then {}", self.start(scope)))
            }
            (None, Some(why)) if is_silent => Some(format!("see why it does not answer: {why}")),
            _ => error.hint(),
        }
    }

    /// What shows how the daemon's service ended, where systemd has one.
    fn see_why(&self, scope: Option<Scope>) -> Option<String> {
        let user = if scope? == Scope::User { "--user " } else { "" };
        let show = format!("`systemctl {user}status tokenbrokerd.service`");
        self.systemd.is_there().then_some(show)
    }

    fn configuration(&self) -> Vec<Check> {
        let own = self.user_config.as_deref();
        let has_own = own.is_some_and(|path| Directory::main(path).exists());
        let system = Directory {
            path: &self.system_config,
            reader: self.accounts.find(&self.server_user),
            is_needed: !has_own,
        };
        let own = own.map(|path| Directory {
            path,
            reader: Some(self.accounts.with_uid(self.uid)),
            is_needed: false,
        });
        [Some(system), own].into_iter().flatten().flat_map(|one| one.checks(&self.accounts)).collect()
    }
}

#[cfg(test)]
impl Host {
    /// One with nothing on it.
    pub(super) fn bare() -> Self {
        Self {
            accounts: Accounts::default(),
            systemd: Systemd { mark: "/nowhere".into(), ..Systemd::of_this_host() },
            uid: 1000,
            server_user: SERVER_USER.to_owned(),
            system_config: "/nowhere/system".into(),
            user_config: Some("/nowhere/user".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use tokenbroker_client::blocking::Broker;
    use tokenbroker_client::protocol::{Failure, FailureCode, Verdict};

    use super::*;

    fn nobody() -> Error {
        Broker::builder().socket("/nowhere/broker.sock").connect().unwrap_err().into()
    }

    fn under_systemd(directory: &tempfile::TempDir) -> Host {
        let systemctl = "/nowhere/systemctl".into();
        let mark = directory.path().to_owned();
        Host { systemd: Systemd { mark, systemctl, ..Systemd::of_this_host() }, ..Host::bare() }
    }

    fn remedy(host: &Host, scope: Option<Scope>, error: &Error) -> String {
        host.without_answer(scope, error).pop().unwrap().remedy.unwrap()
    }

    #[test]
    fn a_daemon_that_is_not_there_is_to_be_started_as_its_host_does_it() {
        let bare = Host::bare();
        assert_eq!(remedy(&bare, Some(Scope::System), &nobody()), "start the daemon: `tokenbrokerd`");
        let directory = tempfile::tempdir().unwrap();
        let host = under_systemd(&directory);
        assert!(remedy(&host, Some(Scope::System), &nobody()).contains("`systemctl enable --now"));
        assert!(remedy(&host, Some(Scope::User), &nobody()).contains("`systemctl --user enable --now"));
        assert_eq!(remedy(&host, None, &nobody()), "start the daemon: `tokenbrokerd`");
    }

    #[test]
    fn a_daemon_that_does_not_answer_has_units_to_look_at() {
        let directory = tempfile::tempdir().unwrap();
        let slow = Error::from(BrokerError::TimedOut { after: Duration::from_secs(5) });
        let host = under_systemd(&directory);
        assert_eq!(
            remedy(&host, Some(Scope::System), &slow),
            "see why it does not answer: `systemctl status tokenbrokerd.service`"
        );
        assert!(remedy(&host, None, &slow).starts_with("see the daemon's log"));
    }

    #[test]
    fn what_the_daemon_itself_has_said_needs_no_look_at_the_host() {
        let failure = Failure::new(FailureCode::Internal, "it did not work").with_hint("try harder");
        let checks = Host::bare().without_answer(Some(Scope::System), &BrokerError::Failed(failure).into());
        let [check] = &checks[..] else { panic!("one check: {checks:?}") };
        assert_eq!((check.verdict, check.finding.as_str()), (Verdict::Bad, "it did not work"));
        assert_eq!(check.remedy.as_deref(), Some("try harder"));
    }

    #[test]
    fn the_systems_configuration_is_missed_unless_the_user_has_one() {
        let directory = tempfile::tempdir().unwrap();
        let user_config = Some(directory.path().to_owned());
        let host = Host { user_config, ..Host::bare() };
        let verdicts = || host.configuration().iter().map(|check| check.verdict).collect::<Vec<_>>();
        assert_eq!(verdicts(), [Verdict::Bad, Verdict::Skipped]);
        let file = directory.path().join("config.toml");
        fs::write(&file, "").unwrap();
        assert_eq!(verdicts()[0], Verdict::Skipped);
        let uid = own_uid().unwrap();
        assert_eq!(Host { uid, ..host }.configuration()[1].verdict, Verdict::Good);
    }
}
