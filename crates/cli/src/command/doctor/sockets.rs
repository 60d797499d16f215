//! The places where callers look for a socket, in their order.

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use tokenbroker_client::Error as BrokerError;
use tokenbroker_client::protocol::Check;

use super::host::Host;
use super::{Scope, bad, good, skipped};
use crate::exit::{self, Error};

/// A place where a daemon may listen.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    path: PathBuf,
    named_by: NamedBy,
}

/// Why it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NamedBy {
    Option,
    Variable,
    /// By nobody: it is where a user's own daemon is.
    User,
    /// By nobody: it is where the system's daemon is.
    System,
}

/// Where this caller looks.
pub(super) fn places(given: Option<&Path>) -> Vec<Place> {
    let by_variable = std::env::var_os("TOKENBROKER_SOCKET").is_some_and(|value| !value.is_empty());
    named(crate::command::broker(given).sockets(), given.is_some(), by_variable)
}

fn named(paths: Vec<PathBuf>, by_option: bool, by_variable: bool) -> Vec<Place> {
    let last = paths.len().saturating_sub(1);
    let named_by = |index| match () {
        () if by_option => NamedBy::Option,
        () if by_variable => NamedBy::Variable,
        () if index < last => NamedBy::User,
        () => NamedBy::System,
    };
    paths.into_iter().enumerate().map(|(index, path)| Place { path, named_by: named_by(index) }).collect()
}

/// Whose daemon answers this caller, or would; `None` where a socket was named.
pub(super) fn scope(places: &[Place]) -> Option<Scope> {
    let decides = places.iter().find(|place| !is_absent(&place.path)).or(places.last())?;
    decides.scope()
}

/// Only where there is nothing at all, callers look any further.
fn is_absent(path: &Path) -> bool {
    matches!(look(path), Err(ErrorKind::NotFound | ErrorKind::NotADirectory))
}

fn look(path: &Path) -> Result<Metadata, ErrorKind> {
    fs::metadata(path).map_err(|error| error.kind())
}

/// What is at each of them; `knock` asks for a daemon.
pub(super) fn checks(
    places: &[Place],
    host: &Host,
    knock: impl Fn(&Path) -> Result<(), Error>,
) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut places = places.iter();
    for place in places.by_ref() {
        checks.push(place.check(host, &knock));
        if !is_absent(&place.path) {
            break;
        }
    }
    checks.extend(places.map(|place| {
        let path = place.path.display();
        skipped(place.subject(), format!("{path} was not looked at: callers don't get any further"))
    }));
    checks
}

impl Place {
    fn subject(&self) -> &'static str {
        match self.named_by {
            NamedBy::Option | NamedBy::Variable => "socket",
            NamedBy::User => "user's socket",
            NamedBy::System => "system's socket",
        }
    }

    fn scope(&self) -> Option<Scope> {
        match self.named_by {
            NamedBy::Option | NamedBy::Variable => None,
            NamedBy::User => Some(Scope::User),
            NamedBy::System => Some(Scope::System),
        }
    }

    fn check(&self, host: &Host, knock: impl Fn(&Path) -> Result<(), Error>) -> Check {
        let path = self.shown();
        let found = match look(&self.path) {
            Ok(found) => found,
            Err(ErrorKind::NotFound | ErrorKind::NotADirectory) => return self.absent(),
            Err(error) => {
                let remedy = "have its directory opened to this user, or ask as another".to_owned();
                return bad(self.subject(), format!("{path} can't be looked at: {error}"), remedy);
            }
        };
        if !found.file_type().is_socket() {
            let kind = if found.is_dir() { "a directory" } else { "a file" };
            let remedy = format!("move {} away, then {}", self.path.display(), host.start(self.scope()));
            return bad(self.subject(), format!("{path} is {kind}, and no socket"), remedy);
        }
        let owner = host.accounts.with_uid(found.uid()).name;
        let socket = format!("{path} (owner {owner}, mode {:04o})", found.mode() & 0o7777);
        match knock(&self.path) {
            Ok(()) => good(self.subject(), format!("{socket}: a daemon answers")),
            Err(error) => {
                let finding = format!("{socket}: {}", reason(&error));
                bad(self.subject(), finding, self.remedy(host, &error))
            }
        }
    }

    fn absent(&self) -> Check {
        let finding = format!("{}: there is no such socket", self.shown());
        match self.named_by {
            NamedBy::User => skipped(self.subject(), format!("{finding}, so callers look for the system's")),
            NamedBy::System => skipped(self.subject(), finding),
            NamedBy::Option => {
                let remedy = "start the daemon that is to listen there, or leave out --socket";
                bad(self.subject(), finding, remedy.to_owned())
            }
            NamedBy::Variable => {
                let remedy = "start the daemon that is to listen there, or unset TOKENBROKER_SOCKET";
                bad(self.subject(), finding, remedy.to_owned())
            }
        }
    }

    fn remedy(&self, host: &Host, error: &Error) -> Option<String> {
        if kind(error) != Some(ErrorKind::ConnectionRefused) {
            return error.hint();
        }
        let start = host.start(self.scope());
        Some(match self.named_by {
            NamedBy::User => format!(
                "{start}; or, if the system's daemon is the one to ask, remove what an earlier one left: `rm {}`",
                self.path.display()
            ),
            NamedBy::Option | NamedBy::Variable | NamedBy::System => start,
        })
    }

    fn shown(&self) -> String {
        let path = self.path.display();
        match self.named_by {
            NamedBy::Variable => format!("{path}, which TOKENBROKER_SOCKET names"),
            NamedBy::Option | NamedBy::User | NamedBy::System => path.to_string(),
        }
    }
}

/// What the system said when it was connected to.
pub(super) fn kind(error: &Error) -> Option<ErrorKind> {
    match error {
        Error::Broker(BrokerError::NoDaemon { tried }) => tried.last().map(|tried| tried.source.kind()),
        _ => None,
    }
}

/// Why nobody answers, where the place has been named already.
fn reason(error: &Error) -> String {
    match kind(error) {
        Some(ErrorKind::ConnectionRefused) => "nobody is listening".to_owned(),
        Some(ErrorKind::NotFound) => "it has just gone".to_owned(),
        Some(other) => other.to_string(),
        None => exit::sentence(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use tempfile::TempDir;
    use tokenbroker_client::protocol::Verdict;

    use super::*;

    fn user_and_system(directory: &TempDir) -> Vec<Place> {
        let path = |name: &str| directory.path().join(name);
        named(vec![path("user.sock"), path("system.sock")], false, false)
    }

    fn looked_at(places: &[Place]) -> Vec<Check> {
        checks(places, &Host::bare(), |path| crate::command::connect(Some(path)).map(drop))
    }

    fn verdicts(checks: &[Check]) -> Vec<Verdict> {
        checks.iter().map(|check| check.verdict).collect()
    }

    #[test]
    fn every_place_is_known_by_who_named_it() {
        let by = |paths: &[&str], option, variable| {
            let places = named(paths.iter().map(PathBuf::from).collect(), option, variable);
            places.iter().map(|place| place.named_by).collect::<Vec<_>>()
        };
        assert_eq!(places(Some(Path::new("/a"))), named(vec!["/a".into()], true, false));
        assert_eq!(by(&["/a"], true, true), [NamedBy::Option]);
        assert_eq!(by(&["/a"], false, true), [NamedBy::Variable]);
        assert_eq!(by(&["/a", "/b"], false, false), [NamedBy::User, NamedBy::System]);
        assert_eq!(by(&["/b"], false, false), [NamedBy::System]);
    }

    #[test]
    fn where_there_is_nothing_the_next_place_is_looked_at() {
        let directory = tempfile::tempdir().unwrap();
        let places = user_and_system(&directory);
        let checks = looked_at(&places);
        assert_eq!(verdicts(&checks), [Verdict::Skipped, Verdict::Skipped]);
        assert!(
            checks[0]
                .finding
                .ends_with("user.sock: there is no such socket, so callers look for the system's")
        );
        assert_eq!(scope(&places), Some(Scope::System));
    }

    #[test]
    fn a_socket_that_somebody_left_hides_the_systems() {
        let directory = tempfile::tempdir().unwrap();
        let places = user_and_system(&directory);
        drop(UnixListener::bind(&places[0].path).unwrap());
        let _system = UnixListener::bind(&places[1].path).unwrap();
        let checks = looked_at(&places);
        assert_eq!(verdicts(&checks), [Verdict::Bad, Verdict::Skipped]);
        assert!(checks[0].finding.ends_with("): nobody is listening"), "{}", checks[0].finding);
        assert!(checks[0].remedy.as_ref().unwrap().contains("`rm "), "{:?}", checks[0].remedy);
        assert!(checks[1].finding.ends_with("callers don't get any further"), "{}", checks[1].finding);
        assert_eq!(scope(&places), Some(Scope::User));
    }

    #[test]
    fn a_daemon_that_answers_is_shown_with_whose_its_socket_is() {
        let directory = tempfile::tempdir().unwrap();
        let places = named(vec![directory.path().join("broker.sock")], true, false);
        let _listener = UnixListener::bind(&places[0].path).unwrap();
        let [check] = &checks(&places, &Host::bare(), |_| Ok(()))[..] else { panic!("one place, one check") };
        assert_eq!(check.verdict, Verdict::Good);
        assert!(check.finding.contains("broker.sock (owner "), "{}", check.finding);
        assert!(check.finding.contains(", mode 0"), "{}", check.finding);
        assert!(check.finding.ends_with("): a daemon answers"), "{}", check.finding);
        assert_eq!(scope(&places), None);
    }

    #[test]
    fn what_is_no_socket_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("broker.sock");
        fs::write(&file, "").unwrap();
        let place = |path: &Path| named(vec![path.to_owned()], false, false);
        let checks = looked_at(&place(&file));
        assert!(checks[0].finding.ends_with("is a file, and no socket"), "{}", checks[0].finding);
        assert!(checks[0].remedy.as_ref().unwrap().starts_with("move "), "{:?}", checks[0].remedy);
        let checks = looked_at(&place(directory.path()));
        assert!(checks[0].finding.ends_with("is a directory, and no socket"), "{}", checks[0].finding);
        assert_eq!(verdicts(&checks), [Verdict::Bad]);
        // Below a file there is nothing, and callers go on.
        assert_eq!(verdicts(&looked_at(&place(&file.join("below")))), [Verdict::Skipped]);
    }

    #[test]
    fn a_named_socket_that_is_not_there_is_wrong_by_itself() {
        let named_by = |option, variable| {
            let checks = looked_at(&named(vec!["/nowhere/broker.sock".into()], option, variable));
            assert_eq!(verdicts(&checks), [Verdict::Bad]);
            checks[0].remedy.clone().unwrap()
        };
        assert!(named_by(true, false).ends_with("or leave out --socket"));
        assert!(named_by(false, true).ends_with("or unset TOKENBROKER_SOCKET"));
    }
}
