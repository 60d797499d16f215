//! `application/x-www-form-urlencoded` (RFC 6749 appendix B), in the one spelling that every server reads.

use std::fmt::Write;

use tokenbroker_secret::{Secret, SecretString};

/// A form under construction.
#[derive(Default)]
pub(crate) struct Form<'a> {
    fields: Vec<(&'a str, &'a str)>,
}

impl<'a> Form<'a> {
    pub(crate) fn push(&mut self, name: &'a str, value: &'a str) {
        self.fields.push((name, value));
    }

    pub(crate) fn encode(&self) -> Secret {
        let longest = self.fields.iter().map(|(name, value)| longest(name) + longest(value) + 2).sum();
        let mut text = String::with_capacity(longest);
        for (index, (name, value)) in self.fields.iter().enumerate() {
            if index > 0 {
                text.push('&');
            }
            append(name, &mut text);
            text.push('=');
            append(value, &mut text);
        }
        SecretString::new(text).into_yielding().into_bytes()
    }
}

/// One text encoded by itself, as RFC 6749 section 2.3.1 has it for a Basic header.
pub(crate) fn encode(text: &str) -> SecretString {
    let mut encoded = String::with_capacity(longest(text));
    append(text, &mut encoded);
    SecretString::new(encoded)
}

/// Capacity for this much is asked for in advance: growing would leave pieces of a secret behind.
fn longest(text: &str) -> usize {
    3 * text.len()
}

/// A space becomes `%20` and not `+`, and unreserved characters (RFC 3986 section 2.3) stay as they are: some
/// servers read `+` literally, or compare without decoding.
fn append(text: &str, encoded: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte.into()),
            _ => write!(encoded, "%{byte:02X}").unwrap_or_default(), // writing to a String can't fail
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_of_rfc_6749_appendix_b_with_its_plus_as_20() {
        assert_eq!(encode(" %&+£€").expose(), "%20%25%26%2B%C2%A3%E2%82%AC");
    }

    #[test]
    fn unreserved_characters_stay() {
        assert_eq!(encode("AZaz09-._~").expose(), "AZaz09-._~");
        assert_eq!(encode("*!'()/:@=\r\n").expose(), "%2A%21%27%28%29%2F%3A%40%3D%0D%0A");
    }

    #[test]
    fn fields_keep_their_order_and_may_repeat() {
        let mut form = Form::default();
        assert!(form.encode().is_empty());
        for (name, value) in [("b", "1 2"), ("a", ""), ("b", "x&y=z")] {
            form.push(name, value);
        }
        assert_eq!(form.encode().expose(), b"b=1%202&a=&b=x%26y%3Dz");
    }

    proptest! {
        #[test]
        fn another_implementation_reads_back_what_was_written(
            fields in prop::collection::vec(("\\PC*", any::<String>()), 0..5),
        ) {
            let mut form = Form::default();
            for (name, value) in &fields {
                form.push(name, value);
            }
            let read: Vec<(String, String)> =
                url::form_urlencoded::parse(form.encode().expose()).into_owned().collect();
            prop_assert_eq!(read, fields);
        }
    }
}
