//! Requests that list or change credentials. They go to the key store's thread; the event loop is told what changed.

use std::sync::Arc;

use tokenbroker_core::config::{AuthMethod, Client, ClientName};
use tokenbroker_keystore::{self as keystore, Error, KeyStore, PublicKey, Stored};
use tokenbroker_protocol::{Command, Failure, FailureCode, KeyAlgorithm, Response, Store, Storing};
use tokio::sync::oneshot;

use super::{Session, policy};
use crate::clock;
use crate::convert;
use crate::diagnosis;
use crate::key_store::{CallError, PATIENT};
use crate::provoked::{self, Place};
use crate::shared::Ask;

/// Carries out a request of an administrator.
pub(super) async fn carry_out(session: &Session, command: Command) -> Result<Response, Failure> {
    let created = clock::since_epoch().as_secs();
    match command {
        Command::SecretSet { client, secret, storing } => {
            let client = configured(session, &client)?;
            takes_a_secret(&client)?;
            let storing = to_store(storing, created)?;
            if secret.is_empty() {
                return Err(Failure::new(FailureCode::Refused, "the secret is empty; nothing was changed"));
            }
            provoked::panic_if_asked(Place::Session, &client.name, &secret);
            let provoking = client.name.clone();
            let set = move |store: &mut KeyStore, name: &str| {
                provoked::panic_if_asked(Place::KeyStore, &provoking, &secret);
                store.set_secret(name, &secret, storing)
            };
            Ok(credentials(&change(session, &client.name, set).await?))
        }
        Command::CredentialList { client } => {
            let stored = match &client {
                Some(client) => stored_for(session, client).await?.1,
                None => call(session, |store| store.list(None)).await?,
            };
            Ok(credentials(&stored))
        }
        Command::CredentialRemove { client, next_only } => {
            let (client, _) = stored_for(session, &client).await?;
            let remove = move |store: &mut KeyStore, name: &str| match next_only {
                true => store.withdraw(name).map(|withdrawn| vec![withdrawn]),
                false => store.remove(name),
            };
            Ok(credentials(&change(session, &client, remove).await?))
        }
        Command::CredentialsMove { to } => move_to(session, to).await,
        Command::KeyGenerate { client, algorithm, bits, kid, storing } => {
            let client = configured(session, &client)?;
            // Certificates are for P-256 everywhere.
            let algorithm = takes_a_key(&client, algorithm)?.unwrap_or(KeyAlgorithm::Es256);
            let (algorithm, storing) = (convert::algorithm_of_key(algorithm), to_store(storing, created)?);
            let generate = move |store: &mut KeyStore, name: &str| {
                store.generate_key(name, algorithm, bits, kid.as_deref(), storing)
            };
            Ok(public_keys(vec![change(session, &client.name, generate).await?]))
        }
        Command::KeyImport { client, algorithm, pem, kid, storing } => {
            let client = configured(session, &client)?;
            let algorithm = takes_a_key(&client, algorithm)?.map(convert::algorithm_of_key);
            let storing = to_store(storing, created)?;
            let import = move |store: &mut KeyStore, name: &str| {
                store.import_key(name, algorithm, &pem, kid.as_deref(), storing)
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
        Command::KeyCertificate { client, kid, common_name, form } => {
            let client = configured(session, &client)?;
            takes_a_key(&client, None)?;
            let name = client.name.to_string();
            let common_name = common_name.unwrap_or_else(|| client.client_id.clone());
            let form = convert::certificate_form(form);
            let make = move |store: &mut KeyStore| {
                store.certificate(&name, kid.as_deref(), &common_name, form, created)
            };
            Ok(Response::Certificate(call(session, make).await?))
        }
        Command::Test { client } => {
            let client = configured(session, &client)?;
            Ok(Response::Checks(diagnosis::test(Arc::clone(session.shared()), client).await?))
        }
        Command::Doctor => Ok(Response::Checks(diagnosis::doctor(Arc::clone(session.shared())).await?)),
        Command::PolicyExplain { client, whom } => policy::explain(session, &client, whom).await,
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
            // If that is not known, the next attempt finds out.
            if let Ok(left) = store.list(Some(client.as_str())) {
                let (mut current, mut next) = (None, None);
                for stored in left.iter().filter_map(convert::stored_credential) {
                    let place = if stored.is_next { &mut next } else { &mut current };
                    place.get_or_insert(stored);
                }
                let _stopped_meanwhile =
                    event_loop.send(Ask::CredentialsChanged { client, current, next, done });
            }
        }
        outcome
    });
    let outcome = outcome.await;
    let _untold = settled.await;
    outcome
}

/// Moves all credentials to another store.
async fn move_to(session: &Session, to: Store) -> Result<Response, Failure> {
    let Some(to) = convert::store_asked_for(to) else {
        return Err(Failure::new(FailureCode::InvalidRequest, "this daemon does not know that store")
            .with_hint("are daemon and command line of the same release?"));
    };
    let event_loop = session.shared().event_loop.clone();
    let moved = call(session, move |store| {
        let moved = store.move_to(to)?;
        let _stopped_meanwhile = event_loop.send(Ask::CredentialsMoved(convert::store(moved.to)));
        Ok(moved)
    });
    Ok(Response::Moved(convert::moved(moved.await?)))
}

/// How it is to be stored, if it can be meant like this.
fn to_store(storing: Storing, created: u64) -> Result<keystore::Storing, Failure> {
    if storing.expires.is_some_and(|expires| expires <= created) {
        return Err(Failure::new(FailureCode::Refused, "what is to be stored would have expired already")
            .with_hint(
                "give the day until which it is good with --expires, or leave that out; nothing was changed",
            ));
    }
    Ok(convert::storing(storing, created))
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

pub(super) fn configured(session: &Session, client: &str) -> Result<Arc<Client>, Failure> {
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
    let hint = format!(
        "generate a key with `tokenbroker key generate {0}`, or change auth of [clients.{0}]",
        client.name
    );
    Err(Failure::new(FailureCode::Refused, message).with_hint(hint))
}

/// The algorithm of the client's keys; one that was asked for must be the same. In TLS a key is for whatever it can do.
fn takes_a_key(client: &Client, asked: Option<KeyAlgorithm>) -> Result<Option<KeyAlgorithm>, Failure> {
    let name = &client.name;
    let algorithm = match client.auth {
        AuthMethod::PrivateKeyJwt { algorithm } => algorithm,
        AuthMethod::TlsClientAuth | AuthMethod::SelfSignedTlsClientAuth => return Ok(asked),
        AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost | AuthMethod::ClientSecretJwt { .. } => {
            let message = format!("client {name} authenticates with a secret, not with a private key");
            let hint = format!(
                "set the secret with `tokenbroker secret set {name}`, or change auth of [clients.{name}]"
            );
            return Err(Failure::new(FailureCode::Refused, message).with_hint(hint));
        }
    };
    let configured = convert::key_algorithm(algorithm);
    if asked.is_some_and(|asked| asked != configured) {
        let algorithm = algorithm.name();
        let message = format!("client {name} is configured to sign with {algorithm}");
        let hint = format!("use --alg {algorithm}, or change assertion_alg of [clients.{name}]");
        return Err(Failure::new(FailureCode::Refused, message).with_hint(hint));
    }
    Ok(Some(configured))
}

fn public_keys(keys: Vec<PublicKey>) -> Response {
    Response::PublicKeys(keys.into_iter().map(convert::public_key).collect())
}

fn credentials(stored: &[Stored]) -> Response {
    Response::Credentials(stored.iter().map(convert::credential).collect())
}
