//! How the daemon starts: everything that can be refused is, before a caller is served.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use rustix::rand::{GetRandomFlags, getrandom};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook_tokio::Signals;
use tokenbroker_core::config::{Config, StoreChoice};
use tokenbroker_core::engine::Engine;
use tokenbroker_ipc::{BindError, Listener, StateLock, check_directory, own_uid, passed_sockets};
use tokenbroker_keystore::{self as keystore, KeyStore};
use tokenbroker_secret::heap;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::task::LocalSet;

use crate::Options;
use crate::access;
use crate::audit::{self, Audit};
use crate::clock;
use crate::configuration::{Files, Refused};
use crate::event_loop::EventLoop;
use crate::http::Reqwest;
use crate::http_socket;
use crate::kept_tokens::TokenFile;
use crate::key_store::KeyStoreThread;
use crate::memory;
use crate::places::{MissingVariable, Places};
use crate::sessions;
use crate::shared::{Host, Shared};
#[cfg(debug_assertions)]
use crate::stall;
use crate::watchdog;

/// What passed sockets are called: by `FileDescriptorName=` of their unit, and without it by the unit itself.
const NATIVE_NAMES: [&str; 3] = ["broker", "tokenbrokerd.socket", ""];
const HTTP_NAMES: [&str; 2] = ["http", "tokenbrokerd-http.socket"];

/// A daemon that is ready to serve.
pub(crate) struct Daemon {
    pub(crate) event_loop_runtime: EventLoopRuntime,
    pub(crate) event_loop: EventLoop<Reqwest>,
    pub(crate) signals: Signals,
    pub(crate) ipc: JoinHandle<()>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) lock: StateLock,
}

/// The runtime that the event loop runs on, with a place for tasks that stay on its thread.
pub(crate) struct EventLoopRuntime {
    runtime: Runtime,
    tasks: LocalSet,
}

impl EventLoopRuntime {
    fn new() -> io::Result<Self> {
        Ok(Self { runtime: current_thread()?, tasks: LocalSet::new() })
    }

    /// Runs the event loop on this thread until it ends. Look-ups that hang are left behind.
    pub(crate) fn run(self, event_loop: EventLoop<Reqwest>, signals: Signals) -> io::Result<()> {
        #[cfg(debug_assertions)]
        self.tasks.spawn_local(stall::at(stall::OF_EVENT_LOOP));
        let outcome = self.tasks.block_on(&self.runtime, event_loop.run(signals));
        drop(self.tasks);
        self.runtime.shutdown_background();
        outcome
    }
}

/// Validates the configuration, and nothing else.
pub(crate) fn check(options: &Options) -> Result<(), StartError> {
    files(options, &places())?.read()?;
    eprintln!("the configuration is valid");
    Ok(())
}

/// Starts everything, in the order in which the later needs the earlier.
pub(crate) fn start(options: &Options) -> Result<Daemon, StartError> {
    let own_uid = own_uid();
    let places = places();
    let files = files(options, &places)?;
    let config = files.read()?;

    let state_dir = config.daemon.state_dir.clone().map_or_else(|| places.state_dir.clone(), Ok)?;
    make_directory(&state_dir, 0o700)?;
    check_directory(&state_dir)
        .map_err(|error| StartError::Refused { message: with_source(&error), hint: error.hint() })?;
    let lock = StateLock::acquire(&state_dir).map_err(|error| StartError::Refused {
        message: with_source(&error),
        hint: Some("stop the other one, or give this one a state_dir and socket of its own".into()),
    })?;
    let token_file = TokenFile::new(&state_dir);
    memory::lock(config.daemon.memory, places.system)?;
    let key_store = open_key_store(&config, &places, state_dir.clone())?;

    let event_loop_runtime = EventLoopRuntime::new().map_err(StartError::io("a runtime can't be made"))?;
    let ipc_runtime = current_thread().map_err(StartError::io("a runtime can't be made"))?;
    let sockets = {
        let _inside = ipc_runtime.enter();
        listen(&config, &places, &lock)?
    };
    let audit = audit::Sink::open(&config.daemon.audit)
        .map_err(|error| StartError::Refused { message: with_source(&error), hint: error.hint() })?;
    let host = Host {
        files: files.clone(),
        state_dir,
        socket: config.daemon.socket.clone().or_else(|| places.socket.clone().ok()),
        http_socket: config.daemon.http_socket.clone(),
        is_passed: sockets.is_passed,
        is_system: places.system,
        started: clock::moment(),
    };

    let engine = Engine::new(&config, random()?, clock::now());
    let key_store = KeyStoreThread::start(key_store).map_err(StartError::io("a thread can't be started"))?;
    let (ask, asks) = mpsc::unbounded_channel();
    let slots = Arc::clone(engine.slots());
    let http = Reqwest::start(key_store.clone()).map_err(StartError::io("a thread can't be started"))?;
    let audit = Audit::start(audit).map_err(StartError::io("a thread can't be started"))?;
    let shared = Arc::new(Shared::new(random()?, slots, Arc::new(config), key_store, ask, audit, host));

    let (event_loop, signals) = {
        let _inside = event_loop_runtime.runtime.enter();
        let signals = Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM]);
        let signals = signals.map_err(StartError::io("signals can't be received"))?;
        let event_loop = EventLoop::new(engine, http, Arc::clone(&shared), asks, files, token_file, own_uid);
        (event_loop.map_err(StartError::io("the event loop can't be set up"))?, signals)
    };
    let event_loop = resolve_names(&event_loop_runtime, event_loop, &shared, own_uid);
    // Reading the configuration took many times what is left of it.
    heap::give_back();

    let callers = serve(sockets, Arc::clone(&shared));
    let ipc = std::thread::Builder::new().name("ipc".into()).spawn(move || ipc_runtime.block_on(callers));
    let ipc = ipc.map_err(StartError::io("a thread can't be started"))?;
    Ok(Daemon { event_loop_runtime, event_loop, signals, ipc, shared, lock })
}

/// Serves callers on all sockets until the daemon shuts down.
async fn serve(sockets: Sockets, shared: Arc<Shared>) {
    let http = async {
        if let Some(listener) = sockets.http {
            http_socket::serve(listener, Arc::clone(&shared)).await;
        }
    };
    #[cfg(debug_assertions)]
    tokio::spawn(stall::at(stall::OF_IPC));
    let native = sessions::serve(sockets.native, Arc::clone(&shared));
    tokio::join!(native, http, watchdog::run(&shared));
}

fn places() -> Places {
    Places::find(own_uid(), |name| std::env::var_os(name))
}

fn files(options: &Options, places: &Places) -> Result<Files, StartError> {
    Ok(match &options.config {
        Some(file) => Files::Named(file.clone()),
        None => Files::In(places.config_dir.clone()?),
    })
}

fn open_key_store(config: &Config, places: &Places, state_dir: PathBuf) -> Result<KeyStore, StartError> {
    let choice = match config.keystore.store {
        StoreChoice::Auto => keystore::StoreChoice::Auto,
        StoreChoice::OsKeyring => keystore::StoreChoice::OsKeyring,
        StoreChoice::SystemdCredentials => keystore::StoreChoice::SystemdCredentials,
        StoreChoice::EncryptedFile => keystore::StoreChoice::EncryptedFile,
    };
    let options = keystore::Options {
        choice,
        // A system service has no session bus, and with it no keyring.
        prefer_keyring: !places.system,
        state_dir,
        key_file: config.keystore.key_file.clone(),
        credentials_directory: places.credentials_dir.clone(),
    };
    KeyStore::open(options).map_err(|error| StartError::Refused {
        message: error.to_string(),
        hint: error.hint().map(str::to_owned),
    })
}

/// Where callers come from.
struct Sockets {
    native: Listener,
    http: Option<Listener>,
    /// Whether systemd made the native one.
    is_passed: bool,
}

/// The sockets that systemd passed, and for what it did not pass those of our own.
fn listen(config: &Config, places: &Places, lock: &StateLock) -> Result<Sockets, StartError> {
    let (mut native, mut http) = (None, None);
    for (name, socket) in passed_sockets().map_err(StartError::io("the passed sockets can't be taken"))? {
        let place = match name.as_str() {
            name if NATIVE_NAMES.contains(&name) => &mut native,
            name if HTTP_NAMES.contains(&name) => &mut http,
            _ => {
                tracing::warn!("a socket named {name:?} was passed, which is not known here");
                continue;
            }
        };
        if place.is_some() {
            tracing::warn!("a second socket named {name:?} was passed, and is not served");
            continue;
        }
        *place = Some(Listener::from_fd(socket).map_err(StartError::io("the passed socket can't be used"))?);
    }
    let is_passed = native.is_some();
    let native = match native {
        Some(passed) => passed,
        None => {
            let path = config.daemon.socket.clone().map_or_else(|| places.socket.clone(), Ok)?;
            if config.daemon.http_socket.as_ref() == Some(&path) {
                return Err(StartError::Refused {
                    message: format!("http_socket of [daemon] is the native socket, {}", path.display()),
                    hint: Some("give it a path of its own".into()),
                });
            }
            bind(&path, places, lock)?
        }
    };
    let http = match (http, &config.daemon.http_socket) {
        (Some(passed), _) => Some(passed),
        (None, Some(path)) => Some(bind(path, places, lock)?),
        (None, None) => None,
    };
    Ok(Sockets { native, http, is_passed })
}

fn bind(path: &Path, places: &Places, lock: &StateLock) -> Result<Listener, StartError> {
    let (directory_mode, mode) = if places.system { (0o755, 0o666) } else { (0o700, 0o600) };
    if let Some(directory) = path.parent() {
        make_directory(directory, directory_mode)?;
    }
    Listener::bind(path, mode, lock)
        .map_err(|error| StartError::Refused { message: with_source(&error), hint: remedy(&error) })
}

fn remedy(error: &BindError) -> Option<String> {
    match error {
        BindError::Path(error) => error.hint(),
        BindError::NotASocket { path } | BindError::NotOurs { path, .. } => {
            Some(format!("move {} away, or name another socket in [daemon]", path.display()))
        }
        BindError::InUse { .. } => Some("stop the other one, or name another socket in [daemon]".into()),
        _ => None,
    }
}

/// Makes a directory with this mode, whatever the umask; one that is there is left as it is.
fn make_directory(path: &Path, mode: u32) -> Result<(), StartError> {
    let failed = |source| StartError::Io { what: format!("{} can't be made", path.display()), source };
    if let Some(parent) = path.parent() {
        DirBuilder::new().recursive(true).mode(mode).create(parent).map_err(failed)?;
    }
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

/// Looks the names in the rules up before the first caller comes, but does not wait for a directory service for ever:
/// rules in numbers, the daemon's own user and root count at once, the others when their names are known.
fn resolve_names(
    runtime: &EventLoopRuntime,
    mut event_loop: EventLoop<Reqwest>,
    shared: &Arc<Shared>,
    own_uid: u32,
) -> EventLoop<Reqwest> {
    let config = shared.config.load_full();
    event_loop.warn_of_units();
    event_loop.permit(access::without_names(&config, own_uid));
    runtime.tasks.block_on(&runtime.runtime, async {
        let mut look_up = tokio::task::spawn_blocking(move || access::resolve(&config, own_uid));
        match tokio::time::timeout(access::PATIENCE, &mut look_up).await {
            Ok(Ok(resolution)) => event_loop.permit_what_is_known(resolution),
            Ok(Err(_)) => event_loop.resolve_later(),
            Err(_) => event_loop.permit_when_resolved(look_up),
        }
    });
    event_loop
}

fn current_thread() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

pub(crate) fn random<const LENGTH: usize>() -> Result<[u8; LENGTH], StartError> {
    let mut bytes = [0; LENGTH];
    // Up to 256 bytes come whole, once the system has gathered any randomness at all.
    getrandom(&mut bytes, GetRandomFlags::empty())
        .map_err(|error| StartError::Io { what: "there is no randomness".into(), source: error.into() })?;
    Ok(bytes)
}

/// An error in one line, cause included.
pub(crate) fn with_source(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Why the daemon did not start, or ended with an error.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("the configuration is refused\n{0}")]
    Configuration(Refused),
    #[error("{message}")]
    Refused { message: String, hint: Option<String> },
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    #[error("a thread panicked; its message is above")]
    Panicked,
}

impl StartError {
    pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what: what.into(), source }
    }

    pub(crate) fn hint(&self) -> Option<&str> {
        match self {
            Self::Refused { hint, .. } => hint.as_deref(),
            _ => None,
        }
    }
}

impl From<Refused> for StartError {
    fn from(refused: Refused) -> Self {
        Self::Configuration(refused)
    }
}

impl From<MissingVariable> for StartError {
    fn from(missing: MissingVariable) -> Self {
        let hint = "set it, or name socket and state_dir of [daemon] in a file given with --config FILE";
        Self::Refused { message: missing.to_string(), hint: Some(hint.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_gets_its_mode_whatever_the_umask_and_one_that_is_there_keeps_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        // The usual umask, and any stricter one, takes something off this.
        let made = dir.path().join("above/made");
        make_directory(&made, 0o777).unwrap();
        assert_eq!(mode(&made), 0o777);

        make_directory(&made, 0o700).unwrap();
        assert_eq!(mode(&made), 0o777);
    }
}
