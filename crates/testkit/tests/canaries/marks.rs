//! What is looked for: marks that are in every secret and token, in all the forms in which they may come out.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// In every secret. It has characters that every encoding changes.
pub(crate) const SECRET_MARK: &str = "Cn4ry+7/qZ=kV9~x2";

/// In every token. It has nothing in common with the other: what hides the one must not hide the other by chance.
pub(crate) const TOKEN_MARK: &str = "t0Ken=W3/bd~8+GmP";

/// A secret that nobody else has.
pub(crate) fn canary(kind: &str, number: usize) -> String {
    format!("{kind}.{number:04}.{SECRET_MARK}.{number:04}.{SECRET_MARK}")
}

/// Byte strings that must not be found.
pub(crate) struct Needles {
    all: Vec<Needle>,
    /// The needles that begin with these two bytes.
    by_beginning: Vec<Vec<usize>>,
}

struct Needle {
    bytes: Vec<u8>,
    form: String,
}

impl Needles {
    /// All forms of these values.
    pub(crate) fn of(values: &[&[u8]]) -> Self {
        let mut all = Vec::new();
        for value in values {
            forms(value, &mut all);
        }
        let mut by_beginning = vec![Vec::new(); 1 << 16];
        for (index, needle) in all.iter().enumerate() {
            by_beginning[beginning(&needle.bytes)].push(index);
        }
        Self { all, by_beginning }
    }

    /// The places and forms in which one is found, a few of them, with what is around it.
    pub(crate) fn find(&self, haystack: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        for at in 0..haystack.len().saturating_sub(1) {
            for index in &self.by_beginning[beginning(&haystack[at..])] {
                let needle = &self.all[*index];
                if haystack[at..].starts_with(&needle.bytes) {
                    let around = &haystack[at.saturating_sub(60)..(at + 80).min(haystack.len())];
                    let around = around.escape_ascii();
                    found.push(format!("{} at {at}: {around}", needle.form));
                    if found.len() == 5 {
                        return found;
                    }
                }
            }
        }
        found
    }
}

fn beginning(bytes: &[u8]) -> usize {
    usize::from(u16::from_be_bytes([bytes[0], bytes[1]]))
}

fn forms(value: &[u8], all: &mut Vec<Needle>) {
    let url = |lower: bool| -> Vec<u8> {
        let encode = |byte: &u8| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(*byte).to_string()
            }
            byte if lower => format!("%{byte:02x}"),
            byte => format!("%{byte:02X}"),
        };
        value.iter().map(encode).collect::<String>().into_bytes()
    };
    let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![
        ("as it is".to_owned(), value.to_vec()),
        ("URL-encoded".into(), url(false)),
        ("URL-encoded".into(), url(true)),
        ("hex".into(), hex.to_uppercase().into_bytes()),
        ("hex".into(), hex.into_bytes()),
    ];
    // As a Basic header has it: the whole URL-encoded first.
    for (what, inner) in [("base64", value.to_vec()), ("base64 of URL-encoded", url(false))] {
        for before in 0..3 {
            for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
                forms.push((what.into(), in_the_middle(engine, before, &inner)));
            }
        }
    }
    let mut seen = BTreeSet::new();
    let new = forms.into_iter().filter(|(_, bytes)| seen.insert(bytes.clone()));
    all.extend(new.map(|(form, bytes)| Needle { bytes, form }));
}

/// The letters of base64 that are the value's alone, when so many other bytes (modulo 3) are before it.
fn in_the_middle(engine: &impl Engine, before: usize, value: &[u8]) -> Vec<u8> {
    let whole = engine.encode([&vec![0; before][..], value].concat());
    let first = (before * 8).div_ceil(6);
    let last = (before + value.len()) * 8 / 6;
    whole.as_bytes()[first..last].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planted_canary_is_found_in_every_form() {
        let needles = Needles::of(&[SECRET_MARK.as_bytes(), TOKEN_MARK.as_bytes()]);
        let canary = canary("secret", 7);
        let noise = "nothing to see ".repeat(100);
        assert!(needles.find(noise.as_bytes()).is_empty());
        let encoded: String = url::form_urlencoded::byte_serialize(canary.as_bytes()).collect();
        let mut planted = vec![canary.clone(), encoded.replace("%7E", "~")];
        for before in ["", "a", "ab", "abc"] {
            let text = format!("{before}{canary}");
            planted.push(STANDARD_NO_PAD.encode(&text));
            planted.push(URL_SAFE_NO_PAD.encode(&text));
            planted.push(text.bytes().map(|byte| format!("{byte:02x}")).collect());
            planted.push(text.bytes().map(|byte| format!("{byte:02X}")).collect());
            planted.push(STANDARD_NO_PAD.encode(format!("{before}:{}", encoded.replace("%7E", "~"))));
        }
        for planted in planted {
            let found = needles.find(format!("{noise}{planted}{noise}").as_bytes());
            assert!(!found.is_empty(), "{planted} is not found");
        }
    }
}
