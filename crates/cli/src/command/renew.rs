//! `renew`: a new token now.

use std::time::Duration;

use tokenbroker_client::blocking::Broker;
use tokenbroker_client::protocol::{Command, Response};

use super::QUICK;
use crate::duration;
use crate::exit::Error;
use crate::output;

/// How long the daemon waits for the authorization server.
const WAIT: Duration = Duration::from_secs(30);

pub(crate) fn run(broker: &Broker, client: String) -> Result<(), Error> {
    let wait_ms = u64::try_from(WAIT.as_millis()).unwrap_or(u64::MAX);
    let asked = Command::Renew { client: client.clone(), wait_ms };
    let Response::Renewed(renewed) = broker.request(asked, WAIT + QUICK)? else {
        return Err(Error::UnexpectedReply);
    };
    let left = duration::human(Duration::from_millis(renewed.expires_in_ms));
    let generation = renewed.generation;
    Ok(output::write(format!("{client}: renewed, generation {generation}, expires in {left}\n").as_bytes())?)
}
