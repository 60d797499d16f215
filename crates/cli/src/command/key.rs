//! `key`: key pairs in the key store, and their public halves.

use std::path::Path;

use tokenbroker_client::blocking::Broker;
use tokenbroker_client::protocol::{Command, CredentialKind, PublicKey, Response};

use super::{LONG, secret};
use crate::args::{Key, KeyFormat};
use crate::exit::Error;
use crate::input;
use crate::output::{self, words};

pub(crate) fn run(socket: Option<&Path>, command: Key) -> Result<(), Error> {
    match command {
        Key::Generate { client, alg, bits, kid } => {
            let asked =
                Command::KeyGenerate { client: client.clone(), algorithm: alg.map(Into::into), bits, kid };
            created(&client, "generated", &public_keys(&super::connect(socket)?, asked)?)
        }
        Key::Import { client, file, alg, kid } => {
            let pem = input::key(file.as_deref())?;
            let asked =
                Command::KeyImport { client: client.clone(), algorithm: alg.map(Into::into), pem, kid };
            created(&client, "imported", &public_keys(&super::connect(socket)?, asked)?)
        }
        Key::Public { client, format, kid } => {
            public(&super::connect(socket)?, client, format, kid.as_deref())
        }
        Key::List(list) => {
            secret::list(&super::connect(socket)?, &list, |stored| stored.kind == CredentialKind::PrivateKey)
        }
        Key::Retire { client, kid } => retire(&super::connect(socket)?, client, kid),
    }
}

/// Prints the new public half, and beside the output what to do with it.
fn created(client: &str, how: &str, keys: &[PublicKey]) -> Result<(), Error> {
    output::write(render(KeyFormat::Pem, keys).as_bytes())?;
    for PublicKey { kid, algorithm, .. } in keys {
        output::say(&format!("{client}: {how} key {kid} ({})", words::algorithm(*algorithm)));
    }
    output::say(&format!(
        "hint: register the public key with the authorization server, then `tokenbroker renew {client}`; \
         `tokenbroker key public {client} --format jwk` prints it as a JWK"
    ));
    Ok(())
}

fn public(broker: &Broker, client: String, format: KeyFormat, kid: Option<&str>) -> Result<(), Error> {
    let mut keys = public_keys(broker, Command::KeyPublic { client: client.clone() })?;
    keys.retain(|key| kid.is_none_or(|kid| key.kid == kid));
    if keys.is_empty() {
        return Err(Error::NoKey { client });
    }
    Ok(output::write(render(format, &keys).as_bytes())?)
}

fn retire(broker: &Broker, client: String, kid: String) -> Result<(), Error> {
    let asked = Command::KeyRetire { client: client.clone(), kid };
    secret::said(&client, "removed", &super::credentials(broker.request(asked, LONG)?)?)
}

fn public_keys(broker: &Broker, asked: Command) -> Result<Vec<PublicKey>, Error> {
    match broker.request(asked, LONG)? {
        Response::PublicKeys(keys) => Ok(keys),
        _ => Err(Error::UnexpectedReply),
    }
}

fn render(format: KeyFormat, keys: &[PublicKey]) -> String {
    match format {
        KeyFormat::Pem => keys.iter().map(|key| format!("{}\n", key.pem.trim_end())).collect(),
        KeyFormat::Jwk => keys.iter().map(|key| format!("{}\n", key.jwk)).collect(),
        KeyFormat::Jwks => {
            let keys: Vec<&str> = keys.iter().map(|key| key.jwk.as_str()).collect();
            format!("{{\"keys\":[{}]}}\n", keys.join(","))
        }
    }
}

#[cfg(test)]
mod tests {
    use tokenbroker_client::protocol::KeyAlgorithm;

    use super::*;

    fn key(kid: &str) -> PublicKey {
        PublicKey {
            kid: kid.into(),
            algorithm: KeyAlgorithm::Es256,
            pem: format!("-----BEGIN PUBLIC KEY-----\n{kid}\n-----END PUBLIC KEY-----\n"),
            jwk: format!(r#"{{"kid":"{kid}"}}"#),
        }
    }

    #[test]
    fn keys_are_pem_blocks_lines_or_a_set() {
        let keys = [key("a"), key("b")];
        assert_eq!(
            render(KeyFormat::Pem, &keys),
            "-----BEGIN PUBLIC KEY-----\na\n-----END PUBLIC KEY-----\n\
             -----BEGIN PUBLIC KEY-----\nb\n-----END PUBLIC KEY-----\n"
        );
        assert_eq!(render(KeyFormat::Jwk, &keys), "{\"kid\":\"a\"}\n{\"kid\":\"b\"}\n");
        assert_eq!(render(KeyFormat::Jwks, &keys), "{\"keys\":[{\"kid\":\"a\"},{\"kid\":\"b\"}]}\n");
    }
}
