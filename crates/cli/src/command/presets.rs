//! `presets`: authorization servers that the configuration can name.

use tokenbroker_client::blocking::Broker;
use tokenbroker_client::protocol::{Command, Response};

use super::QUICK;
use crate::exit::Error;
use crate::output::{self, words};

pub(crate) fn run(broker: &Broker) -> Result<(), Error> {
    match broker.request(Command::Presets, QUICK)? {
        Response::Presets(presets) => {
            let text: Vec<_> = presets.iter().map(words::preset).collect();
            Ok(output::write(text.join("\n").as_bytes())?)
        }
        _ => Err(Error::UnexpectedReply),
    }
}
