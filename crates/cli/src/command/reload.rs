//! `reload`: the configuration again.

use tokenbroker_client::blocking::Broker;
use tokenbroker_client::protocol::{Command, Response};

use super::LONG;
use crate::exit::Error;
use crate::output;

pub(crate) fn run(broker: &Broker) -> Result<(), Error> {
    match broker.request(Command::Reload, LONG)? {
        Response::Done => Ok(output::write(b"the new configuration is in use\n")?),
        _ => Err(Error::UnexpectedReply),
    }
}
