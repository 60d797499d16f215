//! Credentials that systemd passes to the service (`LoadCredential=`, `LoadCredentialEncrypted=`). They are read and never
//! written: who wants another one changes what the unit loads.
//!
//! `client_NAME.secret` is a client's secret, `client_NAME.key` its private key in PEM, and `client_NAME.kid` the key ID of
//! that, if it is not the thumbprint. A directory that is loaded under the name `client` makes such names by itself.

use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::{hmac, rand};
use tokenbroker_secret::Secret;

use crate::key::{self, PrivateKey};
use crate::keystore::check_secret;
use crate::private_file::{self, Readers};
use crate::{Algorithm, CredentialKind, Current, Error, Standing, StoreKind, Stored, Usable, hex};

const PREFIX: &str = "client_";
const SECRET: &str = ".secret";
const KEY: &str = ".key";
const KID: &str = ".kid";

/// The version of what can't be used.
const UNUSABLE: &str = "unusable";

/// What makes the versions, in the state directory.
const VERSIONS_KEY: &str = "keystore.versions";

/// The directory that systemd passes.
#[derive(Debug)]
pub(crate) struct SystemdCredentials {
    directory: PathBuf,
    /// Versions are made of what is secret: nobody who sees one may test a guess with it.
    versions: Secret,
}

/// A credential in it.
pub(crate) struct Passed {
    client: String,
    version: String,
    pub(crate) content: PassedContent,
}

pub(crate) enum PassedContent {
    Secret(Secret),
    Key { pem: Secret, key: Box<PrivateKey>, kid: String },
}

impl SystemdCredentials {
    pub(crate) fn open(directory: &Path, state_dir: &Path) -> Result<Self, Error> {
        let versions = versions_key(&state_dir.join(VERSIONS_KEY))?;
        Ok(Self { directory: directory.to_owned(), versions })
    }

    /// The credential of a client, if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if there are two, or what is no credential.
    pub(crate) fn find(&self, client: &str) -> Result<Option<Passed>, Error> {
        let name = |suffix: &str| format!("{PREFIX}{client}{suffix}");
        match (self.read(&name(SECRET))?, self.read(&name(KEY))?) {
            (None, None) => Ok(None),
            (Some(secret), None) => self.secret(client, &secret).map(Some),
            (None, Some(pem)) => self.key(client, pem).map(Some),
            (Some(_), Some(_)) => Err(Error::refused(format!(
                "systemd passes two credentials for client {client}: {} and {}",
                name(SECRET),
                name(KEY)
            ))
            .with_hint("remove the one that is not meant from the unit, and restart the service")),
        }
    }

    /// The clients that have one, in no order.
    pub(crate) fn clients(&self) -> Result<Vec<String>, Error> {
        let unreadable = |error: io::Error| {
            Error::unavailable(format!("{} can't be read: {error}", self.directory.display()))
        };
        let mut clients = Vec::new();
        for entry in std::fs::read_dir(&self.directory).map_err(unreadable)? {
            let name = entry.map_err(unreadable)?.file_name();
            let name = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
            let client = name.and_then(|name| name.strip_suffix(SECRET).or_else(|| name.strip_suffix(KEY)));
            clients.extend(client.map(str::to_owned));
        }
        clients.sort();
        clients.dedup();
        Ok(clients)
    }

    /// What stands in a listing for what can't be used.
    pub(crate) fn describe_unusable(&self, client: &str) -> Stored {
        let is_key = self.directory.join(name_of(client, CredentialKind::PrivateKey)).exists();
        Stored {
            client: client.to_owned(),
            version: UNUSABLE.to_owned(),
            store: StoreKind::SystemdCredentials,
            kind: if is_key { CredentialKind::PrivateKey } else { CredentialKind::Secret },
            standing: Standing::Current,
            kid: None,
            algorithm: None,
            created: None,
            expires: None,
        }
    }

    fn secret(&self, client: &str, content: &Secret) -> Result<Passed, Error> {
        let bytes = content.expose();
        // As with `secret set`: editors and `echo` end a file with one.
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let text = Secret::from(bytes).into_text().map_err(|_| Error::refused("the secret is no text"));
        let checked = text.and_then(|text| check_secret(&text));
        checked.map_err(|error| in_words(&error, client, SECRET))?;
        let version = self.version(client, bytes);
        let content = PassedContent::Secret(Secret::from(bytes));
        Ok(Passed { client: client.to_owned(), version, content })
    }

    fn key(&self, client: &str, pem: Secret) -> Result<Passed, Error> {
        let words = |error: Error| in_words(&error, client, KEY);
        let key = PrivateKey::import_any(&pem).map_err(words)?;
        let asked = self.read(&format!("{PREFIX}{client}{KID}"))?;
        let asked = asked.as_ref().map(|kid| String::from_utf8_lossy(kid.expose().trim_ascii_end()));
        let kid = key::key_id(asked.as_deref(), &key.public()?).map_err(words)?;
        let version = self.version(client, &[pem.expose(), kid.as_bytes()].concat());
        let content = PassedContent::Key { pem, key: Box::new(key), kid };
        Ok(Passed { client: client.to_owned(), version, content })
    }

    fn read(&self, name: &str) -> Result<Option<Secret>, Error> {
        let file = private_file::read(&self.directory.join(name), Readers::Systemd)?;
        Ok(file.map(|(content, _)| content))
    }

    fn version(&self, client: &str, content: &[u8]) -> String {
        // The library's form of the key is not wiped, but soon overwritten.
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.versions.expose());
        let mut tag = hmac::Context::with_key(&key);
        tag.update(client.as_bytes());
        tag.update(b"\0");
        tag.update(content);
        hex::encode(&tag.sign().as_ref()[..8])
    }
}

impl Passed {
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    pub(crate) fn describe(&self) -> Stored {
        let (kind, kid, algorithm) = match &self.content {
            PassedContent::Secret(_) => (CredentialKind::Secret, None, None),
            PassedContent::Key { key, kid, .. } => {
                (CredentialKind::PrivateKey, Some(kid.clone()), Some(key.algorithm()))
            }
        };
        Stored {
            client: self.client.clone(),
            version: self.version.clone(),
            store: StoreKind::SystemdCredentials,
            kind,
            standing: Standing::Current,
            kid,
            algorithm,
            created: None,
            expires: None,
        }
    }

    pub(crate) fn into_usable(self) -> Result<Usable, Error> {
        let stored = self.describe();
        let version = self.version;
        let credential = match self.content {
            PassedContent::Secret(secret) => {
                let secret = secret.into_text().map_err(|_| Error::refused("the secret is no text"))?;
                Current::Secret { version, secret }
            }
            PassedContent::Key { key, kid, .. } => Current::Key { version, kid, algorithm: key.algorithm() },
        };
        Ok(Usable { stored, credential })
    }
}

/// How the credential of a client is replaced that systemd passes.
pub(crate) fn how_to_replace(client: &str, kind: CredentialKind) -> String {
    let name = name_of(client, kind);
    format!(
        "write it anew where the unit loads it from (`systemctl show --property=LoadCredential \
         --property=LoadCredentialEncrypted tokenbrokerd` tells), for example: systemd-creds encrypt --name={name} FILE \
         /etc/credstore.encrypted/{name}, then: systemctl restart tokenbrokerd"
    )
}

/// What a credential of a client is called there.
pub(crate) fn name_of(client: &str, kind: CredentialKind) -> String {
    let suffix = match kind {
        CredentialKind::Secret => SECRET,
        CredentialKind::PrivateKey => KEY,
    };
    format!("{PREFIX}{client}{suffix}")
}

fn in_words(error: &Error, client: &str, suffix: &str) -> Error {
    let refused = Error::refused(format!(
        "the credential {PREFIX}{client}{suffix} that systemd passes can't be used: {error}"
    ));
    let kind = if suffix == KEY { CredentialKind::PrivateKey } else { CredentialKind::Secret };
    refused.with_hint(how_to_replace(client, kind))
}

/// Versions have to be the same after a restart, or what was got with them would count no more.
fn versions_key(path: &Path) -> Result<Secret, Error> {
    const LENGTH: usize = 32;
    let kept = private_file::read(path, Readers::Owner)?;
    let kept = kept.filter(|(content, _)| content.expose().len() == LENGTH);
    if let Some((content, _)) = kept {
        return Ok(content);
    }
    let mut bytes = zeroize::Zeroizing::new([0; LENGTH]);
    rand::fill(bytes.as_mut_slice()).map_err(|_| Error::unavailable("the system gives no random numbers"))?;
    if let Err(error) = private_file::replace(path, bytes.as_slice()) {
        tracing::warn!(%error, "tokens that were got with systemd's credentials won't outlive the daemon");
    }
    Ok(Secret::from(bytes.as_slice()))
}

/// The algorithm is not known here: of an RSA key it can be one of several, and the client's configuration says which.
pub(crate) fn sign(passed: &Passed, algorithm: Algorithm, input: &[u8]) -> Result<Vec<u8>, Error> {
    match &passed.content {
        PassedContent::Key { pem, .. } => PrivateKey::import(algorithm, pem)
            .and_then(|key| key.sign(input))
            .map_err(|error| in_words(&error, &passed.client, KEY)),
        PassedContent::Secret(_) => Err(Error::refused(format!(
            "systemd passes a secret for {}, and a key is asked for",
            passed.client
        ))
        .with_hint(how_to_replace(&passed.client, CredentialKind::PrivateKey))),
    }
}
