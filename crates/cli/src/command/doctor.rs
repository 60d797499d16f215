//! `doctor`: what is wrong with the set-up of this host.
//!
//! The daemon looks at most of it. What keeps callers from the daemon is looked at here: from outside, and nothing is
//! changed by it, but for a daemon that starts when somebody knocks.

mod accounts;
mod clients;
mod configuration;
mod host;
mod sockets;
mod units;

use std::path::Path;

use tokenbroker_client::Error as BrokerError;
use tokenbroker_client::protocol::{Check, Command, FailureCode, Verdict};

use self::host::Host;
use super::PATIENT;
use crate::args::Doctor;
use crate::exit::{Error, Exit};

pub(crate) fn run(socket: Option<&Path>, doctor: &Doctor) -> Result<Exit, Error> {
    let host = Host::this();
    let places = sockets::places(socket);
    let mut checks =
        vec![good("command line", concat!("tokenbroker ", env!("CARGO_PKG_VERSION")).to_owned())];
    checks.extend(sockets::checks(&places, &host, |path| super::connect(Some(path)).map(drop)));
    match ask(socket) {
        Ok(found) => checks.extend(found),
        Err(Error::Broker(BrokerError::Failed(failure))) if failure.code == FailureCode::Denied => {
            checks.extend(clients::checks(&super::connect(socket)?, &failure)?);
        }
        Err(error) => checks.extend(host.without_answer(sockets::scope(&places), &error)),
    }
    super::conclude(&checks, doctor.json)
}

fn ask(socket: Option<&Path>) -> Result<Vec<Check>, Error> {
    super::checks(super::connect(socket)?.request(Command::Doctor, PATIENT)?)
}

/// Whose daemon it is: its socket, its units and its configuration are in other places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    System,
    User,
}

fn good(subject: &str, finding: String) -> Check {
    Check { subject: subject.to_owned(), verdict: Verdict::Good, finding, remedy: None }
}

fn skipped(subject: &str, finding: String) -> Check {
    Check { verdict: Verdict::Skipped, ..good(subject, finding) }
}

fn warning(subject: &str, finding: String, remedy: impl Into<String>) -> Check {
    Check { verdict: Verdict::Warning, remedy: Some(remedy.into()), ..good(subject, finding) }
}

fn bad(subject: &str, finding: String, remedy: impl Into<Option<String>>) -> Check {
    Check { verdict: Verdict::Bad, remedy: remedy.into(), ..good(subject, finding) }
}
