//! Authorization servers that are known by name.

use tokenbroker_testkit::{AuthServer, Install};

use crate::Site;

#[test]
fn what_is_printed_is_a_configuration() {
    let site = Site::start(AuthServer::start(), &[]);
    let printed = site.cli(&["presets"], "");
    for name in ["signaturgruppen", "keycloak", "entra-id", "auth0", "okta", "duende-identityserver"] {
        assert!(printed.contains(&format!("[issuers.{name}]\npreset = {name:?}\n")), "{printed}");
    }
    let install = Install::new();
    install.config(&printed.replace("\"...\"", "\"acme.example/it\""));
    let checked = install.tokenbrokerd(["--check-config"]).run().expect(0);
    assert_eq!(checked.stderr, "the configuration is valid\n");

    install.config(&printed);
    let refused = install.tokenbrokerd(["--check-config"]).run().expect(78);
    assert!(refused.stderr.contains("a tenant is a name, or a host with a path"), "{refused:?}");
}
