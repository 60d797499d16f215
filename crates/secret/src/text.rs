//! Secret text.
#![expect(unsafe_code, reason = "what is known to be UTF-8 is not checked again each time it is read")]

use std::fmt;

use crate::storage::{Rank, Storage};
use crate::{Secret, equal_in_constant_time};

/// Secret text, wiped when dropped.
///
/// Kept as bytes are in a [`Secret`].
#[derive(Clone, Default)]
pub struct SecretString(Storage); // always UTF-8

impl SecretString {
    /// Takes the text over. What is copied to another place is wiped where it was.
    pub fn new(text: String) -> Self {
        Self(Storage::new(text.into_bytes(), Rank::Credential))
    }

    pub(crate) fn of(storage: Storage) -> Result<Self, NotText> {
        match std::str::from_utf8(storage.bytes()) {
            Ok(_) => Ok(Self(storage)),
            Err(_) => Err(NotText),
        }
    }

    /// The same text as something that can be had anew, such as a token: it leaves the last of the locked memory to what
    /// can't.
    pub fn into_yielding(self) -> Self {
        Self(self.0.into_yielding())
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        // SAFETY: every constructor takes text or checks that it is; nothing changes the bytes of a storage afterwards.
        unsafe { std::str::from_utf8_unchecked(self.0.bytes()) }
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.expose().len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }

    /// The same text as bytes.
    pub fn into_bytes(self) -> Secret {
        Secret::of(self.0)
    }
}

impl From<&str> for SecretString {
    fn from(text: &str) -> Self {
        Self(Storage::copy(text.as_bytes(), Rank::Credential))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_prints_a_secret() {
        let text = SecretString::from("hunter2");
        for printed in [format!("{text:?}"), format!("{text:#?}")] {
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
    fn text_is_the_same_as_bytes_and_back_and_when_it_yields() {
        let text = SecretString::from("hünter2");
        assert_eq!(text.clone().into_bytes().expose(), "hünter2".as_bytes());
        assert_eq!(text.clone().into_bytes().into_text(), Ok(text.clone()));
        assert_eq!(text.clone().into_yielding(), text);
        assert_eq!(SecretString::default().expose(), "");
    }
}
