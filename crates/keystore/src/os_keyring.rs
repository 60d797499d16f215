//! The keyring of the operating system, asked only when it can answer without a prompt.
//!
//! On Linux that is a Secret Service (gnome-keyring, KeePassXC) on the session bus. Its store unlocks by
//! itself what is locked, and so opens a dialog, when it searches or writes. So before each use the service
//! is asked over D-Bus whether anything that would be touched is locked, which needs no dialog. Someone who
//! locks the keyring between that question and the use can still cause one; nothing in the protocol prevents
//! that.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keyring_core::CredentialStore;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zbus::blocking::{Connection, connection};
use zbus::names::OwnedUniqueName;
use zbus::zvariant::{DynamicType, OwnedObjectPath, OwnedValue, Type};

use crate::placement::Backend;
use crate::{Error, vault};

/// Where the service is found: its name on the bus, its root object, its interface.
const SERVICE: Address<'_> =
    Address("org.freedesktop.secrets", "/org/freedesktop/secrets", "org.freedesktop.Secret.Service");
const BUS: Address<'_> = Address("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus");

/// Each question is answered from memory; what takes longer hangs.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The keyring, connected to when it is first needed and again when it was restarted.
#[derive(Default)]
pub(crate) struct OsKeyring {
    session: Mutex<Option<Session>>,
}

struct Session {
    bus: Connection,
    /// Who provided the service when the store was connected. Another knows nothing of the store's session.
    provider: OwnedUniqueName,
    store: Arc<CredentialStore>,
}

impl Backend for OsKeyring {
    fn store(&self) -> Result<Arc<CredentialStore>, Error> {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = &*session {
            match examine(&kept.bus) {
                Ok(provider) if provider == kept.provider => return Ok(Arc::clone(&kept.store)),
                Err(obstacle @ (Obstacle::Locked | Obstacle::NoCollection)) => return Err(obstacle.into()),
                // A new provider, or a bus that may be gone: start over.
                _ => *session = None,
            }
        }
        let bus = connection::Builder::session()
            .and_then(|builder| builder.method_timeout(ANSWER_WITHIN).build())
            .map_err(Obstacle::NoBus)?;
        let provider = examine(&bus)?;
        let store = connect()?;
        *session = Some(Session { bus, provider, store: Arc::clone(&store) });
        Ok(store)
    }
}

/// What the platform offers, in the choice of `keyring`. That connects once for a whole process and keeps
/// the outcome, good or bad; a daemon outlives a keyring's restart, so further connections are made here.
fn connect() -> Result<Arc<CredentialStore>, Error> {
    if keyring::Entry::store_status().is_ok()
        && let Some(store) = keyring_core::unset_default_store()
    {
        return Ok(store);
    }
    Ok(zbus_secret_service_keyring_store::Store::new()?)
}

/// Who provides the service, if all that we could touch in it is unlocked.
fn examine(bus: &Connection) -> Result<OwnedUniqueName, Obstacle> {
    let collection: OwnedObjectPath = SERVICE.ask(bus, "ReadAlias", &"default")?;
    if collection.as_str() == "/" {
        return Err(Obstacle::NoCollection);
    }
    let properties = Address(SERVICE.0, collection.as_str(), "org.freedesktop.DBus.Properties");
    let locked: OwnedValue = properties.ask(bus, "Get", &("org.freedesktop.Secret.Collection", "Locked"))?;
    if bool::try_from(locked).map_err(|_| Obstacle::Nonsense)? {
        return Err(Obstacle::Locked);
    }
    // An item of ours may have been moved to another collection.
    let ours = HashMap::from([("service", vault::SERVICE)]);
    let (_, locked): (Vec<OwnedObjectPath>, Vec<OwnedObjectPath>) = SERVICE.ask(bus, "SearchItems", &ours)?;
    if !locked.is_empty() {
        return Err(Obstacle::Locked);
    }
    BUS.ask(bus, "GetNameOwner", &SERVICE.0)
}

/// Name, object and interface.
struct Address<'a>(&'a str, &'a str, &'a str);

impl Address<'_> {
    fn ask<T>(
        &self,
        bus: &Connection,
        method: &str,
        question: &(impl Serialize + DynamicType),
    ) -> Result<T, Obstacle>
    where
        T: DeserializeOwned + Type,
    {
        let reply = bus
            .call_method(Some(self.0), self.1, Some(self.2), method, question)
            .map_err(Obstacle::of_call)?;
        reply.body().deserialize().map_err(|_| Obstacle::Nonsense)
    }
}

/// Why the keyring is not to be used now.
#[derive(Debug)]
enum Obstacle {
    NoBus(zbus::Error),
    NoService,
    NoCollection,
    Locked,
    Silent(zbus::Error),
    Nonsense,
}

impl Obstacle {
    fn of_call(error: zbus::Error) -> Self {
        match &error {
            zbus::Error::MethodError(name, ..)
                if ["ServiceUnknown", "NameHasNoOwner", "Spawn.ServiceNotFound"]
                    .iter()
                    .any(|end| name.strip_prefix("org.freedesktop.DBus.Error.") == Some(end)) =>
            {
                Self::NoService
            }
            _ => Self::Silent(error),
        }
    }
}

impl From<Obstacle> for Error {
    fn from(obstacle: Obstacle) -> Self {
        const UNLOCK: &str =
            "log in, or `gnome-keyring-daemon --replace --unlock`, which reads the password from stdin";
        const OTHERWISE: &str = "or set store = \"encrypted-file\" under [keystore]";
        let (why, remedy) = match obstacle {
            Obstacle::NoBus(error) => (
                format!("the OS keyring can't be reached: there is no session bus ({error})"),
                format!("run the daemon in a login session, {OTHERWISE}"),
            ),
            Obstacle::NoService => (
                "there is no OS keyring: nothing on the session bus provides org.freedesktop.secrets"
                    .to_owned(),
                format!("install and start one, such as gnome-keyring, {OTHERWISE}"),
            ),
            Obstacle::NoCollection => {
                ("the OS keyring has no default collection yet".to_owned(), format!("make one: {UNLOCK}"))
            }
            Obstacle::Locked => ("the OS keyring is locked".to_owned(), format!("unlock it: {UNLOCK}")),
            Obstacle::Silent(error) => (
                format!("the OS keyring does not answer: {error}"),
                "see whether the keyring of this session works: secret-tool search service tokenbroker"
                    .to_owned(),
            ),
            Obstacle::Nonsense => (
                "the OS keyring answers with something that makes no sense".to_owned(),
                "see whether the keyring of this session works: secret-tool search service tokenbroker"
                    .to_owned(),
            ),
        };
        Self::unavailable(why).with_hint(remedy)
    }
}

impl fmt::Debug for OsKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OsKeyring")
    }
}
