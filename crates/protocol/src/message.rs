//! Requests and replies of version 1.

mod checks;
mod credentials;
mod policy;
mod states;

use bincode::enc::Encoder;
use bincode::error::EncodeError;
use bincode::{Decode, Encode};
use tokenbroker_secret::{Secret, SecretString};

pub use self::checks::{Check, Verdict};
pub use self::credentials::{
    CertificateForm, Credential, CredentialKind, KeyAlgorithm, Moved, PublicKey, Standing, Store, Storing,
};
pub use self::policy::{Holds, Policy, PolicyCondition, PolicyRule, Whom};
pub use self::states::{CredentialStatus, LastError, NextCredential, Outcomes, State, Status, StatusPage};
use crate::Failure;

/// One request. Requests may be sent without waiting for earlier replies; these may come in another order.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Request {
    /// Chosen by the caller, carried back by the reply. Not 0, which is the connection's.
    pub id: u32,
    /// What is asked.
    pub command: Command,
}

/// What can be asked. It takes an administrator, but for [`Ping`](Self::Ping), [`GetToken`](Self::GetToken),
/// [`Status`](Self::Status), [`Rejected`](Self::Rejected), [`Subscribe`](Self::Subscribe) and [`Cancel`](Self::Cancel).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Command {
    /// Answered with [`Response::Done`].
    Ping,
    /// Answered with [`Response::Token`].
    GetToken(GetToken),
    /// The states of the clients that the caller may have, in pages; answered with [`Response::Status`].
    Status {
        /// Only this client.
        client: Option<String>,
        /// Only clients whose names sort after this one: the last name of the page before.
        after: Option<String>,
    },
    /// Renews now, closing an open circuit; answered with [`Response::Renewed`].
    Renew {
        /// The client's name.
        client: String,
        /// How long to wait for the outcome, in milliseconds.
        wait_ms: u64,
    },
    /// Reads the configuration again, and takes it whole or not at all; answered with [`Response::Done`].
    Reload,
    /// Stores a client secret and removes the credentials it replaces; answered with [`Response::Credentials`].
    SecretSet {
        /// The client's name.
        client: String,
        /// The secret.
        secret: SecretString,
        /// Beside which others.
        storing: Storing,
    },
    /// Which credentials are stored; answered with [`Response::Credentials`].
    CredentialList {
        /// Only this client's.
        client: Option<String>,
    },
    /// Removes every credential of a client, and its tokens, or the next credential only; answered with
    /// [`Response::Credentials`]: those removed.
    CredentialRemove {
        /// The client's name.
        client: String,
        /// Only the one that is to take the place of the one in use.
        next_only: bool,
    },
    /// Generates a key pair in the key store; answered with [`Response::PublicKeys`].
    KeyGenerate {
        /// The client's name.
        client: String,
        /// What the key is for; `None` takes the client's configured algorithm.
        algorithm: Option<KeyAlgorithm>,
        /// RSA modulus length in bits, 2048 to 4096; `None` is 3072, and for keys that are not RSA.
        bits: Option<u32>,
        /// The key ID; by default the JWK thumbprint (RFC 7638).
        kid: Option<String>,
        /// Beside which others.
        storing: Storing,
    },
    /// Stores a private key; answered with [`Response::PublicKeys`].
    KeyImport {
        /// The client's name.
        client: String,
        /// What the key is for; `None` takes the client's configured algorithm.
        algorithm: Option<KeyAlgorithm>,
        /// An unencrypted private key in PEM: PKCS#8, or PKCS#1 for RSA.
        pem: Secret,
        /// The key ID; by default the JWK thumbprint (RFC 7638).
        kid: Option<String>,
        /// Beside which others.
        storing: Storing,
    },
    /// The public halves of a client's keys; answered with [`Response::PublicKeys`].
    KeyPublic {
        /// The client's name.
        client: String,
    },
    /// Removes one key; answered with [`Response::Credentials`]: the one removed.
    KeyRetire {
        /// The client's name.
        client: String,
        /// Which one.
        kid: String,
    },
    /// A resource refused a token (401); answered with [`Response::Token`].
    Rejected(Rejected),
    /// Asks like [`GetToken`](Self::GetToken), and to be told of every change from then on.
    ///
    /// The first reply is that to a [`GetToken`]; if it is a failure, there is no subscription. After it, replies with the
    /// same id come unasked: [`Response::Token`] when the token key has a new token, or its token another expiry, and
    /// [`Response::Withdrawn`] when it has none any more. Only the last of several changes is sent to a caller that reads
    /// slowly. [`Response::Failed`] is the end: the caller may not have the token any more, or the token key is gone.
    Subscribe(GetToken),
    /// Ends the request under way or the subscription with this id on this connection, if there is one; answered with
    /// [`Response::Done`]. A request that was ended is answered with [`FailureCode::Cancelled`](crate::FailureCode::Cancelled)
    /// before, and nothing with that id follows. What an administrator had begun to change is carried out all the same.
    Cancel {
        /// The id of that request.
        id: u32,
    },
    /// Authorization servers that the daemon knows by name; answered with [`Response::Presets`]. Anybody may ask.
    Presets,
    /// Moves all credentials to another store; answered with [`Response::Moved`].
    CredentialsMove {
        /// Where they are to rest.
        to: Store,
    },
    /// A certificate for a key of the key store, or a request for one; answered with [`Response::Certificate`].
    KeyCertificate {
        /// The client's name.
        client: String,
        /// Which key; by default the one that is to take the place of the one in use, or else that.
        kid: Option<String>,
        /// The common name of its subject; by default the client ID.
        common_name: Option<String>,
        /// Which of the two.
        form: CertificateForm,
    },
    /// Makes one token request, of which nothing is kept, and explains each step; answered with [`Response::Checks`].
    Test {
        /// The client's name.
        client: String,
    },
    /// Looks at the set-up of this host and of every client; answered with [`Response::Checks`].
    Doctor,
    /// Who may have a client's token, and why; answered with [`Response::Policy`].
    PolicyExplain {
        /// The client's name.
        client: String,
        /// Whom it is about.
        whom: Whom,
    },
}

/// Asks for the current token of a client.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct GetToken {
    /// The client's name in the configuration.
    pub client: String,
    /// Scopes within the configured ones, separated by spaces; `None` is all of them.
    pub scope: Option<String>,
    /// Resource indicators (RFC 8707) among the configured ones; none is all of them.
    pub resource: Vec<String>,
    /// The configured audience; `None` is that.
    pub audience: Option<String>,
    /// How long the token should still live, in milliseconds.
    pub min_ttl_ms: u64,
    /// How long to wait while there is no token, in milliseconds; `None` is ten seconds.
    pub wait_ms: Option<u64>,
}

/// Says that a resource refused a token, and asks for a newer one of the same token key.
///
/// However many callers say so of one generation, one token request comes of it. While there is no newer token, the
/// answer is [`FailureCode::NoToken`](crate::FailureCode::NoToken), and
/// [`FailureCode::UnknownHandle`](crate::FailureCode::UnknownHandle) where only [`GetToken`] can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub struct Rejected {
    /// [`Token::handle`], from this daemon instance.
    pub handle: u64,
    /// [`Token::generation`] of the token that was refused.
    pub generation: u64,
    /// How long to wait for a newer token, in milliseconds; `None` is ten seconds.
    pub wait_ms: Option<u64>,
}

/// The answer to the request with the same id.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Reply {
    /// The request's; 0 in the last reply on a connection that the daemon closes for a reason of its own.
    pub id: u32,
    /// What became of it.
    pub response: Response,
}

/// What can be answered.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[non_exhaustive]
pub enum Response {
    /// It was done, and there is nothing more to say.
    Done,
    /// It was not done.
    Failed(Failure),
    /// A token.
    Token(Token),
    /// States.
    Status(StatusPage),
    /// The outcome of a renewal.
    Renewed(Renewed),
    /// Credentials, without what is secret in them.
    Credentials(Vec<Credential>),
    /// Public keys.
    PublicKeys(Vec<PublicKey>),
    /// The token of a subscription is not to be used any more, and there is no other yet.
    Withdrawn,
    /// Authorization servers that are known by name.
    Presets(Vec<Preset>),
    /// Where the credentials are now.
    Moved(Moved),
    /// A certificate or a request for one, in PEM.
    Certificate(String),
    /// What was looked at, in that order, and what was found.
    Checks(Vec<Check>),
    /// What the rules of a client come to.
    Policy(Policy),
}

/// A token that may be used now.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Token {
    /// The token itself.
    pub access_token: SecretString,
    /// Always `Bearer` for now (RFC 6750).
    pub token_type: String,
    /// How long it may still be used, in milliseconds from `answered_at_ms`.
    pub expires_in_ms: u64,
    /// How long it may be given out from a cache, in milliseconds from `answered_at_ms`: after that it would expire on its
    /// way to the resource.
    pub serve_for_ms: u64,
    /// When this was answered, in milliseconds of the time since the host started, suspend included (CLOCK_BOOTTIME): a
    /// reply may be read long after.
    pub answered_at_ms: u64,
    /// When it expires by the wall clock, in milliseconds since 1970 (UTC).
    pub expires_at_ms: u64,
    /// What was granted, separated by spaces, if the request or the server named a scope.
    pub scope: Option<String>,
    /// Counts up with each new token of the same token key, within one daemon instance.
    pub generation: u64,
    /// Whether it lives as long as was asked.
    pub min_ttl_met: bool,
    /// Names the token key in later requests on any connection to the same daemon instance.
    pub handle: u64,
}

/// A [`Reply`] with a [`Response::Token`], encoded from where the token is: the same bytes without a copy of it.
#[derive(Debug, Clone, Copy)]
pub struct TokenReply<'a> {
    /// The request's.
    pub id: u32,
    /// [`Token::access_token`].
    pub access_token: &'a SecretString,
    /// [`Token::token_type`].
    pub token_type: &'a str,
    /// [`Token::expires_in_ms`].
    pub expires_in_ms: u64,
    /// [`Token::serve_for_ms`].
    pub serve_for_ms: u64,
    /// [`Token::answered_at_ms`].
    pub answered_at_ms: u64,
    /// [`Token::expires_at_ms`].
    pub expires_at_ms: u64,
    /// [`Token::scope`].
    pub scope: Option<&'a str>,
    /// [`Token::generation`].
    pub generation: u64,
    /// [`Token::min_ttl_met`].
    pub min_ttl_met: bool,
    /// [`Token::handle`].
    pub handle: u64,
}

impl Encode for TokenReply<'_> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        /// The place of [`Response::Token`] among the responses.
        const TOKEN: u32 = 2;
        let &Self { id, access_token, token_type, scope, .. } = self;
        (id, TOKEN, access_token, token_type).encode(encoder)?;
        (self.expires_in_ms, self.serve_for_ms, self.answered_at_ms, self.expires_at_ms).encode(encoder)?;
        (scope, self.generation, self.min_ttl_met, self.handle).encode(encoder)
    }
}

/// An authorization server that is known by name.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Preset {
    /// What `preset` of an issuer names it by.
    pub name: String,
    /// Whose authorization server it is.
    pub title: String,
    /// What `tenant` of an issuer has to say, in words, if it has to.
    pub tenant: Option<String>,
    /// What it fills in, in TOML; `{tenant}` stands for what `tenant` says.
    pub settings: String,
}

/// The outcome of a renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Renewed {
    /// The new token's generation.
    pub generation: u64,
    /// How long it may be used, in milliseconds.
    pub expires_in_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_the_same_bytes_from_where_it_is() {
        for scope in [None, Some("api:read api:write")] {
            let access_token = SecretString::from("eyJhbGciOiJSUzI1NiJ9.e30.c2ln");
            let in_place = TokenReply {
                id: 300,
                access_token: &access_token,
                token_type: "Bearer",
                expires_in_ms: 3_599_000,
                serve_for_ms: 3_594_000,
                answered_at_ms: 86_400_000,
                expires_at_ms: 1_795_000_000_000,
                scope,
                generation: 70_000,
                min_ttl_met: true,
                handle: 9,
            };
            let response = Response::Token(Token {
                access_token: access_token.clone(),
                token_type: "Bearer".into(),
                expires_in_ms: 3_599_000,
                serve_for_ms: 3_594_000,
                answered_at_ms: 86_400_000,
                expires_at_ms: 1_795_000_000_000,
                scope: scope.map(str::to_owned),
                generation: 70_000,
                min_ttl_met: true,
                handle: 9,
            });
            assert_eq!(
                crate::encode(&in_place).unwrap(),
                crate::encode(&Reply { id: 300, response }).unwrap()
            );
        }
    }
}
