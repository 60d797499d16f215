//! `[daemon]` and `[keystore]`.

use super::table::Table;
use super::values::{absolute_path, choice};
use super::{Daemon, KeyStore, StoreChoice, rule};

pub(super) fn read(mut table: Table<'_, '_>) -> Daemon {
    let daemon = Daemon {
        socket: table.read("socket", absolute_path),
        state_dir: table.read("state_dir", absolute_path),
        admin: rule::read_all(&mut table, "admin").unwrap_or_default(),
    };
    table.not_supported_yet([
        "http_socket",
        "keep_tokens",
        "memory",
        "sandbox",
        "audit",
        "max_connections_per_uid",
        "max_requests_per_connection",
    ]);
    table.finish();
    daemon
}

pub(super) fn read_keystore(mut table: Table<'_, '_>) -> KeyStore {
    let stores = [
        ("auto", Some(StoreChoice::Auto)),
        ("os-keyring", Some(StoreChoice::OsKeyring)),
        ("encrypted-file", Some(StoreChoice::EncryptedFile)),
        ("systemd-credentials", None),
    ];
    let keystore = KeyStore {
        store: table.read("store", choice(&stores)).unwrap_or_default(),
        key_file: table.read("key_file", absolute_path),
    };
    table.finish();
    keystore
}
