//! Secrets, keys and tokens are in no log at any level, no list, no status and no file.

use std::fs;

use tokenbroker_testkit::{AuthServer, Client, Fault, Install, configuration};

const POST: &str = "c4n4ry-post+secret";
const BASIC: &str = "c4n4ry-basic+secret";
const KEY: &str = include_str!("keys/p-256.pem");

/// `basic:` and the secret, as the header has it: form-encoded, then in base64.
const BASIC_IN_BASE64: &str = "YmFzaWM6YzRuNHJ5LWJhc2ljJTJCc2VjcmV0";

#[test]
fn s57_neither_logs_nor_lists_nor_files_show_what_is_secret() {
    let server = AuthServer::builder().tls(true).start();
    let mut install = Install::new();
    install.env("TOKENBROKER_LOG", "trace");
    install.config(&configuration(&server));
    let daemon = install.start();
    server.register(Client::secret_post("post", POST));
    server.register(Client::secret_basic("basic", BASIC));
    install.cli(["secret", "set", "post"]).stdin(POST).run().success();
    install.cli(["secret", "set", "basic"]).stdin(BASIC).run().success();
    install.cli(["key", "import", "signer"]).stdin(KEY).run().success();
    let jwk = install.cli(["key", "public", "signer", "--format", "jwk"]).run().success();
    server.register(Client::private_key_jwt("signer", &jwk));

    let mut secret = vec![POST.to_owned(), BASIC.into(), BASIC_IN_BASE64.into(), "c4n4ry".into()];
    secret.extend(KEY.lines().filter(|line| !line.starts_with("-----")).map(str::to_owned));
    // What every assertion begins with.
    secret.push("eyJ".into());
    for client in ["post", "basic", "signer"] {
        install.cli(["renew", client]).run().success();
        secret.push(install.cli(["get", client]).run().success().trim_end().to_owned());
    }
    for fault in [Fault::Refuse("invalid_client"), Fault::Status(500), Fault::Disconnect] {
        server.set_fault(fault);
        for client in ["post", "basic", "signer"] {
            install.cli(["renew", client]).run().refused(5, &["error: "]);
        }
    }

    let log = daemon.log();
    assert!(log.contains("TRACE"), "the log is one of everything");
    let mut seen = vec![("the log".to_owned(), log)];
    for command in [&["status"][..], &["status", "--json"], &["secret", "list"], &["key", "list", "--json"]] {
        seen.push((command.join(" "), install.cli(command).run().success()));
    }
    for file in fs::read_dir(install.state_dir()).unwrap() {
        let path = file.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        seen.push((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
    }
    for (place, text) in &seen {
        for secret in &secret {
            assert!(!text.contains(secret), "{place} shows {secret}");
        }
    }
}

fn configuration(server: &AuthServer) -> String {
    let clients = [
        configuration::client("post", "as", "client_secret_post"),
        configuration::client("basic", "as", "client_secret_basic"),
        configuration::client("signer", "as", "private_key_jwt") + "assertion_alg = \"ES256\"\n",
    ];
    configuration::issuer("as", server) + &clients.concat()
}
