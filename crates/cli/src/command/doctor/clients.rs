//! What somebody who is no administrator can know: how the clients are doing that they may have.

use std::time::Duration;

use tokenbroker_client::blocking::Broker;
use tokenbroker_client::protocol::{Check, Failure, State, Status};

use super::{bad, good, warning};
use crate::command::status;
use crate::duration;
use crate::exit::Error;
use crate::output::{notes, words};

/// The clients of this caller, after the daemon has refused to say more.
pub(super) fn checks(broker: &Broker, refused: &Failure) -> Result<Vec<Check>, Error> {
    let (clients, _) = status::all_pages(broker, None)?;
    let mut checks = vec![administrator(refused)];
    checks.extend(clients.iter().map(client));
    if clients.is_empty() {
        checks.push(warning(
            "clients",
            "this user may have no client's tokens".to_owned(),
            "have this user, one of its groups or its unit added to `allow` of the client",
        ));
    }
    Ok(checks)
}

fn administrator(refused: &Failure) -> Check {
    warning(
        "administrator",
        format!("the daemon shows this user no more than its own clients: {}", refused.message),
        "an administrator sees more: run `sudo tokenbroker doctor`, or have `admin` under [daemon] name this user",
    )
}

fn client(client: &Status) -> Check {
    let name = &client.client;
    let state = words::state(client.state);
    let left = client
        .expires_in_ms
        .map(|left| format!(", its token expires in {}", duration::human(Duration::from_millis(left))))
        .unwrap_or_default();
    let finding = match &client.last_error {
        Some(error) => notes::failed(&format!("{state}{left}"), error),
        None => format!("{state}{left}"),
    };
    let explained = format!("`tokenbroker status {name}` explains it");
    match client.state {
        State::Warm | State::Pending => good(name, finding),
        State::Degraded => warning(name, finding, explained),
        _ => bad(name, finding, explained),
    }
}
