//! What a token is good for (RFC 6749 section 3.3).

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// A set of scope tokens, never empty. Order and repetition don't matter.
///
/// It is held as requests carry it: very many clients may have one each.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(Box<str>);

impl Scope {
    /// Reads scope tokens separated by spaces.
    ///
    /// # Errors
    ///
    /// [`ScopeError`] if there is none, or one has characters it can't have.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        Self::from_tokens(text.split(' ').filter(|token| !token.is_empty()))
    }

    /// Takes scope tokens one by one.
    ///
    /// # Errors
    ///
    /// [`ScopeError`] if there is none, or one has characters it can't have; a space is one of these.
    pub fn from_tokens<T: AsRef<str>>(tokens: impl IntoIterator<Item = T>) -> Result<Self, ScopeError> {
        let tokens: Vec<T> = tokens.into_iter().collect();
        let tokens: BTreeSet<&str> = tokens.iter().map(AsRef::as_ref).collect();
        if tokens.is_empty() {
            return Err(ScopeError::Empty);
        }
        if !tokens.iter().all(|token| is_scope_token(token)) {
            return Err(ScopeError::Characters);
        }
        Ok(Self(tokens.into_iter().collect::<Vec<_>>().join(" ").into()))
    }

    /// Whether `wider` has every scope token of this one.
    pub fn is_within(&self, wider: &Self) -> bool {
        let wider: BTreeSet<&str> = wider.iter().collect();
        self.iter().all(|token| wider.contains(token))
    }

    /// The scope tokens, in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ')
    }
}

/// Prints the scope tokens in alphabetical order, with a space between them: as requests carry them.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        Self::parse(text)
    }
}

/// `scope-token = 1*( %x21 / %x23-5B / %x5D-7E )`
fn is_scope_token(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    !text.is_empty() && text.bytes().all(allowed)
}

/// Why a text is no scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScopeError {
    /// There is no scope token in it.
    #[error("a scope has at least one word")]
    Empty,
    /// A character that a scope token can't have.
    #[error("a scope has only visible ASCII characters, and neither quotes nor backslashes")]
    Characters,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(text: &str) -> Scope {
        Scope::parse(text).unwrap()
    }

    #[test]
    fn order_and_repetition_do_not_matter() {
        assert_eq!(scope("read write"), scope("write  read write "));
        assert_eq!(scope("write read").to_string(), "read write");
        assert_eq!(Scope::from_tokens(["write", "read"]), Ok(scope("read write")));
        assert_eq!(scope("b a").iter().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn one_scope_lies_within_another() {
        assert!(scope("read").is_within(&scope("read write")));
        assert!(scope("read write").is_within(&scope("write read")));
        assert!(!scope("read admin").is_within(&scope("read write")));
        assert!(!scope("Read").is_within(&scope("read")), "letter case matters");
    }

    #[test]
    fn only_the_characters_of_the_grammar_are_taken() {
        assert_eq!(scope("https://api.example/.default!#[]^~").iter().count(), 1);
        for refused in ["a\"b", "a\\b", "a\tb", "a\nb", "a\u{a0}b", "ü", "\u{7f}"] {
            assert_eq!(Scope::parse(refused), Err(ScopeError::Characters), "{refused:?}");
        }
        assert_eq!(Scope::from_tokens(["a b"]), Err(ScopeError::Characters));
        assert_eq!(Scope::from_tokens([""]), Err(ScopeError::Characters));
        assert_eq!(Scope::parse("  "), Err(ScopeError::Empty));
        assert_eq!(Scope::from_tokens::<&str>([]), Err(ScopeError::Empty));
    }
}
