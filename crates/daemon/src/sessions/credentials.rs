//! Requests that list or change credentials. They go to the key store's thread; the event loop is told what changed.

use std::sync::Arc;

use tokenbroker_core::config::{AuthMethod, Client};
use tokenbroker_keystore::{Error, KeyStore, PublicKey, Stored};
use tokenbroker_protocol::{Command, Failure, FailureCode, KeyAlgorithm, Response};
use tokio::sync::oneshot;

use super::requests::{Session, failure};
use crate::clock;
use crate::convert;
use crate::key_store::{CallError, PATIENT};
use crate::shared::Ask;

/// Carries out a request of an administrator.
pub(super) async fn carry_out(session: &Session, command: Command) -> Result<Response, Failure> {
    match command {
        Command::SecretSet { client, secret } => {
            let client = configured(session, &client)?;
            takes_a_secret(&client)?;
            if secret.is_empty() {
                return Err(failure(FailureCode::Refused, "the secret is empty; nothing was changed"));
            }
            let name = client.name.to_string();
            let created = clock::since_epoch().as_secs();
            let stored = call(session, move |store| store.set_secret(&name, &secret, created)).await?;
            tell_stored(session, stored.first());
            Ok(credentials(&stored))
        }
        Command::CredentialList { client } => {
            if let Some(client) = &client {
                configured(session, client)?;
            }
            let stored = call(session, move |store| store.list(client.as_deref())).await?;
            Ok(credentials(&stored))
        }
        Command::CredentialRemove { client } => {
            let client = configured(session, &client)?;
            let name = client.name.to_string();
            let removed = call(session, move |store| match store.remove(&name) {
                Err(nothing @ Error::NotFound { .. }) => Ok(Err(nothing)),
                removed => removed.map(Ok),
            });
            let removed = removed.await?;
            // Removed behind our back, perhaps: what was got with it goes all the same.
            tell_removed(session, &client).await;
            match removed {
                Ok(removed) => Ok(credentials(&removed)),
                Err(nothing) => Err(failure(FailureCode::Refused, nothing.to_string())),
            }
        }
        Command::KeyGenerate { client, algorithm, bits, kid } => {
            let client = configured(session, &client)?;
            let algorithm = convert::algorithm_of_key(takes_a_key(&client, Some(algorithm))?);
            let name = client.name.to_string();
            let created = clock::since_epoch().as_secs();
            let key = call(session, move |store| {
                store.generate_key(&name, algorithm, bits, kid.as_deref(), created)
            });
            let key = key.await?;
            new_key(session, &client, key).await
        }
        Command::KeyImport { client, algorithm, pem, kid } => {
            let client = configured(session, &client)?;
            let algorithm = convert::algorithm_of_key(takes_a_key(&client, algorithm)?);
            let name = client.name.to_string();
            let created = clock::since_epoch().as_secs();
            let key =
                call(session, move |store| store.import_key(&name, algorithm, &pem, kid.as_deref(), created));
            let key = key.await?;
            new_key(session, &client, key).await
        }
        Command::KeyPublic { client } => {
            let client = configured(session, &client)?;
            let name = client.name.to_string();
            let keys = call(session, move |store| store.public_keys(&name)).await?;
            if keys.is_empty() {
                let message = format!("there is no key for client {}", client.name);
                let hint = format!("generate one with `tokenbroker key generate {}`", client.name);
                return Err(Failure { hint: Some(hint), ..failure(FailureCode::Refused, message) });
            }
            Ok(Response::PublicKeys(keys.into_iter().map(convert::public_key).collect()))
        }
        Command::KeyRetire { client, kid } => {
            let client = configured(session, &client)?;
            let name = client.name.to_string();
            let retired = call(session, move |store| store.retire(&name, &kid)).await?;
            tell_what_is_left(session, &client).await?;
            Ok(credentials(&[retired]))
        }
        _ => Err(failure(FailureCode::InvalidRequest, "this daemon does not know the request")),
    }
}

async fn new_key(session: &Session, client: &Client, key: PublicKey) -> Result<Response, Failure> {
    tell_what_is_left(session, client).await?;
    Ok(Response::PublicKeys(vec![convert::public_key(key)]))
}

/// Tells the event loop which credential a client has now.
async fn tell_what_is_left(session: &Session, client: &Client) -> Result<(), Failure> {
    let name = client.name.to_string();
    let left = call(session, move |store| store.list(Some(&name))).await?;
    match left.iter().max_by_key(|stored| stored.created) {
        Some(newest) => tell_stored(session, Some(newest)),
        None => tell_removed(session, client).await,
    }
    Ok(())
}

fn tell_stored(session: &Session, stored: Option<&Stored>) {
    if let Some(credential) = stored.and_then(convert::stored_credential) {
        tell(session, Ask::CredentialStored(credential));
    }
}

/// Returns when nobody gets a token any more that was got with what was removed: warm gets don't pass the event loop.
async fn tell_removed(session: &Session, client: &Client) {
    let (done, emptied) = oneshot::channel();
    tell(session, Ask::CredentialsRemoved { client: client.name.clone(), done });
    let _stopped_meanwhile = emptied.await;
}

fn tell(session: &Session, ask: Ask) {
    // Without an event loop the daemon is shutting down, and its successor reads the key store anew.
    let _stopped_meanwhile = session.shared().event_loop.send(ask);
}

async fn call<T: Send + 'static>(
    session: &Session,
    job: impl FnOnce(&mut KeyStore) -> Result<T, Error> + Send + 'static,
) -> Result<T, Failure> {
    session.shared().key_store.call(PATIENT, job).await.map_err(|error| {
        let code = match &error {
            CallError::Store(Error::Unavailable { .. }) | CallError::Hangs => FailureCode::KeyStore,
            CallError::Ended => FailureCode::Internal,
            CallError::Store(_) => FailureCode::Refused,
        };
        Failure { hint: error.hint(), ..failure(code, error.to_string()) }
    })
}

fn configured(session: &Session, client: &str) -> Result<Arc<Client>, Failure> {
    let config = session.shared().config.load();
    config.clients.get(client).cloned().ok_or_else(|| session.unknown_client(client))
}

fn takes_a_secret(client: &Client) -> Result<(), Failure> {
    match client.auth {
        AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost => Ok(()),
        AuthMethod::PrivateKeyJwt { .. } => Err(Failure {
            hint: Some(format!("generate a key with `tokenbroker key generate {}`", client.name)),
            ..failure(
                FailureCode::Refused,
                format!("client {} authenticates with a private key, not with a secret", client.name),
            )
        }),
    }
}

/// The algorithm of the client's keys; one that was asked for must be the same.
fn takes_a_key(client: &Client, asked: Option<KeyAlgorithm>) -> Result<KeyAlgorithm, Failure> {
    let name = &client.name;
    let AuthMethod::PrivateKeyJwt { algorithm } = client.auth else {
        return Err(Failure {
            hint: Some(format!("set the secret with `tokenbroker secret set {name}`")),
            ..failure(
                FailureCode::Refused,
                format!("client {name} authenticates with a secret, not with a private key"),
            )
        });
    };
    let configured = convert::key_algorithm(algorithm);
    if asked.is_some_and(|asked| asked != configured) {
        return Err(Failure {
            hint: Some(format!(
                "use --alg {}, or change assertion_alg of [clients.{name}]",
                algorithm.name()
            )),
            ..failure(
                FailureCode::Refused,
                format!("client {name} is configured to sign with {}", algorithm.name()),
            )
        });
    }
    Ok(configured)
}

fn credentials(stored: &[Stored]) -> Response {
    Response::Credentials(stored.iter().map(convert::credential).collect())
}
