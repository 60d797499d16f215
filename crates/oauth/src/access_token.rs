//! A token that is fit to be put into a header.

use tokenbroker_secret::SecretString;

use crate::Malformed;

/// An access token, checked: `Authorization: Bearer ` and these characters make one well-formed header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessToken(SecretString);

impl AccessToken {
    /// The longest that is taken, in bytes.
    pub const MAX_LENGTH: usize = 32 * 1024;

    /// Checks a token.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if it is empty, too long, or has a character that could end or split a header field.
    pub fn parse(token: SecretString) -> Result<Self, Malformed> {
        match token.len() {
            0 => Err(Malformed::NoAccessToken),
            length if length > Self::MAX_LENGTH => Err(Malformed::TokenLength),
            _ if token.expose().bytes().all(is_token_character) => Ok(Self(token.into_yielding())),
            _ => Err(Malformed::TokenCharacters),
        }
    }

    /// The token itself, still wrapped.
    pub fn secret(&self) -> &SecretString {
        &self.0
    }

    /// The token itself.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// RFC 6750 section 2.1 allows letters, digits and `-._~+/=`. Salesforce issues tokens with `!`, others with `|`
/// or `:`; so whatever is visible is taken, except what delimits or quotes in header fields.
fn is_token_character(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b',' | b';')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(token: &str) -> Result<AccessToken, Malformed> {
        AccessToken::parse(token.into())
    }

    #[test]
    fn s36_characters_outside_the_headers_alphabet_are_refused() {
        for refused in
            ["a\rb", "a\nb", "a\0b", "a b", "a\tb", "a\"b", "a\\b", "a,b", "a;b", "ä", "a\u{7f}", "a\u{85}"]
        {
            assert_eq!(check(refused), Err(Malformed::TokenCharacters), "{refused:?}");
        }
    }

    #[test]
    fn tokens_of_real_servers_are_taken() {
        for token in ["mF_9.B5f-4.1JqM", "abc+/~==", "00D!AQ.x", "1|xyz", "urn:a:b"] {
            assert_eq!(check(token).map(|token| token.expose().to_owned()), Ok(token.to_owned()));
        }
    }

    #[test]
    fn length_has_its_own_error() {
        assert_eq!(check(""), Err(Malformed::NoAccessToken));
        assert!(check(&"x".repeat(AccessToken::MAX_LENGTH)).is_ok());
        assert_eq!(check(&"x".repeat(AccessToken::MAX_LENGTH + 1)), Err(Malformed::TokenLength));
    }

    #[test]
    fn a_token_does_not_print() {
        assert_eq!(format!("{:?}", check("hunter2").unwrap()), "AccessToken([redacted])");
    }

    proptest! {
        #[test]
        fn s36_what_is_taken_is_visible_ascii(token: String) {
            if let Ok(token) = check(&token) {
                prop_assert!(token.expose().bytes().all(|byte| (0x21..0x7f).contains(&byte)));
            }
        }
    }
}
