//! What the engine is told of a client's credentials when it asks.

use tokenbroker_core::config::ClientName;
use tokenbroker_core::engine::{Credential, Credentials, LoadedCredential, StoredCredential};
use tokenbroker_keystore::{Current, Error, KeyStore, Live, TlsKey, Usable};

use crate::convert;

/// What a client can authenticate with: the credential in use, and the next one. For TLS they have to be keys; what is
/// none is handed on as it is, and found to be of no use.
pub(super) fn load(
    store: &mut KeyStore,
    client: &ClientName,
    for_tls: bool,
) -> Result<Option<Credentials>, Error> {
    let Some(Live { current, next }) = store.live(client.as_str())? else { return Ok(None) };
    let keys = if for_tls { store.tls_keys(client.as_str())? } else { Vec::new() };
    let loaded = |usable: Usable| loaded(client, usable, &keys);
    Ok(loaded(current).map(|current| Credentials { current, next: next.and_then(loaded) }))
}

fn loaded(
    client: &ClientName,
    Usable { stored, credential }: Usable,
    keys: &[TlsKey],
) -> Option<LoadedCredential> {
    let key = keys.iter().find(|key| key.version == stored.version);
    let credential = match (credential, key) {
        (_, Some(TlsKey { public_key, .. })) => Credential::TlsKey { public_key: public_key.clone() },
        (Current::Secret { secret, .. }, None) => Credential::Secret(secret),
        (Current::Key { kid, .. }, None) => Credential::Key { kid },
    };
    // The name is in memory once.
    let stored = StoredCredential { client: client.clone(), ..convert::stored_credential(&stored)? };
    Some(LoadedCredential { stored, credential })
}
