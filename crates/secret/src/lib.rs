//! Values that wipe themselves when dropped and never print.
//!
//! [`Secret`] holds bytes, [`SecretString`] holds text. Neither has a `Display`; their `Debug` says
//! `[redacted]`; both compare in constant time; reading one takes a call to `expose`, so that every place
//! where a secret leaves its wrapper can be found by searching for that word. This crate does no I/O.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

#[cfg(feature = "heap")]
pub mod heap;
#[cfg(feature = "bincode")]
mod wire;

/// Secret bytes, wiped when dropped.
///
/// The bytes are kept in one exactly sized allocation that never grows, so that no unwiped copy is left
/// behind by a reallocation.
#[derive(Clone, Default)]
pub struct Secret(Zeroizing<Box<[u8]>>);

impl Secret {
    /// Takes the bytes over. A vector with spare capacity is copied, and the original wiped.
    pub fn new(mut bytes: Vec<u8>) -> Self {
        if bytes.len() == bytes.capacity() {
            return Self(Zeroizing::new(bytes.into_boxed_slice()));
        }
        let exact = bytes.as_slice().into();
        bytes.zeroize();
        Self(Zeroizing::new(exact))
    }

    /// The bytes themselves.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same bytes as text.
    ///
    /// # Errors
    ///
    /// [`NotText`] if they are not valid UTF-8; it does not repeat them.
    pub fn into_text(self) -> Result<SecretString, NotText> {
        let mut bytes = self.0;
        match String::from_utf8(std::mem::take(&mut *bytes).into_vec()) {
            Ok(text) => Ok(SecretString(Zeroizing::new(text.into_boxed_str()))),
            Err(error) => {
                error.into_bytes().zeroize();
                Err(NotText)
            }
        }
    }
}

impl From<&[u8]> for Secret {
    fn from(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.into()))
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

/// Secret text, wiped when dropped.
///
/// Kept as bytes are in a [`Secret`].
#[derive(Clone, Default)]
pub struct SecretString(Zeroizing<Box<str>>);

impl SecretString {
    /// Takes the text over. A string with spare capacity is copied, and the original wiped.
    pub fn new(mut text: String) -> Self {
        if text.len() == text.capacity() {
            return Self(Zeroizing::new(text.into_boxed_str()));
        }
        let exact = text.as_str().into();
        text.zeroize();
        Self(Zeroizing::new(exact))
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same text as bytes.
    pub fn into_bytes(self) -> Secret {
        let mut text = self.0;
        Secret(Zeroizing::new(std::mem::take(&mut *text).into_boxed_bytes()))
    }
}

impl From<&str> for SecretString {
    fn from(text: &str) -> Self {
        Self(Zeroizing::new(text.into()))
    }
}

impl PartialEq for SecretString {
    fn eq(&self, other: &Self) -> bool {
        equal_in_constant_time(self.expose().as_bytes(), other.expose().as_bytes())
    }
}

impl Eq for SecretString {}

impl fmt::Debug for SecretString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Secret bytes were expected to be text, and are not valid UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotText;

impl fmt::Display for NotText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value is not valid UTF-8")
    }
}

impl std::error::Error for NotText {}

/// Takes the same time wherever the two differ; only a difference in length ends it early.
fn equal_in_constant_time(a: &[u8], b: &[u8]) -> bool {
    let difference = a.iter().zip(b).fold(0, |seen, (x, y)| seen | (x ^ y));
    a.len() == b.len() && std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_prints_a_secret() {
        let bytes = Secret::new(b"hunter2".to_vec());
        let text = SecretString::from("hunter2");
        for printed in
            [format!("{bytes:?}"), format!("{bytes:#?}"), format!("{text:?}"), format!("{text:#?}")]
        {
            assert_eq!(printed, "[redacted]");
        }
    }

    #[test]
    fn spare_capacity_does_not_become_part_of_a_secret() {
        let mut text = String::with_capacity(100);
        text.push_str("hunter2");
        let secret = SecretString::new(text);
        assert_eq!(secret.expose(), "hunter2");
        assert_eq!(secret.len(), 7);
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
