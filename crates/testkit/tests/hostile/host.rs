//! A daemon whose clients have an authorization server each.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use tokenbroker_client::blocking::Broker;
use tokenbroker_client::protocol::{Command, Storing};
use tokenbroker_testkit::hostile::Script;
use tokenbroker_testkit::{Daemon, HostileServer, Install, Output, wait_for};

use crate::{CANARY, SECRET, SOON, TOKEN};

/// A daemon that logs everything, and what the command line said so far.
pub(crate) struct Host {
    // Dropped first: its log is in the directory.
    pub(crate) daemon: Daemon,
    pub(crate) install: Install,
    said: RefCell<String>,
}

/// The same without a daemon.
pub(crate) struct Stopped {
    pub(crate) install: Install,
    said: RefCell<String>,
}

impl Stopped {
    pub(crate) fn started_again(self) -> Host {
        Host { daemon: self.install.start(), install: self.install, said: self.said }
    }

    pub(crate) fn started_under(self, wrapper: &[&str]) -> Host {
        Host { daemon: self.install.start_under(wrapper), install: self.install, said: self.said }
    }
}

/// A client and an issuer of the same name, whose token endpoint this is; with further keys of the issuer.
pub(crate) fn tables(name: &str, token_endpoint: &str, issuer_keys: &str) -> String {
    let plain = if token_endpoint.starts_with("http:") { "allow_plain_http = true\n" } else { "" };
    format!(
        "[issuers.{name}]\ntoken_endpoint = {token_endpoint:?}\n{plain}{issuer_keys}\n\
         [clients.{name}]\nissuer = {name:?}\nclient_id = {name:?}\nauth = \"client_secret_post\"\n"
    )
}

impl Host {
    /// With this configuration. The secrets of these clients are stored.
    pub(crate) fn start<'a>(config: &str, clients: impl IntoIterator<Item = &'a str>) -> Self {
        let install = Install::new();
        install.config(config);
        let host = Self::in_install(install);
        host.set_secrets(clients);
        host
    }

    /// With the configuration that is there.
    pub(crate) fn in_install(mut install: Install) -> Self {
        install.env("TOKENBROKER_LOG", "trace");
        Self { daemon: install.start(), install, said: RefCell::default() }
    }

    /// With a client for each of these names, at the path of its name.
    pub(crate) fn of<'a>(
        server: &HostileServer,
        names: impl IntoIterator<Item = &'a str> + Clone,
        issuer_keys: &str,
    ) -> Self {
        let table = |name| tables(name, &server.url(&format!("/{name}")), issuer_keys);
        Self::start(&names.clone().into_iter().map(table).collect::<String>(), names)
    }

    pub(crate) fn set_secrets<'a>(&self, clients: impl IntoIterator<Item = &'a str>) {
        let broker = self.broker();
        for client in clients {
            let command = Command::SecretSet {
                client: client.into(),
                secret: SECRET.into(),
                storing: Storing::default(),
            };
            broker.request(command, SOON).unwrap();
        }
    }

    /// Without its daemon.
    pub(crate) fn stopped(self) -> Stopped {
        assert!(self.daemon.terminate().success());
        Stopped { install: self.install, said: self.said }
    }

    /// SIGKILL.
    pub(crate) fn killed(self) -> Stopped {
        self.daemon.kill();
        Stopped { install: self.install, said: self.said }
    }

    pub(crate) fn broker(&self) -> Broker {
        Broker::builder().socket(self.install.socket()).cache(false).connect().unwrap()
    }

    /// A run of the command line; what it complains of is remembered.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Output {
        let output = self.install.cli(arguments).run();
        self.said.borrow_mut().push_str(&output.stderr);
        output
    }

    #[track_caller]
    pub(crate) fn get(&self, client: &str) -> String {
        self.cli(&["get", client]).success().trim_end().into()
    }

    #[track_caller]
    pub(crate) fn get_json(&self, client: &str) -> Value {
        serde_json::from_str(&self.cli(&["get", client, "--json"]).success()).unwrap()
    }

    /// What a caller is told who does not wait, with this exit code and in these words.
    #[track_caller]
    pub(crate) fn refused(&self, client: &str, code: i32, words: &[&str]) -> String {
        self.cli(&["get", client, "--wait", "0s"]).refused(code, words)
    }

    pub(crate) fn status(&self, client: &str) -> Value {
        let status = self.install.status(client);
        self.said.borrow_mut().push_str(&status.to_string());
        status
    }

    /// Of all clients, by their names.
    pub(crate) fn statuses(&self) -> BTreeMap<String, Value> {
        let listed = self.cli(&["status", "--json"]).success();
        self.said.borrow_mut().push_str(&listed);
        let listed: Vec<Value> = serde_json::from_str(&listed).unwrap();
        listed.into_iter().map(|status| (status["client"].as_str().unwrap().to_owned(), status)).collect()
    }

    /// Of all clients, once this is true of each of them.
    #[track_caller]
    pub(crate) fn statuses_once(&self, condition: impl Fn(&Value) -> bool) -> BTreeMap<String, Value> {
        let found = wait_for(SOON, || {
            let statuses = self.statuses();
            statuses.values().all(&condition).then_some(statuses)
        });
        found.unwrap_or_else(|| panic!("what was expected of all statuses is not so: {:#?}", self.statuses()))
    }

    /// The status of a client once it is so.
    #[track_caller]
    pub(crate) fn status_once(&self, client: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let found = wait_for(SOON, || Some(self.status(client)).filter(&condition));
        found.unwrap_or_else(|| panic!("the status is not as expected: {:#}", self.status(client)))
    }

    /// The status of a client once its last attempt failed with this code.
    #[track_caller]
    pub(crate) fn failed(&self, client: &str, code: &str) -> Value {
        self.status_once(client, |status| status["last_error"]["code"] == code)
    }

    /// The most memory that the daemon has had, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status =
            std::fs::read_to_string(Path::new("/proc").join(self.daemon.pid().to_string()).join("status"));
        let status = status.unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// It serves on, and neither its log, at any level, nor what the command line complained of or listed holds
    /// anything that is secret or that a server wrote.
    #[track_caller]
    pub(crate) fn leaks_nothing(mut self) {
        assert!(self.daemon.is_running() && self.daemon.answers());
        self.cli(&["status"]).success();
        let log = self.daemon.log();
        assert!(log.contains("DEBUG"), "the log shows everything");
        assert!(!log.contains("panicked"), "{log}");
        for (place, text) in [("the log", log.as_str()), ("the command line", &self.said.borrow())] {
            for secret in [CANARY, TOKEN, SECRET] {
                assert!(!text.contains(secret), "{place} holds {secret}: {text}");
            }
        }
    }
}

/// How one server misbehaves, and what the callers of its client are told.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) script: Script,
    /// 5 if it is tried again soon, 6 if not.
    pub(crate) exit_code: i32,
    pub(crate) error_code: &'static str,
    pub(crate) words: &'static str,
}

/// Failures that are tried again soon.
pub(crate) fn transient<const N: usize>(
    error_code: &'static str,
    words: &'static str,
    scripts: [(&'static str, Script); N],
) -> Vec<Case> {
    scripts.map(|(name, script)| Case { name, script, exit_code: 5, error_code, words }).into()
}

/// Failures that are not, until somebody changes something.
pub(crate) fn blocking<const N: usize>(
    error_code: &'static str,
    words: &'static str,
    scripts: [(&'static str, Script); N],
) -> Vec<Case> {
    scripts.map(|(name, script)| Case { name, script, exit_code: 6, error_code, words }).into()
}

/// Has all of them misbehave at once, and checks what their clients' callers are told.
#[track_caller]
pub(crate) fn all_fail(cases: &[Case], issuer_keys: &str) -> (HostileServer, Host) {
    let server = HostileServer::start();
    for case in cases {
        server.at(&format!("/{}", case.name), case.script.clone());
    }
    let host = Host::of(&server, cases.iter().map(|case| case.name), issuer_keys);
    let statuses = host.statuses_once(|status| !status["last_error"].is_null());
    for case in cases {
        let status = &statuses[case.name];
        let state = if case.exit_code == 5 { "unavailable" } else { "blocked" };
        assert_eq!(
            (&status["state"], &status["last_error"]["code"]),
            (&state.into(), &case.error_code.into()),
            "{}: {status}",
            case.name
        );
        host.refused(case.name, case.exit_code, &["error: ", case.words]);
        assert!(status["renewing"] == true || status["last_error"]["next_try_in"].is_u64(), "{status}");
        assert!(server.requests(&format!("/{}", case.name)) > 0, "{} was not asked", case.name);
    }
    (server, host)
}
