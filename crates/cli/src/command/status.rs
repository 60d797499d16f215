//! `status`: how the clients are doing.

use tokenbroker_client::blocking::Broker;
use tokenbroker_client::protocol::{self, Command, Response};

use super::QUICK;
use crate::args::Status;
use crate::clock;
use crate::exit::Error;
use crate::output::{self, json, table};

pub(crate) fn run(broker: &Broker, status: &Status) -> Result<(), Error> {
    let (clients, notes) = all_pages(broker, status.client.as_deref())?;
    if status.json {
        let clients: Vec<json::Status<'_>> = clients.iter().map(json::Status::from).collect();
        output::write(&output::json_line(&clients)?)?;
    } else {
        output::write(table::status(&clients, &notes, clock::unix_seconds()).as_bytes())?;
    }
    Ok(())
}

/// The states in the order of the clients' names, and each note once.
pub(super) fn all_pages(
    broker: &Broker,
    client: Option<&str>,
) -> Result<(Vec<protocol::Status>, Vec<String>), Error> {
    let mut clients: Vec<protocol::Status> = Vec::new();
    let mut notes = Vec::new();
    loop {
        let after = clients.last().map(|last| last.client.clone());
        let asked = Command::Status { client: client.map(str::to_owned), after: after.clone() };
        let Response::Status(page) = broker.request(asked, QUICK)? else {
            return Err(Error::UnexpectedReply);
        };
        for note in page.notes {
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
        clients.extend(page.clients);
        if !page.more {
            return Ok((clients, notes));
        }
        // A page that gets no further would be asked for again, for ever.
        if clients.last().map(|last| &last.client) <= after.as_ref() {
            return Err(Error::UnexpectedReply);
        }
    }
}
