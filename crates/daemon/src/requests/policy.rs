//! `policy explain`: who may have a client's token and why, for administrators.
//!
//! A process is looked at in the same way as a caller, and its units count for as much.

use std::ffi::CString;
use std::sync::Arc;

use nix::unistd::{Gid, Uid, User, getgrouplist};
use tokenbroker_core::config::{Client, Rule};
use tokenbroker_core::policy::{Explanation, Known, Subject};
use tokenbroker_ipc::{IdentityError, NoUnit, PeerIdentity, Process, own_uid};
use tokenbroker_protocol::{Failure, FailureCode, Policy, Response, Whom};

use super::Session;
use super::credentials::configured;
use crate::access::Host;
use crate::convert;

/// Explains the rules of a client.
pub(super) async fn explain(session: &Session, client: &str, whom: Whom) -> Result<Response, Failure> {
    let client = configured(session, client)?;
    // The user database takes its time.
    let explained = tokio::task::spawn_blocking(move || explained(&client, whom));
    let explained =
        explained.await.map_err(|_| Failure::new(FailureCode::Internal, "the request panicked"))?;
    Ok(Response::Policy(explained?))
}

fn explained(client: &Arc<Client>, whom: Whom) -> Result<Policy, Failure> {
    let (pid, subject, mut notes) = match whom {
        Whom::Process(pid) => {
            let peer = process(pid)?;
            let notes = notes_on_units(&peer, &client.allow);
            (Some(pid), of_process(peer), notes)
        }
        Whom::User(name) => {
            let subject = user(&name)?;
            (None, subject, vec!["its processes can be in other groups than the user database has".into()])
        }
    };
    if subject.is_nobody() {
        let id = subject.uid;
        notes.insert(
            0,
            format!(
                "uid {id} stands for whoever has no ID on this host: it has no token, whatever the rules"
            ),
        );
    }
    let explanation = Explanation::of(&client.allow, own_uid(), &Host, &subject);
    Ok(convert::policy(client.name.as_str(), pid, &subject, explanation, notes))
}

fn process(pid: u32) -> Result<PeerIdentity, Failure> {
    Process::open(pid).and_then(|process| process.identity()).map_err(|error| match error {
        IdentityError::Gone => Failure::new(FailureCode::Refused, format!("there is no process {pid}"))
            .with_hint("give the number that it has on this host, outside of containers"),
        error => Failure::new(FailureCode::Refused, format!("process {pid} can't be looked at: {error}")),
    })
}

fn of_process(peer: PeerIdentity) -> Subject {
    let known = |unit: Result<String, NoUnit>| match unit {
        Ok(name) => Known::Is(name),
        Err(reason) => Known::No(reason.to_string()),
    };
    let PeerIdentity { uid, gid, groups, units, .. } = peer;
    Subject { uid, gid, groups, unit: known(units.system), user_unit: known(units.user) }
}

/// What to do about units that don't count, where a rule names some.
fn notes_on_units(peer: &PeerIdentity, rules: &[Rule]) -> Vec<String> {
    let named = |names: fn(&Rule) -> bool, unit: &Result<String, NoUnit>| {
        unit.as_ref().err().filter(|_| rules.iter().any(names)).and_then(NoUnit::hint)
    };
    let system = named(|rule| rule.unit.is_some(), &peer.units.system);
    let user = named(|rule| rule.user_unit.is_some(), &peer.units.user);
    let mut hints: Vec<_> = [system, user].into_iter().flatten().map(str::to_owned).collect();
    hints.dedup();
    hints
}

/// A user as the user database has it.
fn user(name: &str) -> Result<Subject, Failure> {
    let found = match name.parse::<u32>() {
        Ok(uid) => User::from_uid(Uid::from_raw(uid)).ok().flatten(),
        Err(_) => User::from_name(name).ok().flatten(),
    };
    let (uid, gid, groups) = match (found, name.parse::<u32>()) {
        (Some(user), _) => (user.uid.as_raw(), user.gid, groups(&user)),
        // A number needs no name to be in a rule, and is in no group.
        (None, Ok(uid)) => (uid, Gid::from_raw(u32::MAX), Vec::new()),
        (None, Err(_)) => {
            let message = format!("user {name:?} is not known on this host");
            return Err(Failure::new(FailureCode::Refused, message).with_hint("give a name or a number"));
        }
    };
    Ok(Subject { uid, gid: gid.as_raw(), groups, unit: Known::Depends, user_unit: Known::Depends })
}

fn groups(user: &User) -> Vec<u32> {
    let Ok(name) = CString::new(user.name.as_str()) else { return Vec::new() };
    let mut groups: Vec<u32> =
        getgrouplist(&name, user.gid).unwrap_or_default().into_iter().map(Gid::as_raw).collect();
    groups.sort_unstable();
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_name_and_by_number_and_one_without_a_name_too() {
        assert_eq!(user("root").unwrap().uid, 0);
        assert_eq!(user("0").unwrap(), user("root").unwrap());
        let nameless = user("3999999999").unwrap();
        assert_eq!((nameless.uid, nameless.groups.len()), (3_999_999_999, 0));
        let said = user("no\u{1b}such").unwrap_err().message;
        assert!(!said.contains('\u{1b}'), "{said:?}");
    }

    #[test]
    fn a_process_that_is_not_there_is_said_to_be_gone() {
        assert_eq!(process(0).unwrap_err().message, "there is no process 0");
        assert_eq!(process(std::process::id()).unwrap().uid, own_uid());
    }
}
