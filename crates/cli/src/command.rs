//! The commands: each asks the daemon and prints the answer.

mod doctor;
mod get;
mod key;
mod policy;
mod presets;
mod reload;
mod renew;
mod secret;
mod status;
mod test;

use std::path::Path;
use std::time::Duration;

use tokenbroker_client::Builder;
use tokenbroker_client::blocking::Broker;
use tokenbroker_client::protocol::{self, Check, Response};

use crate::args::{Arguments, Command};
use crate::exit::{Error, Exit};
use crate::output::{self, checks, json};

/// How long the daemon may take for what it has in memory.
const QUICK: Duration = Duration::from_secs(5);

/// How long it may take otherwise: keys are found by chance, and a keyring or a directory may keep it waiting.
const LONG: Duration = Duration::from_secs(60);

/// How long it may take for looking at authorization servers, each of which may be given five minutes to answer, and is
/// asked first for its metadata and then for a token.
const PATIENT: Duration = Duration::from_secs(2 * 5 * 60).saturating_add(LONG);

/// Does what the arguments say, and says how to exit.
pub(crate) fn run(arguments: Arguments) -> Result<Exit, Error> {
    let socket = arguments.socket.as_deref();
    match arguments.command {
        Command::Get(get) => get::run(socket, &get)?,
        Command::Status(status) => status::run(&connect(socket)?, &status)?,
        Command::Renew { client } => renew::run(&connect(socket)?, client)?,
        Command::Secret(command) => return secret::run(socket, command),
        Command::Key(command) => key::run(socket, command)?,
        Command::Test(test) => return test::run(&connect(socket)?, test),
        Command::Doctor(doctor) => return doctor::run(socket, &doctor),
        Command::Policy(command) => policy::run(&connect(socket)?, command)?,
        Command::Reload => reload::run(&connect(socket)?)?,
        Command::Presets => presets::run(&connect(socket)?)?,
    }
    Ok(Exit::Done)
}

/// Where the daemon is.
fn broker(socket: Option<&Path>) -> Builder<Broker> {
    // One get is asked for, and no thread is started for it.
    let builder = Broker::builder().cache(false);
    match socket {
        Some(socket) => builder.socket(socket),
        None => builder,
    }
}

fn connect(socket: Option<&Path>) -> Result<Broker, Error> {
    Ok(broker(socket).connect()?)
}

fn credentials(response: Response) -> Result<Vec<protocol::Credential>, Error> {
    match response {
        Response::Credentials(credentials) => Ok(credentials),
        _ => Err(Error::UnexpectedReply),
    }
}

fn checks(response: Response) -> Result<Vec<Check>, Error> {
    match response {
        Response::Checks(checks) => Ok(checks),
        _ => Err(Error::UnexpectedReply),
    }
}

/// Prints what was looked at. It is a failure if something does not work.
fn conclude(looked_at: &[Check], as_json: bool) -> Result<Exit, Error> {
    if as_json {
        let checks: Vec<json::Check<'_>> = looked_at.iter().map(json::Check::from).collect();
        output::write(&output::json_line(&checks)?)?;
    } else {
        output::write(checks::render(looked_at).as_bytes())?;
    }
    Ok(if checks::is_bad(looked_at) { Exit::Failed } else { Exit::Done })
}
