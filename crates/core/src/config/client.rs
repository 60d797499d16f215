//! `[clients.NAME]`.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokenbroker_oauth::{Algorithm, BasicEncoding, MacAlgorithm, RESERVED_PARAMETERS, Scope};
use url::Url;

use super::errors::Mistake;
use super::issuer::{Issuers, renew_at};
use super::merge::Value;
use super::names::NAME_RULE;
use super::rule::{self, Whole};
use super::table::Table;
use super::values::{choice, path_beside, text, texts};
use super::{AssertionAudience, AuthMethod, Client, ClientName, EndpointSource, Issuer, ReadFiles, Rule};
use crate::certificate::ClientCertificates;

pub(super) fn read_all(
    clients: Table<'_, '_>,
    issuers: &Issuers,
    files: &dyn ReadFiles,
) -> BTreeMap<ClientName, Arc<Client>> {
    let read = |(name, table): (String, Table<'_, '_>)| {
        let client = read(&name, table, issuers, files)?;
        Some((client.name.clone(), Arc::new(client)))
    };
    clients.named_tables().filter_map(read).collect()
}

fn read(name: &str, mut table: Table<'_, '_>, issuers: &Issuers, files: &dyn ReadFiles) -> Option<Client> {
    let valid_name = ClientName::new(name);
    if valid_name.is_none() {
        table.report(Mistake::new("a client can't have this name").with_hint(NAME_RULE));
    }
    let client = read_keys(valid_name, &mut table, issuers, files);
    table.finish();
    client
}

fn read_keys(
    name: Option<ClientName>,
    table: &mut Table<'_, '_>,
    issuers: &Issuers,
    files: &dyn ReadFiles,
) -> Option<Client> {
    let issuer = table.require("issuer", "\"NAME\"", |value| issuers.find(value)).flatten();
    let client_id = table.require("client_id", "\"...\"", client_id);
    let auth = auth(table);
    if let (Some(issuer), Some(auth)) = (&issuer, auth) {
        check_together(table, issuer, client_id.as_deref(), auth);
    }
    let own_renew_at = table.read("renew_at", renew_at);
    let certificates = certificates(table, auth, files);
    let scope = table.read("scope", scope);
    let resource = table.read("resource", resource);
    let audience = table.read("audience", text);
    let params = table.table("params").named_values(param);
    let whole = Whole {
        scope: (scope.is_some() || !table.has("scope")).then_some(scope.as_ref()),
        resource: (resource.is_some() || !table.has("resource"))
            .then_some(resource.as_deref().unwrap_or_default()),
    };
    let allow = allow(table, whole);
    let issuer = issuer?;
    Some(Client {
        name: name?,
        client_id: client_id?,
        auth: auth?,
        certificates: certificates.map(Arc::new),
        renew_at: own_renew_at.unwrap_or(issuer.renew_at),
        issuer,
        scope,
        resource: resource.unwrap_or_default(),
        audience,
        params,
        allow,
    })
}

fn auth(table: &mut Table<'_, '_>) -> Option<AuthMethod> {
    let methods = [
        ("client_secret_basic", Some(AuthMethod::ClientSecretBasic)),
        ("client_secret_post", Some(AuthMethod::ClientSecretPost)),
        // HS256 and RS256 are what every server knows.
        ("client_secret_jwt", Some(AuthMethod::ClientSecretJwt { algorithm: MacAlgorithm::Hs256 })),
        ("private_key_jwt", Some(AuthMethod::PrivateKeyJwt { algorithm: Algorithm::Rs256 })),
        ("tls_client_auth", Some(AuthMethod::TlsClientAuth)),
        ("self_signed_tls_client_auth", Some(AuthMethod::SelfSignedTlsClientAuth)),
    ];
    let method = table.require("auth", "\"client_secret_basic\"", choice(&methods));
    match method {
        Some(AuthMethod::PrivateKeyJwt { algorithm }) => {
            let names = Algorithm::ALL.map(|algorithm| (algorithm.name(), Some(algorithm)));
            let algorithm = table.read("assertion_alg", choice(&names)).unwrap_or(algorithm);
            Some(AuthMethod::PrivateKeyJwt { algorithm })
        }
        Some(AuthMethod::ClientSecretJwt { algorithm }) => {
            let names = MacAlgorithm::ALL.map(|algorithm| (algorithm.name(), Some(algorithm)));
            let algorithm = table.read("assertion_alg", choice(&names)).unwrap_or(algorithm);
            Some(AuthMethod::ClientSecretJwt { algorithm })
        }
        Some(
            AuthMethod::ClientSecretBasic
            | AuthMethod::ClientSecretPost
            | AuthMethod::TlsClientAuth
            | AuthMethod::SelfSignedTlsClientAuth,
        ) => {
            if table.read("assertion_alg", text).is_some() {
                let mistake = Mistake::new(
                    "only clients with auth = \"private_key_jwt\" or \"client_secret_jwt\" sign assertions",
                );
                table.report_at("assertion_alg", mistake.with_hint("remove it, or change `auth`"));
            }
            method
        }
        None => {
            // Which one is right is not known before the method is.
            let _unchecked = table.read("assertion_alg", text);
            None
        }
    }
}

/// The certificate file of the methods that show one. What is wrong in it concerns this client alone, and is told when it
/// is used.
fn certificates(
    table: &mut Table<'_, '_>,
    auth: Option<AuthMethod>,
    files: &dyn ReadFiles,
) -> Option<ClientCertificates> {
    let path = match auth {
        Some(method) if method.is_tls() => table.require("certificate", "\"client.pem\"", path_beside),
        _ => table.read("certificate", path_beside),
    };
    if auth.is_some_and(|method| !method.is_tls()) && table.has("certificate") {
        let mistake = Mistake::new(
            "only clients with auth = \"tls_client_auth\" or \"self_signed_tls_client_auth\" show a certificate",
        );
        table.report_at("certificate", mistake.with_hint("remove it, or change `auth`"));
    }
    path.map(|path| ClientCertificates { content: files.certificates(&path), path })
}

/// What is fine by itself and not with the issuer's settings.
fn check_together(table: &Table<'_, '_>, issuer: &Issuer, client_id: Option<&str>, auth: AuthMethod) {
    match auth {
        AuthMethod::PrivateKeyJwt { .. } | AuthMethod::ClientSecretJwt { .. }
            if issuer.assertion_audience == AssertionAudience::Issuer
                && issuer.endpoint.issuer().is_none() =>
        {
            let mistake =
                Mistake::new("the audience of assertions is not known: the issuer has no identifier");
            table.report_at("auth", mistake.with_hint(format!(
                "add `issuer` to [issuers.{0}], or assertion_audience = \"token-endpoint\" or what the server wants",
                issuer.name
            )));
        }
        AuthMethod::ClientSecretBasic
            if issuer.basic_encoding == BasicEncoding::Raw
                && client_id.is_some_and(|id| id.contains(':')) =>
        {
            let mistake = Mistake::new("a raw Basic header can't carry a client ID with a colon");
            table.report_at(
                "client_id",
                mistake.with_hint("use auth = \"client_secret_post\" if the server has it"),
            );
        }
        AuthMethod::TlsClientAuth | AuthMethod::SelfSignedTlsClientAuth if is_plain_http(issuer) => {
            let mistake =
                Mistake::new("there is no TLS to show a certificate in: the issuer is asked by plain http");
            table.report_at("auth", mistake.with_hint("use the server's https:// URL, or another `auth`"));
        }
        _ => {}
    }
}

fn is_plain_http(issuer: &Issuer) -> bool {
    match &issuer.endpoint {
        EndpointSource::Discover(identifier) => identifier.as_str().starts_with("http:"),
        EndpointSource::Named { endpoint, .. } => endpoint.as_str().starts_with("http:"),
    }
}

/// An empty list is refused: it could mean nobody, or the default, and one reader in two would be wrong.
fn allow(table: &mut Table<'_, '_>, whole: Whole<'_>) -> Vec<Rule> {
    let rules = rule::of_a_client(table, whole);
    if rules.as_ref().is_some_and(Vec::is_empty) {
        let mistake = Mistake::new("an empty list permits nobody");
        table.report_at(
            "allow",
            mistake.with_hint("without `allow`, root and the daemon's own user have the token"),
        );
    }
    rules.unwrap_or_default()
}

/// Wider than RFC 6749 appendix A.1, which knows ASCII only: servers are.
fn client_id(value: Value<'_>) -> Result<String, Mistake> {
    let client_id = text(value)?;
    match client_id.chars().any(char::is_control) {
        true => Err(Mistake::new("a client ID has no control characters")),
        false => Ok(client_id),
    }
}

/// Words in one string, or an array of words.
fn scope(value: Value<'_>) -> Result<Scope, Mistake> {
    let parts = texts(value)?;
    Scope::parse(&parts.join(" ")).map_err(|error| {
        Mistake::new(error.to_string()).with_hint("leave `scope` out to take the server's default")
    })
}

/// Absolute URIs without a fragment (RFC 8707 section 2).
fn resource(value: Value<'_>) -> Result<Vec<String>, Mistake> {
    let resources = texts(value)?;
    let is_absolute = |text: &String| Url::parse(text).is_ok_and(|url| url.fragment().is_none());
    match resources.iter().all(is_absolute) {
        true => Ok(resources),
        false => Err(Mistake::new("expected absolute URIs without a fragment (#...)")),
    }
}

fn param(name: &str, value: Value<'_>) -> Result<String, Mistake> {
    if RESERVED_PARAMETERS.contains(&name) {
        return Err(
            Mistake::new("the broker sends this parameter itself").with_hint("remove it from `params`")
        );
    }
    value.to("a string")
}
