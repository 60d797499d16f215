//! `secret`: client secrets in the key store.

use std::path::Path;

use tokenbroker_client::blocking::Broker;
use tokenbroker_client::protocol::{Command, Credential};

use super::LONG;
use crate::args::{List, Secret};
use crate::exit::Error;
use crate::input;
use crate::output::{self, json, table, words};

pub(crate) fn run(socket: Option<&Path>, command: Secret) -> Result<(), Error> {
    match command {
        Secret::Set { client } => set(socket, client),
        Secret::List(list) => self::list(&super::connect(socket)?, &list, |_| true),
        Secret::Remove { client } => remove(&super::connect(socket)?, client),
    }
}

fn set(socket: Option<&Path>, client: String) -> Result<(), Error> {
    // That there is no daemon is better said before the secret is typed.
    super::connect(socket)?;
    let secret = input::secret(&client)?;
    let asked = Command::SecretSet { client: client.clone(), secret };
    let stored = super::credentials(super::connect(socket)?.request(asked, LONG)?)?;
    // The newest comes first; others are what could not be removed yet.
    said(&client, "stored", stored.get(..1).unwrap_or_default())
}

/// Prints the stored credentials that are `wanted`.
pub(super) fn list(broker: &Broker, list: &List, wanted: fn(&Credential) -> bool) -> Result<(), Error> {
    let asked = Command::CredentialList { client: list.client.clone() };
    let mut credentials = super::credentials(broker.request(asked, LONG)?)?;
    credentials.retain(wanted);
    if list.json {
        let credentials: Vec<json::Credential<'_>> = credentials.iter().map(json::Credential::from).collect();
        output::write(&output::json_line(&credentials)?)?;
    } else {
        output::write(table::credentials(&credentials).as_bytes())?;
    }
    Ok(())
}

fn remove(broker: &Broker, client: String) -> Result<(), Error> {
    let asked = Command::CredentialRemove { client: client.clone() };
    let removed = super::credentials(broker.request(asked, LONG)?)?;
    said(&client, "removed", &removed)
}

/// Says what became of each of a client's credentials.
pub(super) fn said(client: &str, what: &str, credentials: &[Credential]) -> Result<(), Error> {
    let lines: String = credentials
        .iter()
        .map(|credential| format!("{client}: {what} {}\n", words::credential(credential)))
        .collect();
    Ok(output::write(lines.as_bytes())?)
}
