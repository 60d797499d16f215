//! `secret set`.

use tokenbroker_testkit::{AuthServer, Client};

use crate::{start, stored};

const CANARY: &str = "c4n4ry-s3cret";

#[test]
fn an_empty_secret_is_refused_and_the_old_one_stays() {
    let server = AuthServer::start();
    server.register(Client::secret_post("app", "right"));
    let (install, _daemon) = start(&server, &[("app", "client_secret_post")]);
    install.cli(["secret", "set", "app"]).stdin("right").run().success();
    let before = stored(&install, "app");

    for nothing in ["", "\n"] {
        let refused = install.cli(["secret", "set", "app"]).stdin(nothing).run();
        refused.refused(1, &["error: the secret is empty\nhint: nothing was changed"]);
    }
    assert_eq!(stored(&install, "app"), before);
    install.cli(["renew", "app"]).run().success();
}

#[test]
fn s57_a_secret_is_no_argument_and_is_not_repeated() {
    let server = AuthServer::start();
    let (install, _daemon) = start(&server, &[("app", "client_secret_post")]);
    for arguments in [
        vec!["secret", "set", "app", CANARY],
        vec!["secret", "set", "app", "--secret", CANARY],
        vec!["secret", "set", "app", "--secret=c4n4ry-s3cret"],
        vec!["secret", "set", "app", "--", CANARY],
    ] {
        let words = ["error: unexpected argument", "\nhint: a secret is never an argument"];
        let said = install.cli(&arguments).run().refused(2, &words);
        assert!(!said.contains(CANARY), "{arguments:?}: {said}");
    }
    assert_eq!(stored(&install, "app"), []);
}

#[test]
fn one_newline_at_the_end_is_not_part_of_a_secret() {
    let server = AuthServer::start();
    server.register(Client::secret_post("app", "right"));
    let (install, _daemon) = start(&server, &[("app", "client_secret_post")]);
    for piped in ["right", "right\n", "right\r\n"] {
        install.cli(["secret", "set", "app"]).stdin(piped).run().success();
        install.cli(["renew", "app"]).run().success();
    }
    assert_eq!(server.counts("app").rejected, 0);
}

#[test]
fn a_second_newline_is_part_of_a_secret_and_such_a_secret_is_refused() {
    let server = AuthServer::start();
    let (install, mut daemon) = start(&server, &[("app", "client_secret_post")]);
    let refused = install.cli(["secret", "set", "app"]).stdin(format!("{CANARY}\n\n")).run();
    let said =
        refused.refused(1, &["error: the secret has a line break", "\nhint: a client secret is one line"]);
    assert!(!said.contains(CANARY) && !daemon.log().contains(CANARY), "{said}");
    assert_eq!(stored(&install, "app"), []);
    assert!(daemon.is_running());
}

#[test]
fn what_is_no_text_or_too_long_is_refused_and_not_repeated() {
    let server = AuthServer::start();
    let (install, daemon) = start(&server, &[("app", "client_secret_post")]);
    let long = CANARY.repeat(200);
    for (secret, words) in [
        ([CANARY.as_bytes(), b"\xff"].concat(), "error: the secret can't be used: "),
        (long.into_bytes(), "error: the secret is longer than 2048 bytes"),
        (vec![b'x'; 100_000], "error: can't read standard input: it is longer than 32 KiB"),
        (
            format!("-----BEGIN PRIVATE KEY-----{CANARY}").into_bytes(),
            "error: that is a key or a certificate in PEM",
        ),
    ] {
        let said = install.cli(["secret", "set", "app"]).stdin(secret).run().refused(1, &[words]);
        assert!(!said.contains(CANARY), "{said}");
    }
    assert!(!daemon.log().contains(CANARY));
    assert_eq!(stored(&install, "app"), []);
}

#[test]
fn a_secret_is_not_taken_for_a_client_with_a_key_nor_a_key_for_one_with_a_secret() {
    let server = AuthServer::start();
    let (install, _daemon) = start(&server, &[("signer", "ES256"), ("app", "client_secret_basic")]);

    install.cli(["secret", "set", "signer"]).stdin("secret").run().refused(
        1,
        &[
            "error: client signer authenticates with a private key, not with a secret\n",
            "hint: generate a key with `tokenbroker key generate signer",
        ],
    );
    let key = include_str!("keys/p-256.pem");
    for run in [
        install.cli(["key", "import", "app"]).stdin(key),
        install.cli(["key", "generate", "app", "--alg", "ES256"]),
    ] {
        run.run().refused(
            1,
            &[
                "error: client app authenticates with a secret, not with a private key\n",
                "hint: set the secret with `tokenbroker secret set app`, or change auth of [clients.app]\n",
            ],
        );
    }
    assert_eq!((stored(&install, "signer"), stored(&install, "app")), (vec![], vec![]));
}

#[test]
fn what_is_not_there_can_not_be_removed() {
    let server = AuthServer::start();
    let (install, _daemon) = start(&server, &[("app", "client_secret_post"), ("signer", "ES256")]);
    install
        .cli(["key", "retire", "signer", "--kid", "old"])
        .run()
        .refused(1, &["error: ", "no key with that key ID"]);
    install.cli(["key", "public", "signer"]).run().refused(
        1,
        &[
            "error: there is no key for client signer\n",
            "hint: generate one with `tokenbroker key generate signer",
        ],
    );
    install.cli(["secret", "remove", "app"]).run().refused(1, &["error: no credential is stored for app"]);
}
