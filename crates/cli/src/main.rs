//! The `tokenbroker` command line.
//!
//! It asks the daemon and prints the answer. It never reads the configuration, the key store or the network
//! itself, and prints no token or secret that was not asked for. `doctor` alone looks at the host, too: at what is there,
//! never into it.

mod args;
mod clock;
mod command;
mod date;
mod duration;
mod exit;
mod input;
mod output;
mod usage;

use std::process::ExitCode;

use crate::args::Arguments;

fn main() -> ExitCode {
    let exit = match Arguments::parse() {
        Ok(arguments) => exit::report(command::run(arguments)),
        Err(refused) => usage::report(&refused, std::env::args_os()),
    };
    ExitCode::from(exit)
}
