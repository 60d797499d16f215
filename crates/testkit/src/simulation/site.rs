//! What a simulated host is configured for: issuers and clients, as an operator would write them down.

use std::fmt::Write;

use tokenbroker_core::config::{self, Config, NoFiles, Source};

use super::dice::Dice;

/// An authorization server, and how the broker is to talk to it.
#[derive(Debug, Clone)]
pub(crate) struct IssuerPlan {
    pub(crate) name: &'static str,
    /// The token endpoint is discovered.
    pub(crate) discovers: bool,
    /// Basic headers are not form-encoded.
    pub(crate) raw: bool,
    /// The audience of assertions is the token endpoint.
    pub(crate) audience_is_endpoint: bool,
    pub(crate) max_in_flight: usize,
    pub(crate) max_per_second: u32,
    pub(crate) timeout: u64,
}

impl IssuerPlan {
    pub(crate) fn identifier(&self) -> String {
        format!("https://{}.example/op", self.name)
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("https://{}.example/op/token", self.name)
    }

    pub(crate) fn audience(&self) -> String {
        if self.audience_is_endpoint { self.endpoint() } else { self.identifier() }
    }
}

/// How a client authenticates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Basic,
    Post,
    Assertion,
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Self::Basic => "client_secret_basic",
            Self::Post => "client_secret_post",
            Self::Assertion => "private_key_jwt",
        }
    }
}

/// A client, and what its server does for it.
#[derive(Debug, Clone)]
pub(crate) struct ClientPlan {
    pub(crate) name: String,
    /// Which of the issuers it is registered with.
    pub(crate) issuer: usize,
    pub(crate) client_id: String,
    pub(crate) method: Method,
    pub(crate) scope: Vec<String>,
    pub(crate) resource: Vec<String>,
    pub(crate) audience: Option<String>,
    pub(crate) renew_at: f64,
    /// How long its tokens live, in seconds.
    pub(crate) lifetime: u64,
    /// Whether it is in the configuration now.
    pub(crate) is_configured: bool,
    /// Whether anybody ever gave it a credential.
    pub(crate) has_credential: bool,
}

/// A host's issuers and clients.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) issuers: Vec<IssuerPlan>,
    pub(crate) clients: Vec<ClientPlan>,
}

/// How long tokens live, in seconds; most as most servers have it.
const LIFETIMES: [u64; 12] =
    [600, 1800, 3600, 3600, 3600, 3600, 7200, 7200, 6 * 3600, 6 * 3600, 24 * 3600, 24 * 3600];

/// `default_lifetime` of every issuer, in seconds: other than the default, so that it is seen to count.
pub(crate) const DEFAULT_LIFETIME: u64 = 600;

/// `max_lifetime` of every issuer, in seconds.
pub(crate) const MAX_LIFETIME: u64 = 12 * 3600;

impl Site {
    /// Four servers with their ways, and 50 clients.
    pub(crate) fn random(dice: &mut Dice) -> Self {
        let plan = |name, discovers, raw, audience_is_endpoint| IssuerPlan {
            name,
            discovers,
            raw,
            audience_is_endpoint,
            max_in_flight: 8,
            max_per_second: 20,
            timeout: 10,
        };
        let mut issuers = vec![
            plan("bank", true, false, false),
            plan("cloud", false, true, false),
            plan("post", false, false, true),
            plan("city", true, false, false),
        ];
        for issuer in &mut issuers {
            issuer.max_in_flight = dice.pick(&[1, 2, 4, 8, 16]);
            issuer.max_per_second = dice.pick(&[2, 5, 10, 20, 30]);
            issuer.timeout = dice.pick(&[5, 10, 20]);
        }
        let clients = (0..50).map(|number| ClientPlan::random(dice, number, issuers.len())).collect();
        Self { issuers, clients }
    }

    /// One server, and clients that are all alike.
    pub(crate) fn uniform(clients: usize, lifetime: u64, renew_at: f64) -> Self {
        let issuer = IssuerPlan {
            name: "bank",
            discovers: true,
            raw: false,
            audience_is_endpoint: false,
            max_in_flight: 8,
            max_per_second: 20,
            timeout: 10,
        };
        let client = |number| ClientPlan {
            name: format!("client-{number:04}"),
            issuer: 0,
            client_id: format!("id-{number:04}"),
            method: if number % 2 == 0 { Method::Basic } else { Method::Assertion },
            scope: vec!["api".into()],
            resource: Vec::new(),
            audience: None,
            renew_at,
            lifetime,
            is_configured: true,
            has_credential: true,
        };
        Self { issuers: vec![issuer], clients: (0..clients).map(client).collect() }
    }

    /// The configuration, from its text.
    pub(crate) fn config(&self) -> Config {
        let source = Source { path: "/etc/tokenbroker/config.toml".into(), text: self.toml() };
        match config::parse(&[source], &NoFiles) {
            Ok(config) => config,
            Err(errors) => panic!("the simulated configuration is not valid: {errors}"),
        }
    }

    fn toml(&self) -> String {
        let mut toml = String::new();
        let mut line = |arguments: std::fmt::Arguments<'_>| {
            let _never_fails = writeln!(toml, "{arguments}");
        };
        for issuer in &self.issuers {
            line(format_args!("[issuers.{}]", issuer.name));
            line(format_args!("issuer = \"{}\"", issuer.identifier()));
            if !issuer.discovers {
                line(format_args!("token_endpoint = \"{}\"", issuer.endpoint()));
            }
            line(format_args!("basic_encoding = \"{}\"", if issuer.raw { "raw" } else { "form" }));
            if issuer.audience_is_endpoint {
                line(format_args!("assertion_audience = \"token-endpoint\""));
            }
            line(format_args!("max_in_flight = {}", issuer.max_in_flight));
            line(format_args!("max_per_second = {}", issuer.max_per_second));
            line(format_args!("timeout = \"{}s\"", issuer.timeout));
            line(format_args!("default_lifetime = \"{DEFAULT_LIFETIME}s\""));
            line(format_args!("max_lifetime = \"{MAX_LIFETIME}s\""));
        }
        for client in self.clients.iter().filter(|client| client.is_configured) {
            line(format_args!("[clients.{}]", client.name));
            line(format_args!("issuer = \"{}\"", self.issuers[client.issuer].name));
            line(format_args!("client_id = \"{}\"", client.client_id));
            line(format_args!("auth = \"{}\"", client.method.name()));
            line(format_args!("renew_at = {:.2}", client.renew_at));
            if !client.scope.is_empty() {
                line(format_args!("scope = \"{}\"", client.scope.join(" ")));
            }
            if !client.resource.is_empty() {
                line(format_args!("resource = {:?}", client.resource));
            }
            if let Some(audience) = &client.audience {
                line(format_args!("audience = \"{audience}\""));
            }
        }
        toml
    }
}

impl ClientPlan {
    fn random(dice: &mut Dice, number: usize, issuers: usize) -> Self {
        let words = match number {
            // These have more parts than the broker holds tokens for.
            0 | 1 => 8,
            _ => dice.number(0..5),
        };
        let resources = if dice.chance(0.2) { dice.number(1..4) } else { 0 };
        Self {
            name: format!("client-{number:02}"),
            issuer: dice.index(issuers),
            // Characters that Basic headers and forms must encode; raw headers can't carry a colon.
            client_id: format!("id {number:02}+&=/ü"),
            method: dice.pick(&[Method::Basic, Method::Post, Method::Assertion]),
            scope: (0..words).map(|word| format!("scope.{word}")).collect(),
            resource: (0..resources).map(|number| format!("https://api-{number}.example/")).collect(),
            audience: dice.chance(0.1).then(|| format!("urn:audience:{number}")),
            renew_at: dice.pick(&[0.5, 0.6, 0.75, 0.75, 0.75, 0.9]),
            lifetime: LIFETIMES[dice.index(LIFETIMES.len())],
            is_configured: dice.chance(0.96),
            has_credential: dice.chance(0.94),
        }
    }
}
