//! What administrators do: what it is called in records, and what came of it.

use std::sync::Arc;

use tokenbroker_ipc::PeerIdentity;
use tokenbroker_protocol::{Command, FailureCode};

use super::Audit;
use super::records::{Action, Outcome, Text};

impl Action {
    /// A configuration that is read again; a signal asks for that, too.
    pub(crate) const RELOAD: Self = Self { name: "reload", client: None };

    /// A handle of a token that is not for the caller, or that there isn't.
    pub(crate) const REJECTED: Self = Self { name: "rejected", client: None };

    /// Something about a client.
    pub(crate) fn about(name: &'static str, client: &str) -> Self {
        Self { name, client: Some(Text::new(client)) }
    }

    /// What a request is called: as on the command line. What anybody may ask has names, too, but no records.
    pub(crate) fn of(command: &Command) -> Self {
        let of_client = Self::about;
        let of_all = |name| Self { name, client: None };
        match command {
            Command::Renew { client, .. } => of_client("renew", client),
            Command::Reload => Self::RELOAD,
            Command::SecretSet { client, .. } => of_client("secret set", client),
            Command::CredentialList { client: Some(client) } => of_client("secret list", client),
            Command::CredentialList { client: None } => of_all("secret list"),
            Command::CredentialRemove { client, .. } => of_client("secret remove", client),
            Command::CredentialsMove { .. } => of_all("secret move"),
            Command::KeyGenerate { client, .. } => of_client("key generate", client),
            Command::KeyImport { client, .. } => of_client("key import", client),
            Command::KeyPublic { client } => of_client("key public", client),
            Command::KeyCertificate { client, .. } => of_client("key certificate", client),
            Command::KeyRetire { client, .. } => of_client("key retire", client),
            Command::Test { client } => of_client("test", client),
            Command::Doctor => of_all("doctor"),
            Command::PolicyExplain { client, .. } => of_client("policy explain", client),
            Command::GetToken(get) | Command::Subscribe(get) => of_client("get", &get.client),
            Command::Status { .. } => of_all("status"),
            Command::Rejected(_) => Self::REJECTED,
            Command::Ping | Command::Presets | Command::Cancel { .. } => of_all("ping"),
        }
    }
}

/// Something that an administrator asked for, and that is not done yet. It is written down in any case: whoever leaves in the
/// middle has asked for it all the same.
#[derive(Debug)]
pub(crate) struct Undertaking {
    audit: Arc<Audit>,
    peer: Arc<PeerIdentity>,
    action: Option<Action>,
}

impl Undertaking {
    pub(crate) fn begin(audit: &Arc<Audit>, peer: &Arc<PeerIdentity>, action: Action) -> Self {
        Self { audit: Arc::clone(audit), peer: Arc::clone(peer), action: Some(action) }
    }

    /// It is done, or failed for this reason.
    pub(crate) fn end(mut self, failure: Option<FailureCode>) {
        self.write_down(outcome(failure));
    }

    fn write_down(&mut self, outcome: Outcome) {
        if let Some(action) = self.action.take() {
            self.audit.administered(Some(&self.peer), action, outcome);
        }
    }
}

impl Drop for Undertaking {
    fn drop(&mut self) {
        self.write_down(Outcome::Abandoned);
    }
}

/// In the words of a record.
pub(super) fn outcome(failure: Option<FailureCode>) -> Outcome {
    let Some(code) = failure else { return Outcome::Done };
    Outcome::Failed(match code {
        FailureCode::Denied => "denied",
        FailureCode::UnknownClient => "unknown_client",
        FailureCode::NoToken => "no_token",
        FailureCode::Blocked => "blocked",
        FailureCode::InvalidRequest => "invalid_request",
        FailureCode::Refused => "refused",
        FailureCode::KeyStore => "key_store",
        FailureCode::TokenTooLarge => "token_too_large",
        FailureCode::ShuttingDown => "shutting_down",
        FailureCode::UnknownHandle => "unknown_handle",
        FailureCode::TooMuch => "too_much",
        FailureCode::Cancelled => "cancelled",
        _ => "internal",
    })
}
