//! `secret`: client secrets in the key store.

use std::path::Path;

use tokenbroker_client::blocking::Broker;
use tokenbroker_client::protocol::{Command, Credential, Moved, Response, Standing, Store, Storing};

use super::{LONG, PATIENT};
use crate::args::{List, Secret};
use crate::exit::{Error, Exit};
use crate::input;
use crate::output::{self, json, table, words};

pub(crate) fn run(socket: Option<&Path>, command: Secret) -> Result<Exit, Error> {
    match command {
        Secret::Set { client, next, expires } => set(socket, client, Storing { as_next: next, expires })?,
        Secret::List(list) => self::list(&super::connect(socket)?, &list, |_| true)?,
        Secret::Remove { client, next } => remove(&super::connect(socket)?, client, next)?,
        Secret::Move { to } => return move_all(&super::connect(socket)?, to.into()),
    }
    Ok(Exit::Done)
}

fn set(socket: Option<&Path>, client: String, storing: Storing) -> Result<(), Error> {
    // That there is no daemon is better said before the secret is typed.
    super::connect(socket)?;
    let secret = input::secret(&client)?;
    let asked = Command::SecretSet { client: client.clone(), secret, storing };
    let stored = super::credentials(super::connect(socket)?.request(asked, LONG)?)?;
    // The newest comes first; others are what could not be removed yet.
    let newest = stored.get(..1).unwrap_or_default();
    said(&client, "stored", newest)?;
    if storing.as_next {
        match newest.iter().all(|stored| stored.standing == Standing::Current) {
            true => output::say(&in_use_at_once(&client)),
            false => output::say(&format!(
                "hint: it is tried with the next token request and takes the place of the one in use with its first \
                 token; `tokenbroker renew {client}` makes that now; `tokenbroker status {client}` tells"
            )),
        }
    }
    Ok(())
}

/// What is said where a next credential was to be stored, and there was none to come after.
pub(super) fn in_use_at_once(client: &str) -> String {
    format!("{client}: there was no other to take the place of, so it is in use")
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

fn remove(broker: &Broker, client: String, next_only: bool) -> Result<(), Error> {
    let asked = Command::CredentialRemove { client: client.clone(), next_only };
    let removed = super::credentials(broker.request(asked, LONG)?)?;
    said(&client, "removed", &removed)
}

/// Every credential is written and read again: with many of them that takes its time.
fn move_all(broker: &Broker, to: Store) -> Result<Exit, Error> {
    let Response::Moved(moved) = broker.request(Command::CredentialsMove { to }, PATIENT)? else {
        return Err(Error::UnexpectedReply);
    };
    output::write(format!("{}\n", what_was_moved(&moved)).as_bytes())?;
    if let Some(configured) = moved.configured {
        let (to, configured) = (words::store(moved.to), words::store(configured));
        output::say(&format!(
            "hint: the configuration still says store = \"{configured}\": set store = \"{to}\" under [keystore] before the \
             daemon starts the next time"
        ));
    }
    if moved.left_behind.is_empty() {
        return Ok(Exit::Done);
    }
    for copy in &moved.left_behind {
        output::say(&format!("warning: an old copy was left behind: {copy}"));
    }
    let to = words::store(moved.to);
    output::say(&format!("hint: run it again, `tokenbroker secret move --to {to}`: that removes old copies"));
    Ok(Exit::Failed)
}

fn what_was_moved(Moved { from, to, credentials, .. }: &Moved) -> String {
    let credentials = match credentials {
        1 => "1 credential".to_owned(),
        number => format!("{number} credentials"),
    };
    let (there, here) = (words::store(*from), words::store(*to));
    match from == to {
        true => format!("nothing to move, {here} has them already: {credentials}"),
        false => format!("moved {credentials} from {there} to {here}"),
    }
}

/// Says what became of each of a client's credentials.
pub(super) fn said(client: &str, what: &str, credentials: &[Credential]) -> Result<(), Error> {
    let lines: String = credentials
        .iter()
        .map(|credential| format!("{client}: {what} {}\n", words::credential(credential)))
        .collect();
    Ok(output::write(lines.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_moved_is_counted() {
        let moved = |from, credentials| {
            let (to, left_behind, configured) = (Store::OsKeyring, Vec::new(), None);
            what_was_moved(&Moved { from, to, credentials, left_behind, configured })
        };
        assert_eq!(moved(Store::EncryptedFile, 3), "moved 3 credentials from encrypted-file to os-keyring");
        assert_eq!(moved(Store::EncryptedFile, 1), "moved 1 credential from encrypted-file to os-keyring");
        assert_eq!(moved(Store::EncryptedFile, 0), "moved 0 credentials from encrypted-file to os-keyring");
        assert_eq!(moved(Store::OsKeyring, 3), "nothing to move, os-keyring has them already: 3 credentials");
    }
}
