//! `key`: key pairs in the key store, and their public halves.

use std::path::Path;

use tokenbroker_client::blocking::Broker;
use tokenbroker_client::protocol::{
    CertificateForm, Command, CredentialKind, PublicKey, Response, Standing, Storing,
};

use super::{LONG, secret};
use crate::args::{Certificate, Key, KeyFormat};
use crate::exit::Error;
use crate::input;
use crate::output::{self, words};

pub(crate) fn run(socket: Option<&Path>, command: Key) -> Result<(), Error> {
    match command {
        Key::Generate { client, alg, bits, kid, next } => {
            let (algorithm, storing) = (alg.map(Into::into), storing(next));
            let asked = Command::KeyGenerate { client: client.clone(), algorithm, bits, kid, storing };
            created(&client, "generated", next, &public_keys(&super::connect(socket)?, asked)?)
        }
        Key::Import { client, file, alg, kid, next } => {
            let pem = input::key(file.as_deref())?;
            let (algorithm, storing) = (alg.map(Into::into), storing(next));
            let asked = Command::KeyImport { client: client.clone(), algorithm, pem, kid, storing };
            created(&client, "imported", next, &public_keys(&super::connect(socket)?, asked)?)
        }
        Key::Public { client, format, kid } => {
            public(&super::connect(socket)?, client, format, kid.as_deref())
        }
        Key::Certificate(wanted) => certificate(&super::connect(socket)?, wanted),
        Key::List(list) => {
            secret::list(&super::connect(socket)?, &list, |stored| stored.kind == CredentialKind::PrivateKey)
        }
        Key::Retire { client, kid } => retire(&super::connect(socket)?, client, kid),
    }
}

fn storing(as_next: bool) -> Storing {
    Storing { as_next, expires: None }
}

/// Prints the new public half, and beside the output what to do with it.
fn created(client: &str, how: &str, as_next: bool, keys: &[PublicKey]) -> Result<(), Error> {
    output::write(render(KeyFormat::Pem, keys).as_bytes())?;
    for PublicKey { kid, algorithm, .. } in keys {
        output::say(&format!("{client}: {how} key {kid} ({})", words::algorithm(*algorithm)));
    }
    let is_next = as_next && keys.iter().any(|key| key.standing != Standing::Current);
    if as_next && !is_next {
        output::say(&secret::in_use_at_once(client));
    }
    let hint = match is_next {
        true => format!(
            "register the public key with the authorization server (`tokenbroker key public {client} --format jwks` \
             has both); it takes its turn with the next token request, then `tokenbroker key retire {client} --kid OLD`"
        ),
        false => format!(
            "register the public key with the authorization server, then `tokenbroker renew {client}`; \
             `tokenbroker key public {client} --format jwk` prints it as a JWK"
        ),
    };
    output::say(&format!("hint: {hint}"));
    Ok(())
}

/// Prints the certificate or the request, and beside the output what to do with it.
fn certificate(broker: &Broker, wanted: Certificate) -> Result<(), Error> {
    let Certificate { client, kid, common_name, form } = wanted;
    let form = CertificateForm::from(form);
    let asked = Command::KeyCertificate { client: client.clone(), kid, common_name, form };
    let Response::Certificate(pem) = broker.request(asked, LONG)? else {
        return Err(Error::UnexpectedReply);
    };
    output::write(format!("{}\n", pem.trim_end()).as_bytes())?;
    let file = format!("the file that `certificate` of {client} names");
    output::say(&match form {
        CertificateForm::Request => format!(
            "hint: have the authority sign it and save the certificate to {file}, then `tokenbroker reload`"
        ),
        CertificateForm::SelfSigned { .. } => format!(
            "hint: save it to {file} and register it with the authorization server, then `tokenbroker reload`"
        ),
    });
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
            standing: Standing::Current,
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
