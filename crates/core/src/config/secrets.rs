//! Refuses secrets that were written into the configuration, known key or not.
//!
//! Configurations are readable, backed up and checked in; the key store is the place for secrets.

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use url::Url;

use super::errors::{Mistake, Mistakes};
use super::names::{is_name, key_path};
use super::source::Place;

/// Reports every key of a file that is named like a secret, every private key, and every secret in the query of an
/// issuer's URL. What has a secret's name is taken out: nothing else is to be said about it.
pub(super) fn refuse<'s>(table: &mut DeTable<'_>, beginning: Place<'s>, mistakes: &Mistakes<'s>) {
    Search { beginning, mistakes }.table(table, &[]);
}

/// What a secret is, as far as storing it goes.
#[derive(Clone, Copy)]
enum Kind {
    Secret,
    PrivateKey,
}

/// What a key has in its name if it holds a secret.
const WORDS: [(&str, Kind); 9] = [
    ("private_key", Kind::PrivateKey),
    ("privatekey", Kind::PrivateKey),
    ("signing_key", Kind::PrivateKey),
    ("secret", Kind::Secret),
    ("password", Kind::Secret),
    ("passwd", Kind::Secret),
    ("passphrase", Kind::Secret),
    ("api_key", Kind::Secret),
    ("apikey", Kind::Secret),
];

struct Search<'a, 's> {
    beginning: Place<'s>,
    mistakes: &'a Mistakes<'s>,
}

impl Search<'_, '_> {
    fn table(&self, table: &mut DeTable<'_>, path: &[&str]) {
        let mut refused = Vec::new();
        for (key, value) in table.iter_mut() {
            let path = [path, &[key.get_ref()]].concat();
            match kind_by_name(&path) {
                Some(kind) => {
                    self.report(key.span().start, kind, &path);
                    refused.push(key.get_ref().to_string());
                }
                None => self.value(value, &path),
            }
        }
        for key in refused {
            table.remove(key.as_str());
        }
    }

    fn value(&self, value: &mut Spanned<DeValue<'_>>, path: &[&str]) {
        let offset = value.span().start;
        match value.get_mut() {
            DeValue::Table(table) => self.table(table, path),
            DeValue::Array(values) => values.iter_mut().for_each(|value| self.value(value, path)),
            DeValue::String(text) if text.contains("-----BEGIN") && text.contains("PRIVATE KEY") => {
                self.report(offset, Kind::PrivateKey, path);
            }
            DeValue::String(text) if path.first() == Some(&"issuers") => {
                if let Some(kind) = kind_in_query(text) {
                    self.report(offset, kind, path);
                }
            }
            _ => {}
        }
    }

    fn report(&self, offset: usize, kind: Kind, path: &[&str]) {
        let client = match path {
            ["clients", name, _, ..] if is_name(name) => name,
            _ => "NAME",
        };
        let (what, command) = match kind {
            Kind::Secret => ("a secret", format!("secret set {client}")),
            Kind::PrivateKey => ("a private key", format!("key import {client}")),
        };
        let mistake = Mistake::new(format!("{what} must not be in the configuration"))
            .about(&path.iter().fold(String::new(), |table, key| key_path(&table, key)));
        let hint = format!("remove it and give it to the key store: `tokenbroker {command}`");
        self.mistakes.report(self.beginning.at(offset), mistake.with_hint(hint));
    }
}

fn kind_by_name(path: &[&str]) -> Option<Kind> {
    match path {
        // Names that the configuration's author has chosen.
        ["clients" | "issuers", _] => None,
        // Any server may have a parameter called `key`.
        ["clients", _, "params", name] => secret_word(&normalised(name)),
        [.., key] => secret_name(&normalised(key)),
        [] => None,
    }
}

/// A query ends up in the logs of whatever it passes through, besides being written here.
fn kind_in_query(url: &str) -> Option<Kind> {
    let url = Url::parse(url).ok()?;
    url.query_pairs().find_map(|(name, _)| secret_word(&normalised(&name)))
}

fn normalised(key: &str) -> String {
    key.to_lowercase().replace('-', "_")
}

fn secret_name(key: &str) -> Option<Kind> {
    match key {
        "key" | "pem" | "jwk" | "jwks" => Some(Kind::PrivateKey),
        "token" | "access_token" | "bearer" => Some(Kind::Secret),
        _ => secret_word(key),
    }
}

fn secret_word(key: &str) -> Option<Kind> {
    WORDS.iter().find(|(word, _)| key.contains(word)).map(|(_, kind)| *kind)
}
