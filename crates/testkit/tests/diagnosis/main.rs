//! `tokenbroker test` and `tokenbroker doctor`: each thing that can be wrong, and what they say of it.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod client;
mod host;

use serde_json::Value;
use tokenbroker_testkit::{AuthServer, Client, Daemon, Install, configuration};

const SECRET: &str = "s3cret-canary";

/// A server, and a daemon with the client `app`, whose secret is right.
struct Site {
    daemon: Daemon,
    install: Install,
    server: AuthServer,
}

impl Site {
    fn start() -> Self {
        Self::with(AuthServer::start(), "")
    }

    /// With more keys of the client.
    fn with(server: AuthServer, keys: &str) -> Self {
        let install = Install::new();
        install.config(
            &(configuration::issuer("test", &server)
                + &configuration::client("app", "test", "client_secret_basic")
                + keys),
        );
        server.register(Client::secret_basic("app", SECRET));
        let site = Self { daemon: install.start(), install, server };
        site.set(SECRET);
        site
    }

    fn set(&self, secret: &str) {
        self.install.cli(["secret", "set", "app"]).stdin(secret).run().success();
    }

    /// The checks of `test app`, and whether it found nothing bad.
    fn test(&self) -> Checks {
        Checks::of(&self.install, &["test", "app", "--json"])
    }

    fn doctor(&self) -> Checks {
        Checks::of(&self.install, &["doctor", "--json"])
    }
}

struct Checks {
    code: i32,
    checks: Vec<Value>,
}

impl Checks {
    fn of(install: &Install, arguments: &[&str]) -> Self {
        let output = install.cli(arguments).run();
        assert!(!output.stdout.contains(SECRET) && !output.stderr.contains(SECRET), "{output:?}");
        let checks = serde_json::from_str(&output.stdout);
        Self { code: output.code, checks: checks.unwrap_or_else(|error| panic!("{error}: {output:?}")) }
    }

    /// The verdict on a subject, the worst if there are several.
    fn verdict(&self, subject: &str) -> Option<&str> {
        let order = ["good", "skipped", "warning", "bad"];
        let of_subject = self.checks.iter().filter(|check| check["subject"] == subject);
        let verdicts = of_subject.filter_map(|check| check["verdict"].as_str());
        verdicts.max_by_key(|verdict| order.iter().position(|one| one == verdict))
    }

    /// All is well but for this subject, of which something is said in these words.
    #[track_caller]
    fn assert_finds(&self, verdict: &str, subject: &str, finding: &str, remedy: &str) {
        let says = |check: &&Value| {
            check["subject"] == subject
                && check["verdict"] == verdict
                && check["finding"].as_str().unwrap().contains(finding)
                && check["remedy"].as_str().unwrap_or_default().contains(remedy)
        };
        let found = self.checks.iter().find(says);
        assert!(
            found.is_some(),
            "nothing {verdict} of {subject} with {finding:?} and {remedy:?}: {:#?}",
            self.checks
        );
        assert_eq!(self.code, i32::from(self.checks.iter().any(|check| check["verdict"] == "bad")));
    }
}
