//! `policy explain`: who may have a client's token, and why.

use tokenbroker_client::blocking::Broker;
use tokenbroker_client::protocol::{Command, Response, Whom};

use super::QUICK;
use crate::args::{ExplainPolicy, Policy};
use crate::exit::Error;
use crate::output::{self, json, policy};

pub(crate) fn run(broker: &Broker, command: Policy) -> Result<(), Error> {
    let Policy::Explain(ExplainPolicy { client, whom, json }) = command;
    let whom = match (whom.pid, whom.user) {
        (Some(pid), _) => Whom::Process(pid),
        (None, user) => Whom::User(user.unwrap_or_default()),
    };
    let Response::Policy(explained) = broker.request(Command::PolicyExplain { client, whom }, QUICK)? else {
        return Err(Error::UnexpectedReply);
    };
    if json {
        output::write(&output::json_line(&json::Policy::from(&explained))?)?;
    } else {
        output::write(policy::render(&explained).as_bytes())?;
    }
    Ok(())
}
