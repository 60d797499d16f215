//! Secrets and keys as they come in: from a prompt, a pipe or a file. Never from an argument.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use tokenbroker_secret::{NotText, Secret, SecretString};
use zeroize::Zeroizing;

/// Far more than any credential has, and still within a frame of the wire.
const LONGEST: usize = 32 * 1024;

/// A client secret: from a prompt without echo, or from standard input when that is not a terminal.
pub(crate) fn secret(client: &str) -> Result<SecretString, InputError> {
    let stdin = io::stdin();
    let secret = if stdin.is_terminal() {
        let typed = rpassword::prompt_password(format!("Secret of {client}: "));
        SecretString::new(typed.map_err(|source| InputError::Terminal { source })?)
    } else {
        let piped = read(stdin.lock()).map_err(|source| InputError::Stdin { source })?;
        one_line(piped)?
    };
    if secret.is_empty() { Err(InputError::EmptySecret) } else { Ok(secret) }
}

/// A private key in PEM: from a file, or from standard input.
pub(crate) fn key(file: Option<&Path>) -> Result<Secret, InputError> {
    let pem = match file {
        Some(path) => File::open(path)
            .and_then(read)
            .map_err(|source| InputError::File { path: path.to_owned(), source })?,
        None => read(io::stdin().lock()).map_err(|source| InputError::Stdin { source })?,
    };
    if pem.is_empty() { Err(InputError::EmptyKey) } else { Ok(pem) }
}

/// Reads to the end, into memory that is wiped and never moves.
fn read(mut from: impl Read) -> io::Result<Secret> {
    let mut bytes = Zeroizing::new(vec![0; LONGEST + 1]);
    let mut filled = 0;
    while filled < bytes.len() {
        match from.read(&mut bytes[filled..]) {
            Ok(0) => return Ok(Secret::from(&bytes[..filled])),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than 32 KiB"))
}

/// The text less one newline at its end; anything else, spaces too, may well be part of the secret.
fn one_line(bytes: Secret) -> Result<SecretString, NotText> {
    let text = bytes.into_text()?;
    let all = text.expose();
    let line = all.strip_suffix('\n').map_or(all, |line| line.strip_suffix('\r').unwrap_or(line));
    Ok(SecretString::from(line))
}

/// Why there is nothing to store.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    #[error("the secret is empty")]
    EmptySecret,
    #[error("the secret can't be used")]
    NotText(#[from] NotText),
    #[error("the key is empty")]
    EmptyKey,
    #[error("can't read the secret from the terminal")]
    Terminal { source: io::Error },
    #[error("can't read standard input")]
    Stdin { source: io::Error },
    #[error("can't read {}", path.display())]
    File { path: PathBuf, source: io::Error },
}

impl InputError {
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::EmptySecret => Some("nothing was changed; type the secret at the prompt, or pipe it in"),
            Self::EmptyKey => {
                Some("pipe in an unencrypted PKCS#8 private key in PEM, or name its file with --file")
            }
            Self::NotText(_) | Self::Terminal { .. } | Self::Stdin { .. } | Self::File { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(bytes: &[u8]) -> String {
        one_line(read(bytes).unwrap()).unwrap().expose().to_owned()
    }

    #[test]
    fn one_newline_at_the_end_is_not_part_of_a_secret() {
        assert_eq!(line(b"hunter2"), "hunter2");
        assert_eq!(line(b"hunter2\n"), "hunter2");
        assert_eq!(line(b"hunter2\r\n"), "hunter2");
        assert_eq!(line(b"\n"), "");
    }

    #[test]
    fn everything_else_is() {
        assert_eq!(line(b"hunter2\n\n"), "hunter2\n");
        assert_eq!(line(b" hunter2 \n"), " hunter2 ");
        assert_eq!(line(b"hunter2\r"), "hunter2\r");
        assert_eq!(line(b"hunter2\n\r\n"), "hunter2\n");
        assert_eq!(line(b"\thunter 2\t"), "\thunter 2\t");
    }

    #[test]
    fn what_is_not_text_is_refused_without_repeating_it() {
        let refused = one_line(read(&b"hunter\xff2"[..]).unwrap()).unwrap_err();
        assert!(!refused.to_string().contains("hunter"));
    }

    #[test]
    fn the_longest_input_passes_and_one_byte_more_does_not() {
        assert_eq!(read(&vec![b'x'; LONGEST][..]).unwrap().len(), LONGEST);
        assert_eq!(read(&vec![b'x'; LONGEST + 1][..]).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert!(read(io::repeat(b'x')).is_err());
    }

    #[test]
    fn input_in_pieces_is_put_together() {
        let pieces = (&b"hun"[..]).chain(&b"ter"[..]).chain(&b"2"[..]);
        assert_eq!(read(pieces).unwrap().expose(), b"hunter2");
    }
}
