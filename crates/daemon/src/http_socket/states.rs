//! `GET /v1/status`: the states of the caller's clients, in the words of `status --json`.

use hyper::Response;
use serde::Serialize;
use tokenbroker_protocol::{self as wire, CredentialKind, State, Store};

use super::reply::{self, Body};
use super::token;
use crate::requests::Session;

pub(super) async fn answer(session: &Session) -> Response<Body> {
    let json = session.states(|states| {
        let states: Vec<_> = states.iter().map(Status::from).collect();
        serde_json::to_vec(&states)
    });
    match json.await {
        Ok(Ok(bytes)) => reply::json(bytes),
        Ok(Err(_)) => token::internal(),
        Err(failure) => token::refused(session, &failure, None),
    }
}

/// The same fields as an object of `status --json` has, in the same order.
#[derive(Serialize)]
struct Status<'a> {
    client: &'a str,
    issuer: &'a str,
    state: &'static str,
    renewing: bool,
    expires_in: Option<u64>,
    renew_in: Option<u64>,
    generation: u64,
    token_requests: u64,
    gets: u64,
    last_error: Option<LastError<'a>>,
    credential: Option<Credential<'a>>,
    next_credential: Option<NextCredential<'a>>,
    certificate_expires: Option<String>,
    queued: bool,
    outcomes: Outcomes,
    gets_from_cache: u64,
    waiting: u64,
    narrowed: u64,
    clock_offset: Option<i64>,
    explanation: &'a [String],
}

#[derive(Serialize)]
struct Outcomes {
    issued: u64,
    transient: u64,
    credential: u64,
    request: u64,
}

#[derive(Serialize)]
struct LastError<'a> {
    code: &'a str,
    message: &'a str,
    next_try_in: Option<u64>,
}

#[derive(Serialize)]
struct Credential<'a> {
    store: &'static str,
    kind: &'static str,
    version: &'a str,
    expires: Option<String>,
}

#[derive(Serialize)]
struct NextCredential<'a> {
    #[serde(flatten)]
    credential: Credential<'a>,
    refused: Option<LastError<'a>>,
}

impl<'a> From<&'a wire::LastError> for LastError<'a> {
    fn from(error: &'a wire::LastError) -> Self {
        let next_try_in = error.next_try_in_ms.map(seconds);
        Self { code: &error.code, message: &error.message, next_try_in }
    }
}

impl<'a> From<&'a wire::CredentialStatus> for Credential<'a> {
    fn from(credential: &'a wire::CredentialStatus) -> Self {
        Self {
            store: match credential.store {
                Store::OsKeyring => "os-keyring",
                Store::EncryptedFile => "encrypted-file",
                Store::SystemdCredentials => "systemd-credentials",
                _ => UNNAMED,
            },
            kind: match credential.kind {
                CredentialKind::Secret => "secret",
                CredentialKind::PrivateKey => "private-key",
                _ => UNNAMED,
            },
            version: &credential.version,
            expires: credential.expires.map(|at| token::rfc3339(i64::try_from(at).unwrap_or(i64::MAX))),
        }
    }
}

impl<'a> From<&'a wire::Status> for Status<'a> {
    fn from(status: &'a wire::Status) -> Self {
        let wire::Outcomes { issued, transient, credential, request } = status.outcomes;
        Self {
            client: &status.client,
            issuer: &status.issuer,
            state: state(status.state),
            renewing: status.renewing,
            expires_in: status.expires_in_ms.map(seconds),
            renew_in: status.renew_in_ms.map(seconds),
            generation: status.generation,
            token_requests: status.token_requests,
            gets: status.gets,
            last_error: status.last_error.as_ref().map(LastError::from),
            credential: status.credential.as_ref().map(Credential::from),
            next_credential: status.next_credential.as_ref().map(|next| NextCredential {
                credential: Credential::from(&next.credential),
                refused: next.refused.as_ref().map(LastError::from),
            }),
            certificate_expires: status.certificate_expires.map(token::rfc3339),
            queued: status.queued,
            outcomes: Outcomes { issued, transient, credential, request },
            gets_from_cache: status.gets_from_cache,
            waiting: status.waiting,
            narrowed: status.narrowed,
            clock_offset: status.clock_offset,
            explanation: &status.explanation,
        }
    }
}

/// The names of all states, in the order in which things get worse.
pub(super) const STATES: [State; 5] =
    [State::Pending, State::Warm, State::Degraded, State::Unavailable, State::Blocked];

/// What the command line calls something that only a newer daemon has.
const UNNAMED: &str = "unknown";

/// The name of a state.
pub(super) fn state(state: State) -> &'static str {
    match state {
        State::Pending => "pending",
        State::Warm => "warm",
        State::Degraded => "degraded",
        State::Unavailable => "unavailable",
        State::Blocked => "blocked",
        _ => UNNAMED,
    }
}

/// Whole seconds, rounded down.
fn seconds(milliseconds: u64) -> u64 {
    milliseconds / 1_000
}
