//! Configurations, as validation would build them.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokenbroker_oauth::{self as oauth, Algorithm, BasicEncoding, PlainHttp, Scope};

use super::{minutes, seconds};
use crate::config::{
    AssertionAudience, AuthMethod, Client, ClientName, Config, Daemon, EndpointSource, Issuer, KeyStore,
    Proxy,
};
use crate::narrowing::Narrowing;

pub(in crate::engine::tests) fn name(client: &str) -> ClientName {
    ClientName::new(client).unwrap()
}

/// With a token endpoint that needs no discovery.
pub(in crate::engine::tests) fn issuer() -> Issuer {
    let endpoint = oauth::Endpoint::parse("https://as.example/token", PlainHttp::Refused).unwrap();
    Issuer {
        name: "as".into(),
        preset: None,
        endpoint: EndpointSource::Named { endpoint, issuer: None },
        assertion_audience: AssertionAudience::TokenEndpoint,
        assertion_typ: "client-authentication+jwt".into(),
        basic_encoding: BasicEncoding::Form,
        ca_file: None,
        proxy: Proxy::None,
        allow_link_local: false,
        timeout: seconds(10),
        max_in_flight: 8,
        max_per_second: 20,
        renew_at: 0.75,
        default_lifetime: minutes(5),
        max_lifetime: minutes(24 * 60),
        plain_http: PlainHttp::Refused,
    }
}

/// With an issuer identifier by which the token endpoint is discovered.
pub(in crate::engine::tests) fn discovering() -> Issuer {
    let identifier = oauth::Issuer::parse("https://as.example/op", PlainHttp::Refused).unwrap();
    Issuer { endpoint: EndpointSource::Discover(identifier), ..issuer() }
}

/// With a secret in the request's body, where the server sees it.
pub(in crate::engine::tests) fn client(client: &str, issuer: &Arc<Issuer>) -> Client {
    Client {
        name: name(client),
        issuer: Arc::clone(issuer),
        client_id: client.into(),
        auth: AuthMethod::ClientSecretPost,
        certificates: None,
        scope: Some(Scope::parse("read write").unwrap()),
        resource: Vec::new(),
        audience: None,
        params: BTreeMap::new(),
        renew_at: issuer.renew_at,
        allow: Vec::new(),
    }
}

pub(in crate::engine::tests) fn key_client(name: &str, issuer: &Arc<Issuer>) -> Client {
    Client { auth: AuthMethod::PrivateKeyJwt { algorithm: Algorithm::Rs256 }, ..client(name, issuer) }
}

pub(in crate::engine::tests) fn config(clients: impl IntoIterator<Item = Client>) -> Config {
    let clients: BTreeMap<_, _> =
        clients.into_iter().map(|client| (client.name.clone(), Arc::new(client))).collect();
    let issuers =
        clients.values().map(|client| (client.issuer.name.clone(), Arc::clone(&client.issuer))).collect();
    Config { daemon: Daemon::default(), keystore: KeyStore::default(), issuers, clients }
}

/// A part of a client's scope.
pub(in crate::engine::tests) fn narrowing(scope: &str) -> Narrowing {
    Narrowing { scope: Some(Scope::parse(scope).unwrap()), ..Narrowing::default() }
}
