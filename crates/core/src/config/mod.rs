//! The configuration: what a daemon is told to do, as types that only a valid configuration can become.
//!
//! [`parse`] takes the text of the configuration files and gives a [`Config`] or every mistake at once, each
//! with its place and what to do about it. It reads no file itself: paths are checked for their form and
//! opened by whoever uses them.
//!
//! To add a key: one line where its table is read (`daemon.rs`, `issuer.rs`, `client.rs`, `rule.rs`) and the
//! field it goes to. Which keys are known follows from what is read.

mod client;
mod daemon;
mod duration;
mod errors;
mod issuer;
mod merge;
mod names;
mod presets;
mod proxy;
mod rule;
mod secrets;
mod source;
mod table;
mod twice;
mod values;

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokenbroker_oauth as oauth;
use url::Url;

pub use self::errors::{ConfigError, ConfigErrors};
pub use self::names::nearest;
pub use self::presets::{PRESETS, Preset};
pub use self::source::Source;

use crate::certificate::{Certificate, ClientCertificates};
use crate::narrowing::Narrowing;

use self::errors::Mistakes;
use self::source::{Numbered, Place};
use self::table::Table;

/// Reads the configuration from its files, in the order in which they count. The files that it names in turn are
/// looked at through `files`, so that what is wrong with one is reported at the key that names it.
///
/// # Errors
///
/// [`ConfigErrors`] with every mistake in them. After a mistake in TOML's own grammar only such mistakes are
/// reported: what the rest means is anybody's guess.
pub fn parse(sources: &[Source], files: &dyn ReadFiles) -> Result<Config, ConfigErrors> {
    let texts = Numbered::all(sources);
    let Some(first) = texts.first() else {
        return Ok(Config::default());
    };
    let mistakes = Mistakes::default();
    let config = merge::read(&texts, &mistakes).map(|entries| {
        let mut root = Table::root(entries, Place::beginning(first), &mistakes);
        let issuers = issuer::read_all(root.table("issuers"), files);
        let config = Config {
            daemon: daemon::read(root.table("daemon")),
            keystore: daemon::read_keystore(root.table("keystore")),
            clients: client::read_all(root.table("clients"), &issuers, files),
            issuers: issuers.valid(),
        };
        root.not_supported_yet(["files"]);
        root.finish();
        config
    });
    match config {
        Some(config) if mistakes.is_empty() => Ok(config),
        _ => Err(mistakes.into_errors()),
    }
}

/// Reads the files that the configuration names. This crate opens none itself.
pub trait ReadFiles {
    /// Looks at a file with the certificates of authorities.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    fn check_ca_file(&self, path: &Path) -> Result<(), String>;

    /// Reads a file with certificates of a client.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    fn certificates(&self, path: &Path) -> Result<Vec<Arc<Certificate>>, String>;
}

/// Looks at no file: authorities count as fine, certificates as missing. For where there are no files.
#[derive(Debug, Clone, Copy)]
pub struct NoFiles;

impl ReadFiles for NoFiles {
    fn check_ca_file(&self, _: &Path) -> Result<(), String> {
        Ok(())
    }

    fn certificates(&self, _: &Path) -> Result<Vec<Arc<Certificate>>, String> {
        Err("no file is read here".into())
    }
}

/// A valid configuration. The default one is that of an empty file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    /// `[daemon]`
    pub daemon: Daemon,
    /// `[keystore]`
    pub keystore: KeyStore,
    /// `[issuers.NAME]`, by name.
    pub issuers: BTreeMap<String, Arc<Issuer>>,
    /// `[clients.NAME]`, by name.
    pub clients: BTreeMap<ClientName, Arc<Client>>,
}

impl Config {
    /// The keys that differ in `new` and take effect only when the daemon starts. Administrators are not among
    /// them: rules can change at any time.
    pub fn restart_needed(&self, new: &Self) -> Vec<&'static str> {
        let changes = [
            ("daemon.socket", self.daemon.socket != new.daemon.socket),
            ("daemon.http_socket", self.daemon.http_socket != new.daemon.http_socket),
            ("daemon.state_dir", self.daemon.state_dir != new.daemon.state_dir),
            ("daemon.memory", self.daemon.memory != new.daemon.memory),
            ("keystore.store", self.keystore.store != new.keystore.store),
            ("keystore.key_file", self.keystore.key_file != new.keystore.key_file),
        ];
        changes.into_iter().filter_map(|(key, changed)| changed.then_some(key)).collect()
    }

    /// The same, with what did not change since `before` taken from there: it is held by many, and need not be in
    /// memory twice.
    pub fn sharing(self, before: &Self) -> Self {
        let clients =
            self.clients.into_iter().map(|(name, client)| match before.clients.get_key_value(&name) {
                Some((name, old)) if *old == client => (name.clone(), Arc::clone(old)),
                _ => (name, client),
            });
        Self { clients: clients.collect(), ..self }
    }
}

/// `[daemon]`: where the daemon lives and who administers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Daemon {
    /// The socket's path; absolute. `None`: the place of the mode, system or user.
    pub socket: Option<PathBuf>,
    /// The path of the socket for HTTP; absolute, another than the one above. `None`: there is none, unless the service
    /// manager passes one.
    pub http_socket: Option<PathBuf>,
    /// The state directory; absolute. `None`: the place of the mode, system or user.
    pub state_dir: Option<PathBuf>,
    /// Administrators besides root and the daemon's own user.
    pub admin: Vec<Rule>,
    /// Whether tokens survive a restart, encrypted in the state directory.
    pub keep_tokens: bool,
    /// Where it is written down who got what.
    pub audit: Audit,
    /// Whether secrets live in locked memory.
    pub memory: Memory,
    /// What callers may take of the daemon.
    pub limits: CallerLimits,
}

/// Where it is written down who got what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Audit {
    /// The journal of systemd.
    #[default]
    Journal,
    /// A file, one JSON object a line; absolute.
    File(PathBuf),
    /// Nowhere.
    Off,
}

/// Whether secrets live in memory that is written to no disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Memory {
    /// A daemon that can't have such memory does not start.
    Require,
    /// A daemon that can't have such memory says so, and does without.
    #[default]
    Prefer,
    /// None is asked for.
    Off,
}

/// How much of the daemon callers may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallerLimits {
    /// How many connections the processes of one user may have, 1 to 65,536. What they may have under way and what is
    /// buffered for them grows with it.
    pub connections_per_uid: u32,
    /// How many requests of one connection may be under way, 1 to 4,096.
    pub requests_per_connection: u32,
}

impl Default for CallerLimits {
    fn default() -> Self {
        Self { connections_per_uid: 1024, requests_per_connection: 64 }
    }
}

impl Default for Daemon {
    fn default() -> Self {
        let limits = CallerLimits::default();
        Self {
            socket: None,
            http_socket: None,
            state_dir: None,
            admin: Vec::new(),
            keep_tokens: true,
            audit: Audit::default(),
            memory: Memory::default(),
            limits,
        }
    }
}

/// `[keystore]`: where credentials rest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyStore {
    /// Which key store holds new credentials.
    pub store: StoreChoice,
    /// The key of the encrypted file; absolute. `None`: `keystore.key` in the state directory.
    pub key_file: Option<PathBuf>,
}

/// Which key store holds new credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StoreChoice {
    /// Decided at the first write, by what the host has.
    #[default]
    Auto,
    /// The operating system's keyring.
    OsKeyring,
    /// What systemd passes to the service, and nothing else.
    SystemdCredentials,
    /// A file in the state directory, encrypted.
    EncryptedFile,
}

/// `[issuers.NAME]`: an authorization server and how to talk to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Issuer {
    /// Its name in the configuration.
    pub name: String,
    /// The preset that filled in what the configuration left open.
    pub preset: Option<&'static str>,
    /// Where token requests go, or how to find out.
    pub endpoint: EndpointSource,
    /// The `aud` of client assertions.
    pub assertion_audience: AssertionAudience,
    /// The `typ` header of client assertions.
    pub assertion_typ: String,
    /// How client ID and secret are written into a Basic header.
    pub basic_encoding: oauth::BasicEncoding,
    /// Certificates to trust instead of the host's.
    pub ca_file: Option<PathBuf>,
    /// What is between this host and the server.
    pub proxy: Proxy,
    /// Whether link-local addresses and metadata services of clouds are fine.
    pub allow_link_local: bool,
    /// How long a whole token request may take.
    pub timeout: Duration,
    /// How many token requests may be under way at once; at least 1.
    pub max_in_flight: usize,
    /// How many token requests may start in a second; 0 means any number.
    pub max_per_second: u32,
    /// When a token is renewed, as a fraction of its lifetime: 0.1 to 0.95. A [`Client`] may have its own.
    pub renew_at: f64,
    /// The lifetime of a token whose reply does not tell.
    pub default_lifetime: Duration,
    /// A longer lifetime is taken for this one.
    pub max_lifetime: Duration,
    /// Whether plain HTTP to this host is fine.
    pub plain_http: oauth::PlainHttp,
}

/// What is between this host and an authorization server. It concerns https only: what is asked by plain http is on
/// this host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Proxy {
    /// Nothing, whatever the environment says.
    #[default]
    None,
    /// What the daemon's environment says: `HTTPS_PROXY` or `ALL_PROXY`, and `NO_PROXY`.
    Environment,
    /// The proxy at this URL: http, without user information, path and query.
    Url(Url),
}

/// Where token requests go, or how to find out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointSource {
    /// By discovery, from the issuer's metadata.
    Discover(oauth::Issuer),
    /// It is named, and nothing is discovered.
    Named {
        /// The token endpoint.
        endpoint: oauth::Endpoint,
        /// The issuer identifier, if it is known: the audience of client assertions.
        issuer: Option<oauth::Issuer>,
    },
}

impl EndpointSource {
    /// The issuer identifier, if it is known.
    pub fn issuer(&self) -> Option<&oauth::Issuer> {
        match self {
            Self::Discover(issuer) => Some(issuer),
            Self::Named { issuer, .. } => issuer.as_ref(),
        }
    }
}

/// The `aud` of client assertions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AssertionAudience {
    /// The issuer identifier. For a client that sends assertions it is known to be there.
    Issuer,
    /// The token endpoint's URL.
    TokenEndpoint,
    /// Anything else the server wants to see.
    Other(String),
}

/// `[clients.NAME]`: a client at an authorization server, what is asked for it and who may have it.
#[derive(Debug, Clone, PartialEq)]
pub struct Client {
    /// Its name in the configuration, by which callers ask for it.
    pub name: ClientName,
    /// Who issues its tokens.
    pub issuer: Arc<Issuer>,
    /// The client ID at the issuer.
    pub client_id: String,
    /// How the client authenticates.
    pub auth: AuthMethod,
    /// What it shows in TLS, for the methods that take that.
    pub certificates: Option<Arc<ClientCertificates>>,
    /// The scope that is asked for; `None`: the server's default.
    pub scope: Option<oauth::Scope>,
    /// Resource indicators (RFC 8707): absolute URIs.
    pub resource: Vec<String>,
    /// The `audience` parameter some servers know.
    pub audience: Option<String>,
    /// Further parameters of the token request. None of them is one that the broker sends itself.
    pub params: BTreeMap<String, String>,
    /// When a token is renewed, as a fraction of its lifetime: the client's own or the issuer's.
    pub renew_at: f64,
    /// Who may have the token; empty: root and the daemon's own user.
    pub allow: Vec<Rule>,
}

/// How a client authenticates, by the IANA names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMethod {
    /// `client_secret_basic`: a secret in a Basic header.
    ClientSecretBasic,
    /// `client_secret_post`: a secret in the body.
    ClientSecretPost,
    /// `client_secret_jwt`: an assertion authenticated with a secret, which is not sent itself.
    ClientSecretJwt {
        /// The algorithm of the message authentication code.
        algorithm: oauth::MacAlgorithm,
    },
    /// `private_key_jwt`: an assertion signed with the client's private key.
    PrivateKeyJwt {
        /// The algorithm of the signature.
        algorithm: oauth::Algorithm,
    },
    /// `tls_client_auth`: a certificate of an authority that the server trusts (RFC 8705 section 2.1).
    TlsClientAuth,
    /// `self_signed_tls_client_auth`: a certificate that the server was told of (RFC 8705 section 2.2).
    SelfSignedTlsClientAuth,
}

impl AuthMethod {
    /// Its name in the configuration and in the IANA registry.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::ClientSecretJwt { .. } => "client_secret_jwt",
            Self::PrivateKeyJwt { .. } => "private_key_jwt",
            Self::TlsClientAuth => "tls_client_auth",
            Self::SelfSignedTlsClientAuth => "self_signed_tls_client_auth",
        }
    }

    /// Whether what it takes is a private key, and not a secret.
    pub const fn takes_a_key(self) -> bool {
        match self {
            Self::ClientSecretBasic | Self::ClientSecretPost | Self::ClientSecretJwt { .. } => false,
            Self::PrivateKeyJwt { .. } | Self::TlsClientAuth | Self::SelfSignedTlsClientAuth => true,
        }
    }

    /// Whether the key is used in TLS, with a certificate.
    pub const fn is_tls(self) -> bool {
        matches!(self, Self::TlsClientAuth | Self::SelfSignedTlsClientAuth)
    }
}

/// The name of a client: 1 to 64 of `A-Z a-z 0-9 . _ -`, the first a letter or a digit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientName(Arc<str>);

impl ClientName {
    /// The most bytes that a name has.
    pub const LONGEST: usize = names::MAX_NAME;

    /// The name, if it is one.
    pub fn new(name: &str) -> Option<Self> {
        names::is_name(name).then(|| Self(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for ClientName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A rule about callers: all its conditions must hold, and it has at least one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Rule {
    /// The caller's user.
    pub user: Option<Principal>,
    /// One of the caller's groups, supplementary ones included.
    pub group: Option<Principal>,
    /// The systemd unit that the caller is in: one of the system's manager.
    pub unit: Option<String>,
    /// The unit of the manager of the caller's user; never without [`user`](Self::user).
    pub user_unit: Option<String>,
    /// The part of the client that is permitted. It is within what the client is configured for, and all of that is no
    /// part. As configured for administrators.
    pub part: Narrowing,
}

/// A user or a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Principal {
    /// By name; looked up when needed, since the user database may come up later than the daemon.
    Name(String),
    /// By number.
    Id(u32),
}
