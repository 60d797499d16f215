//! `test`: one token request, step by step.

use tokenbroker_client::blocking::Broker;
use tokenbroker_client::protocol::Command;

use super::PATIENT;
use crate::args::Test;
use crate::exit::{Error, Exit};

pub(crate) fn run(broker: &Broker, Test { client, json }: Test) -> Result<Exit, Error> {
    super::conclude(&super::checks(broker.request(Command::Test { client }, PATIENT)?)?, json)
}
