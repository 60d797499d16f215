//! `[daemon]` and `[keystore]`.

use std::path::PathBuf;

use super::errors::Mistake;
use super::merge::Value;
use super::table::Table;
use super::values::{absolute_path, boolean, choice, choice_but, text, whole};
use super::{Audit, CallerLimits, Daemon, KeyStore, Memory, StoreChoice, rule};

/// In bytes: Linux has room for 108 (sun_path in unix(7)), the last of them a NUL.
const MAX_SOCKET_PATH: usize = 107;

pub(super) fn read(mut table: Table<'_, '_>) -> Daemon {
    let defaults = CallerLimits::default();
    let memory =
        [("require", Some(Memory::Require)), ("prefer", Some(Memory::Prefer)), ("off", Some(Memory::Off))];
    let daemon = Daemon {
        socket: table.read("socket", socket),
        http_socket: table.read("http_socket", socket),
        state_dir: table.read("state_dir", absolute_path),
        admin: rule::of_administrators(&mut table).unwrap_or_default(),
        keep_tokens: table.read("keep_tokens", boolean).unwrap_or(true),
        audit: table.read("audit", audit).unwrap_or_default(),
        memory: table.read("memory", choice(&memory)).unwrap_or_default(),
        limits: CallerLimits {
            connections_per_uid: table
                .read("max_connections_per_uid", whole(1..=65_536))
                .unwrap_or(defaults.connections_per_uid),
            requests_per_connection: table
                .read("max_requests_per_connection", whole(1..=4_096))
                .unwrap_or(defaults.requests_per_connection),
        },
    };
    table.not_supported_yet(["sandbox"]);
    if daemon.socket.is_some() && daemon.socket == daemon.http_socket {
        let mistake = Mistake::new("is the same as `daemon.socket`, which does not speak HTTP");
        let hint = "give each a socket of its own, such as \"/run/tokenbroker/http.sock\" here";
        table.report_at("http_socket", mistake.with_hint(hint));
    }
    table.finish();
    daemon
}

pub(super) fn read_keystore(mut table: Table<'_, '_>) -> KeyStore {
    let stores = [
        ("auto", Some(StoreChoice::Auto)),
        ("os-keyring", Some(StoreChoice::OsKeyring)),
        ("systemd-credentials", Some(StoreChoice::SystemdCredentials)),
        ("encrypted-file", Some(StoreChoice::EncryptedFile)),
    ];
    let refuse = |store: &str| {
        let is_kernels = ["keyutils", "linux-keyutils", "kernel-keyutils"].contains(&store);
        let why =
            "the kernel's keyring can't be the only store: a reboot empties it, and it holds 20 kB of a user";
        let hint = "set store = \"encrypted-file\", or leave it out";
        is_kernels.then(|| Mistake::new(why).with_hint(hint))
    };
    let keystore = KeyStore {
        store: table.read("store", choice_but(&stores, refuse)).unwrap_or_default(),
        key_file: table.read("key_file", absolute_path),
    };
    table.finish();
    keystore
}

fn audit(value: Value<'_>) -> Result<Audit, Mistake> {
    match text(value)?.as_str() {
        "journal" => Ok(Audit::Journal),
        "off" => Ok(Audit::Off),
        path if path.starts_with('/') => Ok(Audit::File(path.into())),
        _ => Err(Mistake::new("expected \"journal\", \"off\" or the absolute path of a file")
            .with_hint("a file is named like \"/var/log/tokenbroker/audit.jsonl\"")),
    }
}

fn socket(value: Value<'_>) -> Result<PathBuf, Mistake> {
    let path = absolute_path(value)?;
    match path.as_os_str().len() <= MAX_SOCKET_PATH {
        true => Ok(path),
        false => Err(Mistake::new(format!("the path of a socket has at most {MAX_SOCKET_PATH} bytes"))
            .with_hint("choose a shorter one, such as \"/run/tokenbroker/broker.sock\"")),
    }
}
