//! Why something could not be done with a credential, in operators' words.

use zeroize::Zeroize;

use crate::Needed;

/// What went wrong, by what is to be done about it. Never holds key material or a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store can't be reached now: locked, absent, no session bus, an I/O error. Later it may work.
    #[error("{why}")]
    Unavailable {
        /// What stands in the way.
        why: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// It will not be done until somebody changes something: a bad key, a file that others can read.
    #[error("{message}")]
    Refused {
        /// What is wrong.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// There is no such credential.
    #[error("{message}")]
    NotFound {
        /// What is not there.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// The configured store is not the one that holds the credentials.
    #[error("{message}")]
    WouldChange {
        /// Which store holds them, and which is configured.
        message: String,
        /// What to do about it.
        hint: String,
    },
    /// The encrypted file can't be decrypted with the key there is. Nothing was or will be overwritten.
    #[error("{message}")]
    KeyLost {
        /// What was tried.
        message: String,
        /// What to do about it.
        hint: String,
        /// What the file says it holds: what must be set again if the key does not come back.
        needed: Vec<Needed>,
    },
}

impl Error {
    /// What happened, in words.
    pub fn message(&self) -> String {
        self.to_string()
    }

    /// What to do about it, if there is something.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Unavailable { hint, .. } | Self::Refused { hint, .. } | Self::NotFound { hint, .. } => {
                hint.as_deref()
            }
            Self::WouldChange { hint, .. } | Self::KeyLost { hint, .. } => Some(hint),
        }
    }

    pub(crate) fn unavailable(why: impl Into<String>) -> Self {
        Self::Unavailable { why: why.into(), hint: None }
    }

    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::Refused { message: message.into(), hint: None }
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::NotFound { message: message.into(), hint: None }
    }

    /// The same with a remedy, for the kinds that can be without one.
    pub(crate) fn with_hint(mut self, remedy: impl Into<String>) -> Self {
        if let Self::Unavailable { hint, .. } | Self::Refused { hint, .. } | Self::NotFound { hint, .. } =
            &mut self
        {
            *hint = Some(remedy.into());
        }
        self
    }
}

/// What a store says. Our own errors pass through a store's interface unchanged; of others' only the words of
/// the platform are taken, because some carry the stored bytes.
impl From<keyring_core::Error> for Error {
    fn from(error: keyring_core::Error) -> Self {
        use keyring_core::Error as Store;
        match error {
            Store::PlatformFailure(source) | Store::NoStorageAccess(source) => {
                match source.downcast::<Self>() {
                    Ok(own) => *own,
                    Err(other) => Self::unavailable(format!("the key store failed: {other}")),
                }
            }
            Store::TooLong(_, limit) => {
                Self::refused(format!("the key store takes no more than {limit} bytes for a credential"))
            }
            Store::BadEncoding(mut bytes) | Store::BadDataFormat(mut bytes, _) => {
                bytes.zeroize();
                Self::unavailable("the key store answered with something that makes no sense")
            }
            Store::Ambiguous(_) => Self::unavailable("the key store holds the same credential twice"),
            Store::NoEntry => Self::not_found("the credential is no longer in the key store"),
            other => Self::unavailable(format!("the key store failed: {other}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s57_bytes_that_a_store_hands_back_with_an_error_are_not_repeated() {
        for error in [
            keyring_core::Error::BadEncoding(b"hunter2".to_vec()),
            keyring_core::Error::BadDataFormat(b"hunter2".to_vec(), "hunter2".into()),
        ] {
            let error = Error::from(error);
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
    }

    #[test]
    fn our_own_errors_pass_through_a_store() {
        let own = Error::refused("no").with_hint("yes");
        assert_eq!(Error::from(keyring_core::Error::PlatformFailure(Box::new(own.clone()))), own);
        assert_eq!((own.message().as_str(), own.hint()), ("no", Some("yes")));
    }
}
