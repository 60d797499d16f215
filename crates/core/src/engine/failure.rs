//! What went wrong, in an operator's words.

use std::sync::Arc;
use std::time::Duration;

use tokenbroker_oauth::{
    BasicEncoding, Class, ErrorCode, MetadataError, TokenError, TokenErrorKind, TokenResponse,
};

use super::Party;
use super::token::Issued;
use crate::certificate::Certificate;
use crate::config::{self, AssertionAudience, AuthMethod, ClientName};
use crate::time::Moment;

/// The code of failures that are the key store's.
const KEY_STORE: &str = "key_store";

/// A failed attempt: a code for programs, words for people, and the class that decides when it is tried again.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// The RFC 6749 error code, or `network`, `timeout`, `tls`, `http`, `malformed`, `key_store`, `no_credential`,
    /// `certificate`.
    pub code: &'static str,
    /// What kind of failure it is.
    pub class: Class,
    /// What happened.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The server asked to wait this long.
    pub retry_after: Option<Duration>,
}

/// The key store could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyStoreFailure {
    /// What happened.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// There is no response to an HTTP request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransportFailure {
    /// What kind of failure it is.
    pub kind: TransportKind,
    /// What happened; without URLs, which may hold what is not everybody's business.
    pub message: String,
    /// What to do about it, if more can be said than follows from the kind.
    pub hint: Option<String>,
}

/// Where it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportKind {
    /// Resolving, connecting, sending or receiving.
    Network,
    /// The whole exchange took longer than the issuer's `timeout`.
    Timeout,
    /// The TLS handshake; most often a certificate that is not trusted.
    Tls,
    /// The response is too long, or not HTTP.
    Malformed,
}

impl Failure {
    /// Whether there is no use in waiting: somebody must change something first.
    pub(super) fn blocks(&self) -> bool {
        self.class != Class::Transient
    }

    /// Whether it says something about the client's credential, and so concerns all the client's token keys.
    pub(super) fn is_of_credential(&self) -> bool {
        self.class == Class::Credential
    }

    /// Whether it may be a refusal of a next credential. Servers have many words for that, and a certificate is refused in the
    /// handshake; what passes by itself is none.
    pub(super) fn may_refuse_next(&self, client: &config::Client) -> bool {
        self.class != Class::Transient || client.auth.is_tls() && self.code == "tls"
    }

    /// The same of a next credential: what replaces all credentials would be bad advice.
    pub(super) fn of_next(mut self, client: &ClientName) -> Self {
        if let Some(hint) = &mut self.hint {
            for command in ["secret set", "key generate", "key import"] {
                let command = format!("tokenbroker {command} {client}");
                *hint = hint.replace(&command, &format!("{command} --next"));
            }
        }
        self
    }

    /// Who can put it right.
    pub(super) fn fixed_by(&self) -> Party {
        match self.class {
            Class::Transient if !self.is_of_key_store() => Party::Server,
            _ => Party::Operator,
        }
    }

    /// Whether the words are the key store's, which may name its places and other clients.
    pub fn is_of_key_store(&self) -> bool {
        self.code == KEY_STORE
    }

    /// The client has no credential.
    pub fn no_credential(client: &config::Client) -> Self {
        let name = &client.name;
        let hint = match client.auth {
            AuthMethod::PrivateKeyJwt { algorithm } => {
                format!("generate a key with `tokenbroker key generate {name} --alg {}`", algorithm.name())
            }
            AuthMethod::TlsClientAuth | AuthMethod::SelfSignedTlsClientAuth => format!(
                "store the private key of its certificate with `tokenbroker key import {name} --file key.pem`, or generate \
                 one with `tokenbroker key generate {name}` and have it certified"
            ),
            AuthMethod::ClientSecretBasic
            | AuthMethod::ClientSecretPost
            | AuthMethod::ClientSecretJwt { .. } => {
                format!("store the secret with `tokenbroker secret set {name}`")
            }
        };
        Self {
            code: "no_credential",
            class: Class::Credential,
            message: format!("there is no credential for client {name} in the key store"),
            hint: Some(hint),
            retry_after: None,
        }
    }

    /// The client has a credential that its authentication method has no use for.
    pub fn other_credential(client: &config::Client) -> Self {
        let (has, needs) = match client.auth.takes_a_key() {
            true => ("a secret", "a private key"),
            false => ("a private key", "a secret"),
        };
        let message = format!("the key store holds {has} for client {}, which needs {needs}", client.name);
        Self { message, ..Self::no_credential(client) }
    }

    /// The certificate for a key of the client, or why there is none that could be shown.
    pub fn or_certificate(
        client: &config::Client,
        public_key: &[u8],
        unix: i64,
    ) -> Result<Arc<Certificate>, Self> {
        let name = &client.name;
        let refused = |message: String, hint: String| Self {
            code: "certificate",
            class: Class::Credential,
            message,
            hint: Some(hint),
            retry_after: None,
        };
        let Some(certificates) = &client.certificates else {
            return Err(Self::other_credential(client));
        };
        let path = certificates.path.display();
        let then = "then `tokenbroker reload`";
        if let Err(problem) = &certificates.content {
            return Err(refused(
                format!("the certificate {path} of client {name} can't be used: {problem}"),
                format!(
                    "put the certificate in PEM there, and those that lead to its authority after it; {then}"
                ),
            ));
        }
        let certificate = certificates.for_key(public_key).ok_or_else(|| {
            refused(
                format!("the certificate {path} of client {name} is not for the key in the key store"),
                format!(
                    "put the certificate for that key there (`tokenbroker key public {name}` shows its public half), {then}; \
                     or store the certificate's key: `tokenbroker key import {name} --file key.pem`"
                ),
            )
        })?;
        let renew = || format!("have it renewed, put the new one there, {then}");
        if unix > certificate.not_after {
            let days = (unix - certificate.not_after) / 86_400;
            return Err(refused(
                format!("the certificate {path} of client {name} expired {}", days_ago(days)),
                renew(),
            ));
        }
        if unix < certificate.not_before {
            return Err(refused(
                format!("the certificate {path} of client {name} is not good yet"),
                format!("see whether the clock of this host is right; otherwise {}", renew()),
            ));
        }
        Ok(Arc::clone(certificate))
    }

    /// There is no response.
    pub fn transport(failure: TransportFailure, timeout: Duration) -> Self {
        let (code, hint) = match failure.kind {
            TransportKind::Network => ("network", None),
            TransportKind::Timeout => {
                ("timeout", Some(format!("the issuer's timeout is {} s", timeout.as_secs_f32())))
            }
            TransportKind::Tls => (
                "tls",
                Some(
                    "if the server has a private CA, name its certificate as ca_file of the issuer"
                        .to_owned(),
                ),
            ),
            TransportKind::Malformed => ("malformed", None),
        };
        let hint = failure.hint.or(hint);
        Self { code, class: Class::Transient, message: failure.message, hint, retry_after: None }
    }

    /// A reply took longer than the token in it lives.
    pub(super) fn late_reply() -> Self {
        Self {
            code: "timeout",
            class: Class::Transient,
            message: "the token had expired before the reply with it arrived".into(),
            hint: None,
            retry_after: None,
        }
    }

    /// The answer is no token.
    pub fn token(error: &TokenError, client: &config::Client, unix: u64) -> Self {
        Self {
            code: error.code(),
            class: error.class(),
            message: error.to_string(),
            hint: hint_for(error, client),
            retry_after: error.retry_after.map(|retry_after| retry_after.delay(unix)),
        }
    }

    /// The answer is not the issuer's metadata.
    pub fn metadata(error: &MetadataError, issuer: &config::Issuer, unix: u64) -> Self {
        let name = &issuer.name;
        Self {
            code: error.code(),
            class: error.class(),
            message: format!("discovery of issuer {name} failed: {error}"),
            hint: Some(format!("check `issuer` of [issuers.{name}], or name its token_endpoint there")),
            retry_after: error.retry_after().map(|retry_after| retry_after.delay(unix)),
        }
    }
}

impl From<KeyStoreFailure> for Failure {
    fn from(failure: KeyStoreFailure) -> Self {
        Self {
            code: KEY_STORE,
            class: Class::Transient,
            message: failure.message,
            hint: failure.hint,
            retry_after: None,
        }
    }
}

impl Issued {
    pub(super) fn new(reply: TokenResponse, version: Arc<str>, requested_at: Moment) -> Self {
        Self {
            access_token: reply.access_token,
            lifetime: reply.lifetime,
            scope: reply.scope,
            narrowed: reply.narrowed,
            version,
            requested_at,
        }
    }
}

fn hint_for(error: &TokenError, client: &config::Client) -> Option<String> {
    let name = &client.name;
    let code = match &error.kind {
        TokenErrorKind::OAuth(code) => *code,
        TokenErrorKind::Refused { .. } => ErrorCode::InvalidClient,
        TokenErrorKind::Http { .. } | TokenErrorKind::Malformed(_) => return None,
    };
    let hint = match code {
        ErrorCode::InvalidClient => match client.auth {
            AuthMethod::PrivateKeyJwt { .. } => format!(
                "check client_id, and that the public key (`tokenbroker key public {name}`) is registered with the \
                 authorization server; if it is, {}, or another assertion_alg",
                with_other_audience(&client.issuer)
            ),
            AuthMethod::ClientSecretJwt { algorithm } => format!(
                "check client_id, and set the secret again with `tokenbroker secret set {name}`; if both are right, {}, \
                 another assertion_alg, or a secret of at least {} bytes for {}",
                with_other_audience(&client.issuer),
                algorithm.secret_length(),
                algorithm.name()
            ),
            AuthMethod::ClientSecretBasic => format!(
                "check client_id, and set the secret again with `tokenbroker secret set {name}`; if both are right, {}, or \
                 auth = \"client_secret_post\"",
                with_other_encoding(&client.issuer)
            ),
            AuthMethod::TlsClientAuth => format!(
                "check client_id, and that the authorization server expects the subject of this certificate for it and \
                 trusts its authority; if it does, it may want the certificate at another endpoint: name that as \
                 token_endpoint of [issuers.{}]",
                client.issuer.name
            ),
            AuthMethod::SelfSignedTlsClientAuth => format!(
                "check client_id, and that this certificate is registered with the authorization server; if it is, it may \
                 want it at another endpoint: name that as token_endpoint of [issuers.{}]",
                client.issuer.name
            ),
            AuthMethod::ClientSecretPost => {
                format!("check client_id, and set the secret again with `tokenbroker secret set {name}`")
            }
        },
        ErrorCode::InvalidScope if client.scope.is_none() => {
            format!("name the scope that the authorization server wants as `scope` of [clients.{name}]")
        }
        ErrorCode::InvalidScope => format!("check `scope` of [clients.{name}]"),
        ErrorCode::InvalidTarget => format!("check resource and audience of [clients.{name}]"),
        ErrorCode::UnauthorizedClient | ErrorCode::UnsupportedGrantType | ErrorCode::AccessDenied => {
            "the authorization server must allow this client the client credentials grant".to_owned()
        }
        ErrorCode::UseDpopNonce => "DPoP is not supported yet".to_owned(),
        // So answers a server that can't decode the header.
        ErrorCode::InvalidRequest if client.auth == AuthMethod::ClientSecretBasic => format!(
            "compare [clients.{name}] with what the authorization server expects; if all of it is right, {}",
            with_other_encoding(&client.issuer)
        ),
        ErrorCode::InvalidRequest | ErrorCode::InvalidGrant | ErrorCode::Unknown => {
            format!("compare [clients.{name}] with what the authorization server expects")
        }
        ErrorCode::ServerError | ErrorCode::TemporarilyUnavailable => return None,
    };
    let hint = match &error.kind {
        TokenErrorKind::Refused { .. } => {
            format!(
                "{hint}; if nothing is wrong with it, ask who runs the gateway in front of the authorization server"
            )
        }
        _ => hint,
    };
    Some(with_environment_hint(hint, client))
}

/// Servers disagree about the audience: what this one was not tried with.
fn with_other_audience(issuer: &config::Issuer) -> String {
    let other = match issuer.assertion_audience {
        AssertionAudience::Issuer => "token-endpoint",
        AssertionAudience::TokenEndpoint | AssertionAudience::Other(_) => "issuer",
    };
    format!("the server may want assertion_audience = \"{other}\" for [issuers.{}]", issuer.name)
}

/// Servers disagree about the encoding in a Basic header: what this one was not tried with.
fn with_other_encoding(issuer: &config::Issuer) -> String {
    let other = match issuer.basic_encoding {
        BasicEncoding::Form => "raw",
        BasicEncoding::Raw => "form",
    };
    format!("try basic_encoding = \"{other}\" for [issuers.{}]", issuer.name)
}

fn days_ago(days: i64) -> String {
    match days {
        0 => "today".into(),
        1 => "a day ago".into(),
        days => format!("{days} days ago"),
    }
}

/// A mix-up that is common enough to be worth a hint wherever a client is refused.
pub fn with_environment_hint(hint: String, client: &config::Client) -> String {
    let other = match client.issuer.preset {
        Some("signaturgruppen") => "signaturgruppen-pp",
        Some("signaturgruppen-pp") => "signaturgruppen",
        _ => return hint,
    };
    format!(
        "{hint}; client IDs of pre-production and production are not interchangeable: see whether this one is of preset = \
         \"{other}\""
    )
}
