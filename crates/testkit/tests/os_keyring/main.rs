//! The daemon with its credentials in a real gnome-keyring: used, restarted, locked, absent.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod absent;
mod behind_our_back;
mod locked;
mod moving;

use std::time::Duration;

use serde_json::Value;
use tokenbroker_testkit::{
    AuthServer, Client, Install, Keyring, configuration, data, require_or_skip, wait_until,
};

/// Ample: other tests use the same processors, and the daemon tries again at its own pace.
const DEADLINE: Duration = Duration::from_secs(60);

const SECRET: &str = "s3cret-canary";

/// A server, and a directory whose daemon knows its clients `app` and `key`, and keeps credentials in the keyring.
struct Site {
    install: Install,
    server: AuthServer,
}

impl Site {
    fn new(bus_address: Option<&str>) -> Self {
        let server = AuthServer::start();
        server.register(Client::secret_basic("app", SECRET));
        let mut install = Install::new();
        let config = configuration::issuer("test", &server)
            + &configuration::client("app", "test", "client_secret_basic")
            + &configuration::client("key", "test", "private_key_jwt")
            + "\n[keystore]\nstore = \"os-keyring\"\n";
        install.config(&config);
        if let Some(bus_address) = bus_address {
            install.env("DBUS_SESSION_BUS_ADDRESS", bus_address);
        }
        Self { install, server }
    }

    fn cli(&self, arguments: &[&str], stdin: &str) -> String {
        self.install.cli(arguments).stdin(stdin).run().success()
    }

    #[track_caller]
    fn assert_gets(&self, client: &str) {
        let token = self.cli(&["get", client], "");
        assert_eq!(data(self.server.address(), token.trim_end()).0, 200, "{client}");
    }

    /// The status of `app` once it is in this state.
    fn status_once(&self, state: &str) -> Value {
        wait_until(DEADLINE, || self.install.status("app")["state"] == state);
        self.install.status("app")
    }

    /// The key store can't be asked, and everybody is told why.
    #[track_caller]
    fn assert_unavailable(&self, log: impl Fn() -> String, why: &str, hint: &str) {
        let status = self.status_once("unavailable");
        assert_eq!(status["last_error"]["code"], "key_store");
        let message = status["last_error"]["message"].as_str().unwrap();
        assert!(message.contains(why), "{message}");

        let no_token = self.install.cli(["get", "app", "--wait", "0s"]).run().expect(5);
        for said in [log(), no_token.stderr] {
            assert!(said.contains(why) && said.contains(hint), "{said}");
        }
        let set = self.install.cli(["secret", "set", "app"]).stdin("other").run();
        let list = self.install.cli(["secret", "list"]).run();
        for refused in [set, list] {
            let refused = refused.expect(1);
            assert!(refused.stderr.contains(why) && refused.stderr.contains("hint: "), "{refused:?}");
        }
        assert_eq!(self.server.all_token_requests(), 0);
    }
}

/// A keyring, if this host can run one.
fn keyring() -> Option<Keyring> {
    require_or_skip("OS keyring", Keyring::available()).then(Keyring::start)
}

#[test]
fn credentials_in_the_keyring_are_listed_used_kept_over_a_restart_and_removed() {
    let Some(keyring) = keyring() else { return };
    let site = Site::new(Some(keyring.bus_address()));
    let daemon = site.install.start();
    site.cli(&["secret", "set", "app"], SECRET);
    site.cli(&["key", "generate", "key"], "");
    let jwk = site.cli(&["key", "public", "key", "--format", "jwk"], "");
    site.server.register(Client::private_key_jwt("key", &jwk));
    site.cli(&["renew", "key"], "");

    let listed = site.cli(&["secret", "list", "--json"], "");
    let credentials: Vec<Value> = serde_json::from_str(&listed).unwrap();
    let kinds: Vec<_> =
        credentials.iter().map(|credential| (&credential["store"], &credential["kind"])).collect();
    let store = Value::from("os-keyring");
    assert_eq!(kinds, [(&store, &"secret".into()), (&store, &"private-key".into())]);
    assert_eq!(site.install.status("app")["credential"]["store"], "os-keyring");
    assert!(site.cli(&["status"], "").contains("OS keyring"), "the note says what that protects against");
    let items = keyring.items();
    assert!(
        items.contains("attribute.username = app/") && items.contains("attribute.username = key/"),
        "{items}"
    );
    site.assert_gets("app");
    site.assert_gets("key");

    let requests = site.server.all_token_requests();
    assert!(daemon.terminate().success());
    let state = std::fs::read_dir(site.install.state_dir()).unwrap();
    let files: Vec<_> = state.map(|file| file.unwrap().path()).filter(|path| path.is_file()).collect();
    assert!(files.iter().all(|file| !contains(file, SECRET)), "{files:?}");
    assert!(files.iter().any(|file| file.ends_with("tokens-1")), "{files:?}");
    assert!(keyring.items().contains("attribute.username = token-key"));

    let _daemon = site.install.start();
    site.assert_gets("app");
    site.assert_gets("key");
    assert_eq!(site.server.all_token_requests(), requests, "the tokens outlived the restart");
    assert_eq!(site.cli(&["secret", "list", "--json"], ""), listed);
    assert_eq!(site.cli(&["key", "public", "key", "--format", "jwk"], ""), jwk);

    site.cli(&["secret", "remove", "app"], "");
    site.cli(&["secret", "remove", "key"], "");
    assert_eq!(site.cli(&["secret", "list", "--json"], ""), "[]\n");
    // The key that the tokens were kept with goes a moment later.
    wait_until(DEADLINE, || !keyring.items().contains("attribute.username"));
    site.install.cli(["get", "app"]).run().expect(6);
    assert!(!keyring.has_prompted());
}

fn contains(file: &std::path::Path, text: &str) -> bool {
    std::fs::read(file).unwrap().windows(text.len()).any(|window| window == text.as_bytes())
}
