//! The key of the encrypted file: where it comes from, and what that is worth.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::{digest, rand};
use tokenbroker_secret::Secret;
use zeroize::Zeroizing;

use crate::Error;
use crate::private_file::{self, Readers};

/// Of AES-256, in bytes.
pub(super) const LENGTH: usize = 32;

/// Names a key without telling anything about it.
pub(super) type KeyId = [u8; 8];

/// Where the key is looked for.
#[derive(Debug, Clone)]
pub(super) struct KeyPlaces {
    /// `keystore.key` among the credentials that systemd passes, if it passes any.
    credential: Option<PathBuf>,
    file: PathBuf,
}

/// Where the key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Systemd(PathBuf),
    File(PathBuf),
}

impl Place {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Systemd(path) | Self::File(path) => path,
        }
    }
}

/// The key itself.
#[derive(Debug)]
pub(super) struct Key {
    bytes: Secret,
}

impl KeyPlaces {
    pub(super) fn new(credentials_directory: Option<&Path>, file: PathBuf) -> Self {
        Self { credential: credentials_directory.map(|directory| directory.join("keystore.key")), file }
    }

    /// A credential of systemd's comes before the key file.
    pub(super) fn place(&self) -> Place {
        match &self.credential {
            Some(path) if path.exists() => Place::Systemd(path.clone()),
            _ => Place::File(self.file.clone()),
        }
    }

    /// The key, or `None` if there is none yet.
    pub(super) fn read(&self) -> Result<Option<Key>, Error> {
        let place = self.place();
        let readers = match place {
            Place::Systemd(_) => Readers::Systemd,
            Place::File(_) => Readers::Owner,
        };
        let Some((content, _)) = private_file::read(place.path(), readers)? else { return Ok(None) };
        match Key::parse(&content) {
            Some(key) => Ok(Some(key)),
            None => Err(Error::refused(format!(
                "{} holds neither {LENGTH} bytes nor {} hexadecimal digits",
                place.path().display(),
                2 * LENGTH
            ))
            .with_hint("restore it from a backup; a new key can't decrypt what the old one encrypted")),
        }
    }

    /// Makes a key file. To be called only when there is neither a key nor anything encrypted with one.
    pub(super) fn create(&self) -> Result<Key, Error> {
        let mut bytes = Zeroizing::new([0; LENGTH]);
        rand::fill(bytes.as_mut_slice())
            .map_err(|_| Error::unavailable("the system gives no random numbers"))?;
        let key = Key { bytes: Secret::from(bytes.as_slice()) };
        private_file::replace(&self.file, key.to_text().as_bytes())?;
        Ok(key)
    }
}

impl Key {
    /// Raw bytes, or hexadecimal digits with or without a final newline.
    fn parse(content: &Secret) -> Option<Self> {
        let content = content.expose();
        if content.len() == LENGTH {
            return Some(Self { bytes: Secret::from(content) });
        }
        let digits = content.trim_ascii_end();
        if digits.len() != 2 * LENGTH {
            return None;
        }
        let mut bytes = Zeroizing::new([0; LENGTH]);
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let digit =
                |at: usize| char::from(pair[at]).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            *byte = digit(0)? << 4 | digit(1)?;
        }
        Some(Self { bytes: Secret::from(bytes.as_slice()) })
    }

    fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(2 * LENGTH + 1));
        for byte in self.bytes.expose() {
            let _ = write!(text, "{byte:02x}");
        }
        text.push('\n');
        text
    }

    pub(super) fn expose(&self) -> &[u8] {
        self.bytes.expose()
    }

    #[cfg(test)]
    pub(super) fn for_test() -> Self {
        Self { bytes: Secret::new(vec![7; LENGTH]) }
    }

    pub(super) fn id(&self) -> KeyId {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(b"tokenbroker key store key id\0");
        hash.update(self.bytes.expose());
        let mut id = KeyId::default();
        for (byte, hashed) in id.iter_mut().zip(hash.finish().as_ref()) {
            *byte = *hashed;
        }
        id
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn write(path: &Path, content: &[u8]) {
        private_file::replace(path, content).unwrap();
    }

    #[test]
    fn a_created_key_is_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let places = KeyPlaces::new(None, directory.path().join("keystore.key"));
        assert!(places.read().unwrap().is_none());
        let created = places.create().unwrap();
        let found = places.read().unwrap().unwrap();
        assert_eq!(found.expose(), created.expose());
        assert_eq!(found.id(), created.id());
        assert_ne!(places.create().unwrap().id(), created.id());
    }

    #[test]
    fn raw_bytes_and_digits_are_the_same_key() {
        let raw = Key::parse(&Secret::new((0..32).collect())).unwrap();
        let digits = raw.to_text();
        assert!(digits.starts_with("000102") && digits.ends_with("1e1f\n"));
        for text in [digits.as_str(), digits.trim_end(), &digits.to_uppercase()] {
            assert_eq!(Key::parse(&Secret::from(text.as_bytes())).unwrap().expose(), raw.expose());
        }
    }

    #[test]
    fn s77_what_is_no_key_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keystore.key");
        for content in [&b""[..], &[1; 31], &[1; 33], &[b'x'; 64]] {
            write(&path, content);
            let error = KeyPlaces::new(None, path.clone()).read().unwrap_err();
            assert!(matches!(error, Error::Refused { .. }), "{error:?}");
            assert_eq!(std::fs::read(&path).unwrap(), content);
        }
    }

    #[test]
    fn systemds_key_comes_first_and_the_key_file_stands_in_for_it() {
        let (state, credentials) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = state.path().join("keystore.key");
        write(&file, &[1; 32]);
        let places = KeyPlaces::new(Some(credentials.path()), file.clone());
        assert_eq!(places.place(), Place::File(file));
        assert_eq!(places.read().unwrap().unwrap().expose(), [1; 32]);

        let passed = credentials.path().join("keystore.key");
        std::fs::write(&passed, [2; 32]).unwrap();
        std::fs::set_permissions(&passed, Permissions::from_mode(0o400)).unwrap();
        assert_eq!(places.place(), Place::Systemd(passed));
        assert_eq!(places.read().unwrap().unwrap().expose(), [2; 32]);
    }

    #[test]
    fn s56_a_key_file_that_the_group_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keystore.key");
        write(&path, &[1; 32]);
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(KeyPlaces::new(None, path).read(), Err(Error::Refused { .. })));
    }

    #[test]
    fn s57_a_key_is_not_printed() {
        let key = Key::parse(&Secret::new(vec![0x41; 32])).unwrap();
        assert_eq!(format!("{key:?}"), "Key { bytes: [redacted] }");
    }
}
