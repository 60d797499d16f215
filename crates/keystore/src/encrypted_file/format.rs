//! The bytes of the encrypted file.
//!
//! ```text
//! magic "TKBRKEYS" | format u16 | key id [u8; 8] | index length u32 | index | nonce [u8; 12] | sealed entries
//! ```
//!
//! Numbers are little-endian. Everything before the nonce is readable and authenticated: the key id tells a
//! wrong key from damage, and the index says which clients have what, so that it can be told even when the
//! key is lost.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::error;
use serde::{Deserialize, Serialize};
use tokenbroker_secret::Secret;
use zeroize::Zeroizing;

use super::key::{Key, KeyId};
use crate::{CredentialKind, envelope, sealed};

const MAGIC: &[u8; 8] = b"TKBRKEYS";
const FORMAT: u16 = 1;

/// The stored values by their names.
pub(super) type Entries = BTreeMap<Name, Secret>;

/// Service and user. There may be very many users of the one service.
pub(super) type Name = (Arc<str>, Box<str>);

/// What the file says of itself without being decrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header<'a> {
    pub(super) key_id: KeyId,
    pub(super) index: Vec<Indexed>,
    /// The header's own bytes: what is authenticated along with the entries.
    bytes: &'a [u8],
    /// Nonce and entries.
    sealed: &'a [u8],
}

/// One line of the index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Indexed {
    pub(super) user: String,
    pub(super) kind: Option<CredentialKind>,
}

/// Why bytes are not an encrypted file that we can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("it was written by a newer tokenbroker (format {format})")]
    Newer { format: u16 },
    #[error("it is not a key store, or it was truncated")]
    Foreign,
    #[error("it was damaged or changed: it does not decrypt, though the key is the right one")]
    Damaged,
}

/// Encrypts the entries.
pub(super) fn seal(entries: &Entries, key: &Key) -> Result<Vec<u8>, error::Unspecified> {
    let mut file = header(entries, key)?;
    file.extend_from_slice(&sealed::seal(key.expose(), &file, &encode(entries)?)?);
    Ok(file)
}

fn header(entries: &Entries, key: &Key) -> Result<Vec<u8>, error::Unspecified> {
    let index: Vec<_> = entries
        .iter()
        .map(|((_, user), value)| Indexed { user: user.to_string(), kind: envelope::kind_of(value.expose()) })
        .collect();
    let index = serde_json::to_vec(&index).map_err(|_| error::Unspecified)?;
    let mut header = MAGIC.to_vec();
    header.extend_from_slice(&FORMAT.to_le_bytes());
    header.extend_from_slice(&key.id());
    put(&mut header, &index)?;
    Ok(header)
}

impl<'a> Header<'a> {
    pub(super) fn parse(file: &'a [u8]) -> Result<Self, Malformed> {
        let rest = file.strip_prefix(MAGIC).ok_or(Malformed::Foreign)?;
        let (format, rest) = rest.split_first_chunk().ok_or(Malformed::Foreign)?;
        match u16::from_le_bytes(*format) {
            FORMAT => {}
            format if format > FORMAT => return Err(Malformed::Newer { format }),
            _ => return Err(Malformed::Foreign),
        }
        let (key_id, mut rest) = rest.split_first_chunk().ok_or(Malformed::Foreign)?;
        let index = take(&mut rest).ok_or(Malformed::Foreign)?;
        let index = serde_json::from_slice(index).map_err(|_| Malformed::Damaged)?;
        let bytes = &file[..file.len() - rest.len()];
        Ok(Self { key_id: *key_id, index, bytes, sealed: rest })
    }

    /// Decrypts the entries. The key must be the one that the header names.
    pub(super) fn open(&self, key: &Key) -> Result<Entries, Malformed> {
        let opened = sealed::open(key.expose(), self.bytes, self.sealed).map_err(|_| Malformed::Damaged)?;
        decode(&opened).ok_or(Malformed::Damaged)
    }
}

fn encode(entries: &Entries) -> Result<Zeroizing<Vec<u8>>, error::Unspecified> {
    let length = |entry: (&Name, &Secret)| 12 + entry.0.0.len() + entry.0.1.len() + entry.1.len();
    let mut bytes = Zeroizing::new(Vec::with_capacity(entries.iter().map(length).sum()));
    for ((service, user), value) in entries {
        put(&mut bytes, service.as_bytes())?;
        put(&mut bytes, user.as_bytes())?;
        put(&mut bytes, value.expose())?;
    }
    Ok(bytes)
}

fn decode(mut bytes: &[u8]) -> Option<Entries> {
    let mut entries = Vec::new();
    let mut service: Arc<str> = Arc::default();
    while !bytes.is_empty() {
        let next = str::from_utf8(take(&mut bytes)?).ok()?;
        if *service != *next {
            service = next.into();
        }
        let user = str::from_utf8(take(&mut bytes)?).ok()?.into();
        entries.push(((Arc::clone(&service), user), Secret::from(take(&mut bytes)?)));
    }
    // All at once, so that the nodes of the tree are full.
    Some(entries.into_iter().collect())
}

/// Appends a field with its length in front.
fn put(bytes: &mut Vec<u8>, field: &[u8]) -> Result<(), error::Unspecified> {
    let length = u32::try_from(field.len()).map_err(|_| error::Unspecified)?;
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(field);
    Ok(())
}

/// Takes a field that [`put`] wrote off the front.
fn take<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (field, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some(field)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    fn entries() -> Entries {
        let entry =
            |user: &str, value: &str| (("tokenbroker".into(), user.into()), Secret::from(value.as_bytes()));
        Entries::from([entry("one/ab", "hunter2"), entry("two/cd", ""), entry("zwei/ef", "é")])
    }

    #[test]
    fn entries_come_out_as_they_went_in_and_are_not_readable_in_between() {
        let key = Key::for_test();
        for entries in [entries(), Entries::new()] {
            let file = seal(&entries, &key).unwrap();
            assert!(!file.windows(7).any(|bytes| bytes == b"hunter2"));
            let header = Header::parse(&file).unwrap();
            assert_eq!(header.key_id, key.id());
            assert_eq!(header.open(&key), Ok(entries));
        }
    }

    #[test]
    fn no_two_files_are_alike() {
        let key = Key::for_test();
        assert_ne!(seal(&entries(), &key).unwrap(), seal(&entries(), &key).unwrap());
    }

    #[test]
    fn s63_every_changed_byte_is_noticed() {
        let key = Key::for_test();
        let file = seal(&entries(), &key).unwrap();
        for at in 0..file.len() {
            let mut changed = file.clone();
            changed[at] ^= 1;
            let opened = Header::parse(&changed).and_then(|header| header.open(&key));
            assert!(opened.is_err(), "byte {at}");
        }
    }

    #[test]
    fn s63_every_truncation_and_a_longer_file_are_noticed() {
        let key = Key::for_test();
        let mut file = seal(&entries(), &key).unwrap();
        for length in 0..file.len() {
            let opened = Header::parse(&file[..length]).and_then(|header| header.open(&key));
            assert!(opened.is_err(), "{length} bytes");
        }
        file.push(0);
        assert_eq!(Header::parse(&file).unwrap().open(&key), Err(Malformed::Damaged));
    }

    #[test]
    fn s71_a_newer_format_is_told_from_a_foreign_file() {
        let mut file = seal(&entries(), &Key::for_test()).unwrap();
        file[8] = 2;
        assert_eq!(Header::parse(&file), Err(Malformed::Newer { format: 2 }));
        file[8] = 0;
        assert_eq!(Header::parse(&file), Err(Malformed::Foreign));
        assert_eq!(Header::parse(b"-----BEGIN"), Err(Malformed::Foreign));
    }

    #[test]
    fn s77_the_index_is_readable_without_the_key() {
        let file = seal(&entries(), &Key::for_test()).unwrap();
        let users: Vec<_> = Header::parse(&file).unwrap().index.into_iter().map(|line| line.user).collect();
        assert_eq!(users, ["one/ab", "two/cd", "zwei/ef"]);
    }

    #[test]
    fn the_head_of_the_file_stays_as_it_is() {
        let key = Key::for_test();
        let file = seal(&Entries::new(), &key).unwrap();
        assert_eq!(file[..10], *b"TKBRKEYS\x01\x00");
        assert_eq!(file[10..18], key.id());
        assert_eq!(file[18..24], *b"\x02\x00\x00\x00[]");
        assert_eq!(file.len(), 24 + 12 + 16);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(tail in prop::collection::vec(any::<u8>(), 0..200)) {
            let file = [&MAGIC[..], &FORMAT.to_le_bytes(), &tail].concat();
            if let Ok(header) = Header::parse(&file) {
                prop_assert!(header.open(&Key::for_test()).is_err());
            }
            let _ = decode(&tail);
        }
    }
}
