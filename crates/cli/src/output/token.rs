//! A token in the formats of `get --format`.

use std::io::{self, Write};

use zeroize::Zeroizing;

use crate::args::Format;
use crate::output::{self, json};

/// The token as whole lines, in memory that is wiped.
pub(crate) fn render(format: Format, token: &json::Token<'_>) -> io::Result<Zeroizing<Vec<u8>>> {
    let value = token.access_token;
    let mut text = Zeroizing::new(Vec::with_capacity(room(value)));
    match format {
        Format::Token => writeln!(text, "{value}")?,
        Format::Header => writeln!(text, "Authorization: Bearer {value}")?,
        Format::Json => return output::json_line(token),
        Format::Env => {
            text.extend_from_slice(b"ACCESS_TOKEN=");
            quote_for_shell(value, &mut text);
            text.push(b'\n');
        }
        Format::Curl => {
            text.extend_from_slice(b"header = \"Authorization: Bearer ");
            escape_for_curl(value, &mut text);
            text.extend_from_slice(b"\"\n");
        }
    }
    Ok(text)
}

/// What a token takes at most, in any format but JSON: what grows in place leaves no unwiped copy behind.
fn room(value: &str) -> usize {
    const AROUND: usize = 64;
    /// As many bytes as the longest escape has.
    const ESCAPED: usize = 4;
    value.len() * ESCAPED + AROUND
}

/// Single quotes keep everything but themselves as it is.
fn quote_for_shell(value: &str, text: &mut Vec<u8>) {
    text.push(b'\'');
    for byte in value.bytes() {
        match byte {
            b'\'' => text.extend_from_slice(br"'\''"),
            _ => text.push(byte),
        }
    }
    text.push(b'\'');
}

/// What a quoted parameter of curl's configuration needs.
fn escape_for_curl(value: &str, text: &mut Vec<u8>) {
    for byte in value.bytes() {
        if matches!(byte, b'"' | b'\\') {
            text.push(b'\\');
        }
        text.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    fn rendered(format: Format, access_token: &str) -> String {
        let token = json::Token {
            client: "signtext",
            access_token,
            token_type: "Bearer",
            expires_in: 3599,
            expires_at: "2026-11-23T22:00:00Z".into(),
            scope: Some("signtext_api neb_api"),
            generation: 7,
            min_ttl_met: true,
        };
        String::from_utf8(render(format, &token).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn each_format_is_exactly_one_line() {
        assert_eq!(rendered(Format::Token, "a.b-c"), "a.b-c\n");
        assert_eq!(rendered(Format::Header, "a.b-c"), "Authorization: Bearer a.b-c\n");
        assert_eq!(rendered(Format::Env, "a.b-c"), "ACCESS_TOKEN='a.b-c'\n");
        assert_eq!(rendered(Format::Curl, "a.b-c"), "header = \"Authorization: Bearer a.b-c\"\n");
        assert_eq!(
            rendered(Format::Json, "a.b-c"),
            "{\"client\":\"signtext\",\"access_token\":\"a.b-c\",\"token_type\":\"Bearer\",\"expires_in\":3599,\
             \"expires_at\":\"2026-11-23T22:00:00Z\",\"scope\":\"signtext_api neb_api\",\"generation\":7,\
             \"min_ttl_met\":true}\n"
        );
    }

    #[test]
    fn curl_reads_quotes_and_backslashes_as_they_were() {
        assert_eq!(rendered(Format::Curl, r#"a"b\c"#), "header = \"Authorization: Bearer a\\\"b\\\\c\"\n");
    }

    #[test]
    fn the_longest_escapes_fit_the_room() {
        for value in ["", "'", &"'".repeat(1_000), &"\"".repeat(1_000)] {
            for format in [Format::Token, Format::Header, Format::Env, Format::Curl] {
                assert!(rendered(format, value).len() <= room(value), "{format:?}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn a_real_shell_reads_back_what_went_in(token in "[^\\x00]{0,40}") {
            let script = format!("{}printf %s \"$ACCESS_TOKEN\"", rendered(Format::Env, &token));
            let shell = Command::new("sh").arg("-c").arg(script).output().unwrap();
            prop_assert!(shell.status.success());
            prop_assert_eq!(String::from_utf8(shell.stdout).unwrap(), token);
        }
    }
}
