//! Turns the names in `allow` and `admin` rules into numbers, off the event loop: a directory service may take its
//! time, or not be up yet.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokenbroker_core::config::{ClientName, Config};
use tokenbroker_core::policy::{Access, Names};

/// When names that were not found are looked up again.
pub(crate) const RETRY: Duration = Duration::from_secs(10);

/// How long a start waits for the first look-up before callers are served.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Who may have what, in numbers.
#[derive(Debug, Default)]
pub(crate) struct Resolution {
    /// Who may administer.
    pub(crate) admin: Access,
    /// Who may have each client's token.
    pub(crate) clients: BTreeMap<ClientName, Arc<Access>>,
    /// Names that are not known now.
    pub(crate) unknown: Vec<String>,
}

/// Resolves all rules. Blocks for as long as the host's user database does.
pub(crate) fn resolve(config: &Config, own_uid: u32) -> Resolution {
    resolve_with(config, own_uid, &Host)
}

/// What needs no look-up: rules in numbers, the daemon's own user and root.
pub(crate) fn without_names(config: &Config, own_uid: u32) -> Resolution {
    resolve_with(config, own_uid, &Nobody)
}

fn resolve_with(config: &Config, own_uid: u32, names: &impl Names) -> Resolution {
    let mut unknown = Vec::new();
    let mut of = |rules| {
        let (access, mut missing) = Access::resolve(rules, names);
        unknown.append(&mut missing);
        access
    };
    let admin = Access::own_and_root(own_uid).and(of(&config.daemon.admin));
    // Most clients have the same rules as many others: what they come to is found out once, and shared.
    let mut known = HashMap::from([(&[][..], Arc::new(Access::own_and_root(own_uid)))]);
    let clients = config.clients.iter().map(|(name, client)| {
        let access = known.entry(&client.allow).or_insert_with_key(|rules| Arc::new(of(rules)));
        (name.clone(), Arc::clone(access))
    });
    let clients = clients.collect();
    unknown.sort();
    unknown.dedup();
    Resolution { admin, clients, unknown }
}

/// The host's user database (NSS).
pub(crate) struct Host;

impl Names for Host {
    fn user(&self, name: &str) -> Option<u32> {
        nix::unistd::User::from_name(name).ok().flatten().map(|user| user.uid.as_raw())
    }

    fn group(&self, name: &str) -> Option<u32> {
        nix::unistd::Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw())
    }
}

/// A user database in which nobody is found.
struct Nobody;

impl Names for Nobody {
    fn user(&self, _: &str) -> Option<u32> {
        None
    }

    fn group(&self, _: &str) -> Option<u32> {
        None
    }
}
