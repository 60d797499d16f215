//! The commands: each asks the daemon and prints the answer.

mod get;
mod key;
mod presets;
mod reload;
mod renew;
mod secret;
mod status;

use std::path::Path;
use std::time::Duration;

use tokenbroker_client::Builder;
use tokenbroker_client::blocking::Broker;
use tokenbroker_client::protocol::{self, Response};

use crate::args::{Arguments, Command};
use crate::exit::Error;

/// How long the daemon may take for what it has in memory.
const QUICK: Duration = Duration::from_secs(5);

/// How long it may take otherwise: keys are found by chance, and a keyring or a directory may keep it waiting.
const LONG: Duration = Duration::from_secs(60);

/// Does what the arguments say.
pub(crate) fn run(arguments: Arguments) -> Result<(), Error> {
    let socket = arguments.socket.as_deref();
    match arguments.command {
        Command::Get(get) => get::run(socket, &get),
        Command::Status(status) => status::run(&connect(socket)?, &status),
        Command::Renew { client } => renew::run(&connect(socket)?, client),
        Command::Secret(command) => secret::run(socket, command),
        Command::Key(command) => key::run(socket, command),
        Command::Reload => reload::run(&connect(socket)?),
        Command::Presets => presets::run(&connect(socket)?),
    }
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
