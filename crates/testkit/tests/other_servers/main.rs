//! Authorization servers that disagree with each other, and the configuration that each of them takes: the real daemon and
//! command line with Authlib, `@node-oauth/oauth2-server` and `oidc-provider`.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod assertions;
mod secrets;

use std::path::PathBuf;
use std::time::Duration;

use tokenbroker_testkit::{
    AssertionAudience, Authlib, Daemon, Install, OAuth2Server, OidcProvider, require_or_skip,
};

/// Ample: other tests use the same processors.
const DEADLINE: Duration = Duration::from_secs(30);

const LIFETIME: Duration = Duration::from_secs(60);

fn authlib(audience: AssertionAudience) -> Option<Authlib> {
    require_or_skip("Authlib", Authlib::available()).then(|| Authlib::start(LIFETIME, audience))
}

fn oauth2_server() -> Option<OAuth2Server> {
    require_or_skip("oauth2-server", OAuth2Server::available()).then(|| OAuth2Server::start(LIFETIME))
}

fn oidc_provider() -> Option<OidcProvider> {
    require_or_skip("oidc-provider", OidcProvider::available()).then(|| OidcProvider::start(LIFETIME))
}

/// What a daemon has to be told of a server, and where its tokens are good.
struct Address {
    ca_file: PathBuf,
    /// The key of an issuer that leads to the token endpoint.
    key: String,
    data_url: String,
}

impl From<&Authlib> for Address {
    fn from(server: &Authlib) -> Self {
        let key = format!("issuer = {:?}", server.issuer());
        Self { ca_file: server.ca_file(), key, data_url: server.data_url() }
    }
}

impl From<&OAuth2Server> for Address {
    fn from(server: &OAuth2Server) -> Self {
        let key = format!("token_endpoint = {:?}", server.token_endpoint());
        Self { ca_file: server.ca_file(), key, data_url: server.data_url() }
    }
}

impl From<&OidcProvider> for Address {
    fn from(server: &OidcProvider) -> Self {
        let key = format!("issuer = {:?}", server.issuer());
        Self { ca_file: server.ca_file(), key, data_url: server.data_url() }
    }
}

/// A daemon that knows one server as several issuers, each with keys of its own.
struct Site {
    _daemon: Daemon,
    install: Install,
    server: Address,
}

impl Site {
    /// With these issuers and their keys, and with these clients, their issuers and their keys.
    fn start(server: impl Into<Address>, issuers: &[(&str, &str)], clients: &[(&str, &str, &str)]) -> Self {
        let server = server.into();
        let mut config = String::new();
        for (name, keys) in issuers {
            let Address { key, ca_file, .. } = &server;
            config.push_str(&format!("[issuers.{name}]\n{key}\nca_file = {ca_file:?}\n{keys}\n"));
        }
        for (name, issuer, keys) in clients {
            config.push_str(&format!(
                "[clients.{name}]\nissuer = {issuer:?}\nclient_id = {name:?}\nscope = \"signtext_api\"\n{keys}\n"
            ));
        }
        let install = Install::new();
        install.config(&config);
        Self { _daemon: install.start(), install, server }
    }

    fn set_secret(&self, client: &str, secret: &str) {
        self.install.cli(["secret", "set", client]).stdin(secret).run().success();
    }

    /// The client gets a token, and the server's own resource takes it, and no made-up one.
    async fn assert_token_is_accepted(&self, client: &str) {
        let token = self.install.cli(["get", client]).run().success();
        let accepted = self.data(token.trim_end()).await;
        assert_eq!(accepted, (200, "This is the protected data.".into()), "{client}");
        assert_eq!(self.data("made-up").await.0, 401);
    }

    /// The server refuses the client's credential, and both the command line and the status say which key to look at.
    #[track_caller]
    fn assert_refused(&self, client: &str, configuration_key: &str) {
        let get = self.install.cli(["get", client]).run();
        get.refused(6, &["invalid_client", "\nhint: ", configuration_key]);
        let status = self.install.status(client);
        assert_eq!(
            (&status["state"], &status["last_error"]["code"]),
            (&"blocked".into(), &"invalid_client".into())
        );
        let explained = status["explanation"].to_string();
        let hint = explained.split_once("What to do: ").map(|(_, hint)| hint);
        assert!(hint.is_some_and(|hint| hint.contains(configuration_key)), "{explained}");
    }

    async fn data(&self, token: &str) -> (u16, String) {
        let ca = reqwest::Certificate::from_pem(&std::fs::read(&self.server.ca_file).unwrap()).unwrap();
        let http = reqwest::Client::builder().tls_certs_only([ca]).no_proxy().build().unwrap();
        let response = http.get(&self.server.data_url).bearer_auth(token).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }
}
