//! Secret bytes.

use std::fmt;

use crate::storage::{Rank, Storage};
use crate::{NotText, SecretString, equal_in_constant_time};

/// Secret bytes, wiped when dropped.
///
/// The bytes are kept in one exactly sized place that never grows, so that no unwiped copy is left behind by a
/// reallocation.
#[derive(Clone, Default)]
pub struct Secret(Storage);

impl Secret {
    /// Takes the bytes over. What is copied to another place is wiped where it was.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Storage::new(bytes, Rank::Credential))
    }

    /// The same for what passes through or can be had anew, such as messages and tokens: it leaves the last of the locked
    /// memory to what is made by [`new`](Self::new).
    pub fn yielding(bytes: Vec<u8>) -> Self {
        Self(Storage::new(bytes, Rank::Yielding))
    }

    pub(crate) fn of(storage: Storage) -> Self {
        Self(storage)
    }

    /// The bytes themselves.
    pub fn expose(&self) -> &[u8] {
        self.0.bytes()
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.expose().len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }

    /// The same bytes as text.
    ///
    /// # Errors
    ///
    /// [`NotText`] if they are not valid UTF-8; it does not repeat them.
    pub fn into_text(self) -> Result<SecretString, NotText> {
        SecretString::of(self.0)
    }
}

impl From<&[u8]> for Secret {
    fn from(bytes: &[u8]) -> Self {
        Self(Storage::copy(bytes, Rank::Credential))
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        equal_in_constant_time(self.expose(), other.expose())
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_prints_a_secret() {
        let bytes = Secret::new(b"hunter2".to_vec());
        for printed in [format!("{bytes:?}"), format!("{bytes:#?}")] {
            assert_eq!(printed, "[redacted]");
        }
    }

    #[test]
    fn comparison_looks_at_every_byte_and_the_length() {
        assert_eq!(Secret::from(&b"abc"[..]), Secret::from(&b"abc"[..]));
        assert_ne!(Secret::from(&b"abc"[..]), Secret::from(&b"abd"[..]));
        assert_ne!(Secret::from(&b"abc"[..]), Secret::from(&b"ab"[..]));
        assert_ne!(Secret::from(&b""[..]), Secret::from(&b"a"[..]));
    }

    #[test]
    fn bytes_that_are_not_text_are_refused_without_repeating_them() {
        let refused = Secret::from(&[0xff, 0xfe][..]).into_text();
        assert_eq!(refused, Err(NotText));
        assert_eq!(Secret::from(&b"plain"[..]).into_text().map(|text| text.len()), Ok(5));
    }
}
