//! What sessions read and whom they ask: the meeting point of the two runtimes.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokenbroker_core::config::{ClientName, Config};
use tokenbroker_core::engine::{ClientStatus, Granted, Refusal, Store, StoredCredential, WaiterId};
use tokenbroker_core::narrowing::Narrowing;
use tokenbroker_core::policy::Access;
use tokenbroker_core::slots::Slots;
use tokenbroker_core::time::Moment;
use tokenbroker_ipc::own_uid;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::audit::Audit;
use crate::configuration::Files;
use crate::descriptors;
use crate::key_store::KeyStoreThread;
use crate::quotas::Quotas;
use crate::subscribers::Subscribers;

/// Everything a session needs. The event loop writes, sessions read.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Random for each start.
    pub(crate) instance: [u8; 16],
    /// The current tokens.
    pub(crate) slots: Arc<Slots>,
    /// Who may administer.
    pub(crate) admin: ArcSwap<Access>,
    /// The configuration in force.
    pub(crate) config: ArcSwap<Config>,
    /// Where the credentials are.
    pub(crate) key_store: KeyStoreThread,
    /// Whoever decides.
    pub(crate) event_loop: mpsc::UnboundedSender<Ask>,
    /// Who is told of new tokens.
    pub(crate) subscribers: Arc<Subscribers>,
    /// How much callers may take.
    pub(crate) quotas: Arc<Quotas>,
    /// Where it is written down who got what.
    pub(crate) audit: Arc<Audit>,
    /// What the daemon was started with.
    pub(crate) host: Host,
    /// Cancelled when the daemon shuts down.
    pub(crate) stopping: CancellationToken,
    last_waiter: AtomicU64,
}

impl Shared {
    pub(crate) fn new(
        instance: [u8; 16],
        slots: Arc<Slots>,
        config: Arc<Config>,
        key_store: KeyStoreThread,
        event_loop: mpsc::UnboundedSender<Ask>,
        audit: Audit,
        host: Host,
    ) -> Self {
        let quotas = Quotas::new(config.daemon.limits, descriptors::limit(), own_uid());
        Self {
            instance,
            slots,
            subscribers: Arc::default(),
            quotas,
            admin: ArcSwap::default(),
            config: ArcSwap::new(config),
            key_store,
            event_loop,
            audit: Arc::new(audit),
            host,
            stopping: CancellationToken::new(),
            last_waiter: AtomicU64::new(0),
        }
    }

    /// A name for a waiting caller, never given before.
    pub(crate) fn next_waiter(&self) -> WaiterId {
        WaiterId(self.last_waiter.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// What the daemon was started with, for those who look for what is wrong.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    /// The configuration files.
    pub(crate) files: Files,
    pub(crate) state_dir: PathBuf,
    /// Where callers look for the native socket.
    pub(crate) socket: Option<PathBuf>,
    pub(crate) http_socket: Option<PathBuf>,
    /// Whether systemd made the socket.
    pub(crate) is_passed: bool,
    /// Whether this is the host's broker, and not a user's.
    pub(crate) is_system: bool,
    pub(crate) started: Moment,
}

/// What a session asks of the event loop.
#[derive(Debug)]
pub(crate) enum Ask {
    /// A token that no slot could give at once, or a new one.
    Token {
        waiter: WaiterId,
        client: ClientName,
        want: Want,
        deadline: Moment,
        reply: oneshot::Sender<Result<Granted, Refusal>>,
    },
    /// The caller is gone, and wants no answer.
    Gone(WaiterId),
    /// How these clients are doing, and why, if they are to be explained.
    Status { clients: Vec<ClientName>, explain: bool, reply: oneshot::Sender<Vec<Report>> },
    /// Read the configuration again. The error is what the administrator reads.
    Reload { reply: oneshot::Sender<Result<(), ReloadRefused>> },
    /// A client's credentials were changed, and this is what there is now. Done when the engine knows: where nothing is left,
    /// the slot is empty.
    CredentialsChanged {
        client: ClientName,
        current: Option<StoredCredential>,
        next: Option<StoredCredential>,
        done: oneshot::Sender<()>,
    },
    /// The credentials rest in another store.
    CredentialsMoved(Store),
    /// Whether you get on with your work.
    Alive { reply: oneshot::Sender<()> },
}

/// What is asked of a token.
#[derive(Debug)]
pub(crate) enum Want {
    /// One of this token key that still lives this long.
    Current { narrowing: Narrowing, min_ttl: Duration },
    /// One that a resource may take: it refused this generation of the token key with this handle.
    Newer { handle: u64, generation: u64 },
    /// A new one.
    Renewal,
}

/// How a client is doing.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) status: ClientStatus,
    /// In words; empty where nobody asked for them.
    pub(crate) explanation: Vec<String>,
}

/// A configuration that was not taken; the old one stays.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ReloadRefused {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}
