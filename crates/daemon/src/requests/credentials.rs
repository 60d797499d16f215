//! Requests that list or change credentials. They go to the key store's thread; the event loop is told what changed.

use std::sync::Arc;

use tokenbroker_core::config::{AuthMethod, Client, ClientName};
use tokenbroker_keystore::{Error, KeyStore, PublicKey, Stored};
use tokenbroker_protocol::{Command, Failure, FailureCode, KeyAlgorithm, Response};
use tokio::sync::oneshot;

use super::Session;
use crate::clock;
use crate::convert;
use crate::key_store::{CallError, PATIENT};
use crate::shared::Ask;

/// Carries out a request of an administrator.
pub(super) async fn carry_out(session: &Session, command: Command) -> Result<Response, Failure> {
    let created = clock::since_epoch().as_secs();
    match command {
        Command::SecretSet { client, secret } => {
            let client = configured(session, &client)?;
            takes_a_secret(&client)?;
            if secret.is_empty() {
                return Err(Failure::new(FailureCode::Refused, "the secret is empty; nothing was changed"));
            }
            let set = move |store: &mut KeyStore, name: &str| store.set_secret(name, &secret, created);
            Ok(credentials(&change(session, &client.name, set).await?))
        }
        Command::CredentialList { client } => {
            let stored = match &client {
                Some(client) => stored_for(session, client).await?.1,
                None => call(session, |store| store.list(None)).await?,
            };
            Ok(credentials(&stored))
        }
        Command::CredentialRemove { client } => {
            let (client, _) = stored_for(session, &client).await?;
            Ok(credentials(&change(session, &client, |store, name| store.remove(name)).await?))
        }
        Command::KeyGenerate { client, algorithm, bits, kid } => {
            let client = configured(session, &client)?;
            let algorithm = convert::algorithm_of_key(takes_a_key(&client, algorithm)?);
            let generate = move |store: &mut KeyStore, name: &str| {
                store.generate_key(name, algorithm, bits, kid.as_deref(), created)
            };
            Ok(public_keys(vec![change(session, &client.name, generate).await?]))
        }
        Command::KeyImport { client, algorithm, pem, kid } => {
            let client = configured(session, &client)?;
            let algorithm = convert::algorithm_of_key(takes_a_key(&client, algorithm)?);
            let import = move |store: &mut KeyStore, name: &str| {
                store.import_key(name, algorithm, &pem, kid.as_deref(), created)
            };
            Ok(public_keys(vec![change(session, &client.name, import).await?]))
        }
        Command::KeyPublic { client } => {
            let client = configured(session, &client)?;
            let name = client.name.to_string();
            let keys = call(session, move |store| store.public_keys(&name)).await?;
            if keys.is_empty() {
                let message = format!("there is no key for client {}", client.name);
                let hint = format!("generate one with `tokenbroker key generate {}`", client.name);
                return Err(Failure::new(FailureCode::Refused, message).with_hint(hint));
            }
            Ok(public_keys(keys))
        }
        Command::KeyRetire { client, kid } => {
            let (client, _) = stored_for(session, &client).await?;
            Ok(credentials(&[change(session, &client, move |store, name| store.retire(name, &kid)).await?]))
        }
        Command::Ping
        | Command::Presets
        | Command::GetToken(_)
        | Command::Rejected(_)
        | Command::Subscribe(_)
        | Command::Cancel { .. }
        | Command::Status { .. }
        | Command::Renew { .. }
        | Command::Reload => Err(Failure::new(FailureCode::Internal, "this is no request about credentials")),
    }
}

/// Changes a client's credentials, and returns when the change counts: warm gets don't pass the event loop.
///
/// The event loop is told on the key store's thread, in the order of the changes: whoever asked may be gone by the
/// time that one is done.
async fn change<T: Send + 'static>(
    session: &Session,
    client: &ClientName,
    job: impl FnOnce(&mut KeyStore, &str) -> Result<T, Error> + Send + 'static,
) -> Result<T, Failure> {
    let (client, event_loop) = (client.clone(), session.shared().event_loop.clone());
    let (done, settled) = oneshot::channel();
    let outcome = call(session, move |store| {
        let outcome = job(store, client.as_str());
        // Where nothing is left, somebody removed it behind our back, perhaps: what was got with it goes all the same.
        if matches!(outcome, Ok(_) | Err(Error::NotFound { .. })) {
            let left = store.list(Some(client.as_str()));
            let newest = left.map(|left| left.first().and_then(convert::stored_credential));
            let _stopped_meanwhile = match newest {
                Ok(Some(credential)) => event_loop.send(Ask::CredentialStored { credential, done }),
                Ok(None) => event_loop.send(Ask::CredentialsRemoved { client, done }),
                // The next attempt finds out.
                Err(_) => Ok(()),
            };
        }
        outcome
    });
    let outcome = outcome.await;
    let _untold = settled.await;
    outcome
}

async fn call<T: Send + 'static>(
    session: &Session,
    job: impl FnOnce(&mut KeyStore) -> Result<T, Error> + Send + 'static,
) -> Result<T, Failure> {
    session.shared().key_store.call(PATIENT, job).await.map_err(|error| {
        let code = match &error {
            CallError::Store(Error::Unavailable { .. }) | CallError::Busy | CallError::Hangs => {
                FailureCode::KeyStore
            }
            CallError::Panicked => FailureCode::Internal,
            CallError::Store(_) => FailureCode::Refused,
        };
        Failure { hint: error.hint(), ..Failure::new(code, error.to_string()) }
    })
}

fn configured(session: &Session, client: &str) -> Result<Arc<Client>, Failure> {
    let config = session.shared().config.load();
    config.clients.get(client).cloned().ok_or_else(|| session.unknown_client(client))
}

/// A client's credentials. One that was taken out of the configuration can still have some, which can be listed and
/// removed.
async fn stored_for(session: &Session, client: &str) -> Result<(ClientName, Vec<Stored>), Failure> {
    let name = ClientName::new(client).ok_or_else(|| session.unknown_client(client))?;
    let asked = client.to_owned();
    let stored = call(session, move |store| store.list(Some(&asked))).await?;
    if stored.is_empty() {
        configured(session, client)?;
    }
    Ok((name, stored))
}

fn takes_a_secret(client: &Client) -> Result<(), Failure> {
    if !client.auth.takes_a_key() {
        return Ok(());
    }
    let message = format!("client {} authenticates with a private key, not with a secret", client.name);
    let hint = format!("generate a key with `tokenbroker key generate {}`", client.name);
    Err(Failure::new(FailureCode::Refused, message).with_hint(hint))
}

/// The algorithm of the client's keys; one that was asked for must be the same.
fn takes_a_key(client: &Client, asked: Option<KeyAlgorithm>) -> Result<KeyAlgorithm, Failure> {
    let name = &client.name;
    let AuthMethod::PrivateKeyJwt { algorithm } = client.auth else {
        let message = format!("client {name} authenticates with a secret, not with a private key");
        let hint = format!("set the secret with `tokenbroker secret set {name}`");
        return Err(Failure::new(FailureCode::Refused, message).with_hint(hint));
    };
    let configured = convert::key_algorithm(algorithm);
    if asked.is_some_and(|asked| asked != configured) {
        let algorithm = algorithm.name();
        let message = format!("client {name} is configured to sign with {algorithm}");
        let hint = format!("use --alg {algorithm}, or change assertion_alg of [clients.{name}]");
        return Err(Failure::new(FailureCode::Refused, message).with_hint(hint));
    }
    Ok(configured)
}

fn public_keys(keys: Vec<PublicKey>) -> Response {
    Response::PublicKeys(keys.into_iter().map(convert::public_key).collect())
}

fn credentials(stored: &[Stored]) -> Response {
    Response::Credentials(stored.iter().map(convert::credential).collect())
}
