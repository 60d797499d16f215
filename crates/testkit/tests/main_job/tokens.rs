//! Three ways of client authentication, and tokens that the protected resource accepts.

use tokenbroker_testkit::{AuthServer, Client};

use crate::{SECRET, Site};

const CLIENTS: [(&str, &str, &str); 3] = [
    ("basic", "client_secret_basic", "scope = \"api:read\""),
    ("post", "client_secret_post", ""),
    ("key", "private_key_jwt", "assertion_alg = \"ES256\""),
];

#[test]
fn three_clients_each_in_its_way_get_tokens_that_the_resource_accepts() {
    let server = AuthServer::start();
    server.register(Client::secret_basic("basic", SECRET));
    server.register(Client::secret_post("post", SECRET));
    let site = Site::start(server, &CLIENTS);

    site.set_secret("basic", SECRET);
    site.set_secret("post", SECRET);
    // The key can be registered only once it exists, and by then the daemon has been refused once.
    site.cli(&["key", "generate", "key", "--alg", "ES256"], "");
    let jwk = site.cli(&["key", "public", "key", "--format", "jwk"], "");
    site.status_once("key", "blocked");
    site.server.register(Client::private_key_jwt("key", &jwk));
    site.cli(&["renew", "key"], "");

    for (client, ..) in CLIENTS {
        let token = site.get(client);
        site.assert_accepted(&token);
        assert_eq!(site.get(client), token, "a warm token is the same for everybody");
        assert_eq!(site.server.counts(client).accepted, 1, "{client}");
        assert_eq!(site.server.counts(client).rejected, u64::from(client == "key"), "{client}");
    }
    assert_eq!(site.server.metadata_requests(), 1, "the endpoint was discovered once for all");
}

#[test]
fn a_client_that_is_not_there_is_refused_with_the_nearest_name() {
    let site = Site::with_app(AuthServer::start());
    let refused = site.install.cli(["get", "apps"]).run().expect(4);
    assert!(refused.stdout.is_empty(), "{refused:?}");
    assert!(refused.stderr.contains("hint: did you mean app?"), "{refused:?}");
}

#[test]
fn credentials_and_tokens_survive_a_restart_of_the_daemon() {
    let site = Site::with_app(AuthServer::start());
    let before = site.get("app");
    let listed = site.cli(&["secret", "list", "--json"], "");
    let Site { install, daemon, server } = site;
    assert!(daemon.terminate().success());

    let site = Site { daemon: install.start(), install, server };
    assert_eq!(site.get("app"), before, "the token survives, too");
    site.cli(&["renew", "app"], "");
    let after = site.get("app");
    site.assert_accepted(&after);
    assert_ne!(after, before);
    assert_eq!(site.cli(&["secret", "list", "--json"], ""), listed);

    let Site { install, daemon, server } = site;
    daemon.kill();
    let site = Site { daemon: install.start(), install, server };
    site.assert_accepted(&site.get("app"));
}
