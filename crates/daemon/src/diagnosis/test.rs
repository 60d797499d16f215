//! One token request, every step explained. It uses the credential in use, and connections of its own; the token is dropped.

use std::sync::Arc;

use tokenbroker_core::config::{AuthMethod, Client, EndpointSource};
use tokenbroker_core::engine::{Failure, TlsIdentity, with_environment_hint};
use tokenbroker_core::request;
use tokenbroker_keystore::{Current, KeyStore, Live, TlsKey};
use tokenbroker_oauth::{Authentication, Endpoint, HttpRequest, Metadata, Scope, TokenResponse};
use tokenbroker_protocol::Check;
use tokenbroker_secret::SecretString;

use super::advice::{Refusal, printable};
use super::exchange::Server;
use super::{Report, probe};
use crate::clock;
use crate::convert;
use crate::key_store::{CallError, QUICK};
use crate::shared::Shared;
use crate::startup::random;

/// The steps, in their order.
const STEPS: [&str; 8] =
    ["credential", "resolve", "connect", "tls", "discover", "clock", "authenticate", "token"];

pub(super) async fn run(shared: Arc<Shared>, client: Arc<Client>) -> Vec<Check> {
    let mut test = Test { shared, client, report: Report::default(), metadata: None };
    test.steps().await;
    test.report.skip(&STEPS)
}

struct Test {
    shared: Arc<Shared>,
    client: Arc<Client>,
    report: Report,
    metadata: Option<Metadata>,
}

/// What the client authenticates with.
struct Usable {
    credential: Current,
    identity: Option<TlsIdentity>,
}

impl Test {
    /// Ends at the first step that is bad: what follows depends on it.
    async fn steps(&mut self) -> Option<()> {
        let usable = self.credential().await?;
        let issuer = Arc::clone(&self.client.issuer);
        let key_store = self.shared.key_store.clone();
        let mut server = Server::new(&issuer, usable.identity.clone(), key_store);
        let endpoint = self.endpoint(&mut server).await?;
        self.warn_of_what_is_published();
        self.request(&mut server, &endpoint, &usable).await
    }

    async fn credential(&mut self) -> Option<Usable> {
        let name = self.client.name.clone();
        let for_tls = self.client.auth.is_tls();
        let found = self.key_store(move |store| {
            let live = store.live(name.as_str())?;
            let keys = if for_tls { store.tls_keys(name.as_str())? } else { Vec::new() };
            Ok((live, keys))
        });
        let (live, keys) = match found.await {
            Ok(found) => found,
            Err(error) => {
                self.report.bad("credential", error.to_string(), error.hint());
                return None;
            }
        };
        let Some(Live { current, next }) = live else {
            self.report.failed("credential", Failure::no_credential(&self.client));
            return None;
        };
        let is_key = matches!(current.credential, Current::Key { .. });
        if is_key != self.client.auth.takes_a_key() {
            self.report.failed("credential", Failure::other_credential(&self.client));
            return None;
        }
        let identity = if for_tls { Some(self.certificate(&keys, &current.stored.version)?) } else { None };
        let what = match &current.credential {
            Current::Secret { .. } => "a secret".to_owned(),
            Current::Key { kid, algorithm, .. } => format!("a key for {algorithm}, key ID {kid}"),
        };
        let (store, version) = (current.stored.store, &current.stored.version);
        self.report.good("credential", format!("{what}, in the {store}, version {version}"));
        self.look_at(&current.credential);
        if next.is_some() {
            let finding = "there is a next one beside it, which this does not try";
            self.report.warn(
                "credential",
                finding,
                format!("to try it: tokenbroker renew {}", self.client.name),
            );
        }
        Some(Usable { credential: current.credential, identity })
    }

    fn certificate(&mut self, keys: &[TlsKey], version: &str) -> Option<TlsIdentity> {
        let Some(key) = keys.iter().find(|key| key.version == version) else {
            let remedy = format!("import or generate it anew: tokenbroker key import {}", self.client.name);
            self.report.bad("credential", "the key can't be used", Some(remedy));
            return None;
        };
        let now = i64::try_from(clock::since_epoch().as_secs()).unwrap_or(i64::MAX);
        match Failure::or_certificate(&self.client, &key.public_key, now) {
            Ok(certificate) => {
                let days = (certificate.not_after - now) / 86_400;
                let finding = format!("good for {days} days more, fingerprint {}", certificate.fingerprint());
                self.report.good("certificate", finding);
                Some(TlsIdentity { client: self.client.name.clone(), version: version.into(), certificate })
            }
            Err(failure) => {
                self.report.failed("certificate", failure);
                None
            }
        }
    }

    /// Secrets that are stored as they were given, but hardly meant so.
    fn look_at(&mut self, credential: &Current) {
        let Current::Secret { secret, .. } = credential else { return };
        let (text, name) = (secret.expose(), &self.client.name);
        let again = format!("set it again if that was not meant: tokenbroker secret set {name}");
        if text.trim() != text {
            self.report.warn("credential", "the secret begins or ends with white space", again);
        } else if text.len() > 2 && text.starts_with(['"', '\'']) && text.ends_with(['"', '\'']) {
            self.report.warn(
                "credential",
                "the secret is in quotation marks, which count as part of it",
                again,
            );
        } else if self.client.issuer.preset == Some("entra-id") && is_uuid(text) {
            let finding = "the secret looks like a secret's ID (Microsoft Entra ID shows both)";
            self.report.warn("credential", finding, format!("set its value: tokenbroker secret set {name}"));
        }
        if let AuthMethod::ClientSecretJwt { algorithm } = self.client.auth
            && text.len() < algorithm.secret_length()
        {
            let (has, needs, algorithm) = (text.len(), algorithm.secret_length(), algorithm.name());
            let finding = format!("the secret has {has} bytes, and {algorithm} wants {needs} at least");
            self.report.warn("credential", finding, "have a longer one issued, or change assertion_alg");
        }
    }

    async fn endpoint(&mut self, server: &mut Server) -> Option<Endpoint> {
        let issuer = Arc::clone(&self.client.issuer);
        let identifier = match &issuer.endpoint {
            EndpointSource::Named { endpoint, .. } => {
                if !probe::reach(&mut self.report, &issuer, endpoint.url()).await {
                    return None;
                }
                self.report.good("discover", "not needed: token_endpoint is named");
                return Some(endpoint.clone());
            }
            EndpointSource::Discover(identifier) => identifier,
        };
        let urls = identifier.metadata_urls();
        if !probe::reach(&mut self.report, &issuer, urls[0].url()).await {
            return None;
        }
        let mut last = None;
        for url in urls {
            let host = url.url().host_str().unwrap_or_default().to_owned();
            let response = match server.look_up(HttpRequest::get(url)).await {
                Ok(response) => response,
                Err(failure) => {
                    self.no_response(failure);
                    return None;
                }
            };
            self.tls_is_good(&host);
            match Metadata::parse(&response, identifier, issuer.plain_http) {
                Ok(metadata) => return self.found(metadata, &host).await,
                Err(error) if error.is_elsewhere() && last.is_none() => last = Some(error),
                Err(error) => {
                    last = Some(error);
                    break;
                }
            }
        }
        let unix = clock::since_epoch().as_secs();
        if let Some(error) = last {
            self.report.failed("discover", Failure::metadata(&error, &issuer, unix));
        }
        None
    }

    async fn found(&mut self, metadata: Metadata, host: &str) -> Option<Endpoint> {
        let issuer = Arc::clone(&self.client.issuer);
        let endpoint = match (self.client.auth.is_tls(), metadata.mtls_token_endpoint.clone()) {
            (false, _) => metadata.token_endpoint.clone(),
            (true, Ok(endpoint)) => endpoint,
            (true, Err(error)) => {
                let remedy = format!("name token_endpoint of [issuers.{}] yourself", issuer.name);
                let finding =
                    format!("the server names an endpoint for certificates that can't be used: {error}");
                self.report.bad("discover", finding, Some(remedy));
                return None;
            }
        };
        self.report.good("discover", format!("the token endpoint is {}", endpoint.as_str()));
        self.metadata = Some(metadata);
        let is_elsewhere = endpoint.url().host_str() != Some(host);
        if is_elsewhere && !probe::reach(&mut self.report, &issuer, endpoint.url()).await {
            return None;
        }
        Some(endpoint)
    }

    /// What the server says of itself need not be all that it takes.
    fn warn_of_what_is_published(&mut self) {
        let Some(methods) = self.metadata.as_ref().and_then(|metadata| metadata.auth_methods.as_ref()) else {
            return;
        };
        let method = self.client.auth.name();
        if !methods.iter().any(|one| one == method) {
            let methods = printable(&methods.join(", "), 300);
            let finding = format!("the server says that it takes {methods}, not {method}");
            let remedy = format!("if the client is refused, change auth of [clients.{}]", self.client.name);
            self.report.warn("discover", finding, remedy);
        }
    }

    async fn request(&mut self, server: &mut Server, endpoint: &Endpoint, usable: &Usable) -> Option<()> {
        let client = Arc::clone(&self.client);
        let asked = request::token_request(&client, endpoint);
        let secret = match &usable.credential {
            Current::Secret { secret, .. } => Some(secret.clone()),
            Current::Key { .. } => None,
        };
        let assertion = match client.auth {
            AuthMethod::PrivateKeyJwt { .. } | AuthMethod::ClientSecretJwt { .. } => {
                Some(self.assertion(endpoint, usable, server.ahead.unwrap_or(0)).await?)
            }
            _ => None,
        };
        let nothing = SecretString::default();
        let authentication = match client.auth {
            AuthMethod::ClientSecretBasic => Authentication::SecretBasic {
                secret: secret.as_ref().unwrap_or(&nothing),
                encoding: client.issuer.basic_encoding,
            },
            AuthMethod::ClientSecretPost => {
                Authentication::SecretPost { secret: secret.as_ref().unwrap_or(&nothing) }
            }
            AuthMethod::PrivateKeyJwt { .. } | AuthMethod::ClientSecretJwt { .. } => {
                Authentication::Assertion(assertion.as_ref().unwrap_or(&nothing))
            }
            AuthMethod::TlsClientAuth | AuthMethod::SelfSignedTlsClientAuth => Authentication::Certificate,
        };
        let host = endpoint.url().host_str().unwrap_or_default().to_owned();
        let response = match server.send(asked.authenticate(authentication)).await {
            Ok(response) => response,
            Err(failure) => {
                self.no_response(failure);
                return None;
            }
        };
        self.tls_is_good(&host);
        server.compare_clocks(&mut self.report, assertion.is_some());
        let error = match TokenResponse::parse(&response, client.scope.as_ref()) {
            Ok(reply) => {
                self.accepted(&reply);
                return Some(());
            }
            Err(error) => error,
        };
        // A server may as well tell of the token that the client has already.
        let slot = self.shared.slots.find(client.name.as_str());
        let tokens = slot.map(|slot| slot.all_current(clock::moment())).unwrap_or_default();
        let tokens = tokens.iter().map(|token| token.access_token.secret());
        let secrets: Vec<&str> =
            [&secret, &assertion].into_iter().flatten().chain(tokens).map(SecretString::expose).collect();
        let refusal = Refusal {
            client: &client,
            response: &response,
            error: &error,
            metadata: self.metadata.as_ref(),
            ahead: server.ahead,
            secrets: &secrets,
        };
        let failure = Failure::token(&error, &client, clock::since_epoch().as_secs());
        let words = refusal.words().map(|words| format!("; the server says: {words:?}")).unwrap_or_default();
        let advice = refusal.advice().map(|advice| match failure.code {
            "invalid_client" => with_environment_hint(advice, &client),
            _ => advice,
        });
        let remedy = advice.or(failure.hint);
        let subject = if failure.code.starts_with("invalid_scope") { "token" } else { "authenticate" };
        if subject == "token" {
            self.report.good("authenticate", format!("the server knows the client ({})", client.auth.name()));
        }
        self.report.bad(subject, format!("{}{words}", failure.message), remedy);
        None
    }

    async fn assertion(&mut self, endpoint: &Endpoint, usable: &Usable, ahead: i64) -> Option<SecretString> {
        let client = Arc::clone(&self.client);
        let kid = match &usable.credential {
            Current::Key { kid, .. } => Some(kid.as_str()),
            Current::Secret { .. } => None,
        };
        let issued_at = clock::since_epoch().as_secs().saturating_add_signed(ahead);
        let assertion = request::assertion(&client, endpoint, kid, random().ok()?, issued_at)?;
        let (name, version) = (client.name.clone(), usable.credential.version().to_owned());
        let (auth, input) = (client.auth, assertion.signing_input().as_bytes().to_vec());
        let signed = self.key_store(move |store| match auth {
            AuthMethod::ClientSecretJwt { algorithm } => {
                store.authenticate(name.as_str(), &version, convert::key_store_mac(algorithm), &input)
            }
            AuthMethod::PrivateKeyJwt { algorithm } => {
                store.sign(name.as_str(), &version, convert::key_store_algorithm(algorithm), &input)
            }
            _ => Ok(Vec::new()),
        });
        match signed.await {
            Ok(signature) => Some(assertion.with_signature(&signature)),
            Err(error) => {
                self.report.bad("authenticate", error.to_string(), error.hint());
                None
            }
        }
    }

    fn accepted(&mut self, reply: &TokenResponse) {
        self.report.good("authenticate", format!("the server took it ({})", self.client.auth.name()));
        let lifetime = match reply.lifetime {
            Some(lifetime) => format!("it would live for {} s", lifetime.as_secs()),
            None => format!(
                "the server does not say how long it lives; default_lifetime is {} s",
                self.client.issuer.default_lifetime.as_secs()
            ),
        };
        let granted = reply.scope.as_ref().map(Scope::to_string);
        match granted.filter(|_| reply.narrowed) {
            Some(granted) => {
                let asked = self.client.scope.as_ref().map(Scope::to_string).unwrap_or_default();
                self.report.warn(
                    "token",
                    format!("the server granted no more than scope {granted:?} of {asked:?}; {lifetime}"),
                    format!(
                        "have the rest allowed for the client, or take it out of scope of [clients.{}]",
                        self.client.name
                    ),
                );
            }
            None => self.report.good("token", format!("{lifetime}; it was not kept")),
        }
    }

    fn no_response(&mut self, failure: Failure) {
        let subject = match failure.code {
            "tls" => "tls",
            _ if self.report.0.iter().any(|check| check.subject == "tls") => "authenticate",
            _ => "tls",
        };
        let failure = match failure.code {
            "tls" => Failure {
                hint: failure
                    .hint
                    .map(|hint| format!("{hint}; if a proxy in between opens TLS, its CA is meant")),
                ..failure
            },
            _ => failure,
        };
        self.report.failed(subject, failure);
    }

    fn tls_is_good(&mut self, host: &str) {
        let is_plain = match &self.client.issuer.endpoint {
            EndpointSource::Named { endpoint, .. } => endpoint.as_str().starts_with("http:"),
            EndpointSource::Discover(identifier) => identifier.as_str().starts_with("http:"),
        };
        if self.report.0.iter().any(|check| check.subject == "tls") {
            return;
        }
        let trusted = match &self.client.issuer.ca_file {
            Some(file) => format!("an authority of {}", file.display()),
            None => "an authority that this host trusts".into(),
        };
        match is_plain {
            true => self.report.good("tls", "none: the server is asked by plain http on this host"),
            false => self.report.good("tls", format!("{host} has a certificate of {trusted}")),
        }
    }

    async fn key_store<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut KeyStore) -> Result<T, tokenbroker_keystore::Error> + Send + 'static,
    ) -> Result<T, CallError> {
        self.shared.key_store.call(QUICK, job).await
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.char_indices().all(|(at, letter)| match at {
            8 | 13 | 18 | 23 => letter == '-',
            _ => letter.is_ascii_hexdigit(),
        })
}
