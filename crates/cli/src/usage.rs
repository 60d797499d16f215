//! Help, the version, and what is wrong with the arguments.
//!
//! Where a secret or a key is what the user wants to pass on, an argument too many may be just that: it is never
//! repeated, since standard error often ends in a log.

use std::ffi::OsString;

use clap::error::{ContextKind, ErrorKind};

use crate::exit::Exit;
use crate::output;

/// Prints what clap has to say, and says how to exit.
pub(crate) fn report(said: &clap::Error, arguments: impl IntoIterator<Item = OsString>) -> Exit {
    if !said.use_stderr() {
        // A closed pipe is the reader's choice, and there is nobody left to tell of anything else.
        let _ = output::write(said.render().to_string().as_bytes());
        return Exit::Done;
    }
    output::say(explain(said, arguments).trim_end());
    Exit::Usage
}

fn explain(refused: &clap::Error, arguments: impl IntoIterator<Item = OsString>) -> String {
    match secret_hint(arguments).filter(|_| repeats_a_value(refused.kind())) {
        Some(hint) => {
            let usage =
                refused.get(ContextKind::Usage).map(|usage| format!("\n{usage}\n")).unwrap_or_default();
            format!(
                "error: unexpected argument, not repeated here since it may be a secret\nhint: {hint}\n{usage}"
            )
        }
        None => refused.render().to_string().replace("\n  tip: ", "\nhint: "),
    }
}

/// How the value is passed, if these arguments were about one that is secret.
fn secret_hint(arguments: impl IntoIterator<Item = OsString>) -> Option<&'static str> {
    arguments.into_iter().find_map(|argument| match argument.to_str() {
        Some("secret") => Some(
            "a secret is never an argument: type it at the prompt of `tokenbroker secret set CLIENT`, or pipe it in, \
             as in `tokenbroker secret set CLIENT < FILE`",
        ),
        Some("import") => Some(
            "a private key is never an argument: pipe it in, as in `tokenbroker key import CLIENT < FILE`, or name \
             its file with `--file FILE`",
        ),
        _ => None,
    })
}

/// Whether clap's message has an argument in it that fits nowhere, and so could be anything.
fn repeats_a_value(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::UnknownArgument
            | ErrorKind::InvalidSubcommand
            | ErrorKind::TooManyValues
            | ErrorKind::WrongNumberOfValues
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::Arguments;

    fn explained(words: &[&str]) -> String {
        let words: Vec<OsString> = ["tokenbroker"].iter().chain(words).map(OsString::from).collect();
        let Err(refused) = Arguments::try_parse_from(&words) else { panic!("{words:?} are fine") };
        explain(&refused, words)
    }

    #[test]
    fn a_secret_among_the_arguments_is_not_repeated_wherever_it_stands() {
        for words in [
            &["secret", "set", "signtext", "hunter2"][..],
            &["secret", "set", "signtext", "--", "hunter2"],
            &["secret", "set", "signtext", "--secret", "hunter2"],
            &["secret", "set", "signtext", "--secret=hunter2"],
            &["secret", "set", "--password", "hunter2", "signtext"],
            &["secret", "set", "signtext", "-phunter2"],
            &["secret", "set", "signtext", "--hunter2"],
            &["secret", "hunter2"],
            &["secret", "signtext", "hunter2"],
            &["--socket", "/run/x.sock", "secret", "set", "signtext", "hunter2"],
            &["secret", "list", "--json=hunter2"],
            &["secret", "set", "signtext", "--next", "hunter2"],
            &["secret", "set", "signtext", "--next=hunter2"],
            &["secret", "move", "--to", "os-keyring", "hunter2"],
        ] {
            let explained = explained(words);
            assert!(!explained.contains("hunter2"), "{words:?}: {explained}");
            assert!(explained.starts_with("error: unexpected argument"), "{words:?}: {explained}");
            assert!(explained.contains("\nhint: a secret is never an argument"), "{words:?}: {explained}");
        }
    }

    #[test]
    fn a_key_among_the_arguments_is_not_repeated() {
        let pem = "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----";
        for words in [&["key", "import", "signtext", "MIIE"][..], &["key", "import", "signtext", pem]] {
            let explained = explained(words);
            assert!(!explained.contains("MIIE"), "{explained}");
            assert!(explained.contains("\nhint: a private key is never an argument"), "{explained}");
        }
    }

    #[test]
    fn the_values_of_unknown_options_are_never_repeated() {
        for words in
            [&["--secret", "hunter2", "get", "x"][..], &["get", "x", "--secret=hunter2"], &["-phunter2"]]
        {
            assert!(!explained(words).contains("hunter2"), "{words:?}");
        }
    }

    #[test]
    fn other_mistakes_are_named_with_the_remedy() {
        let typo = explained(&["statsu"]);
        assert!(typo.contains("error: unrecognized subcommand 'statsu'"), "{typo}");
        assert!(typo.contains("\nhint: a similar subcommand exists: 'status'"), "{typo}");
        let unit = explained(&["get", "signtext", "--wait", "10"]);
        assert!(unit.contains("'10' for '--wait <DURATION>'"), "{unit}");
        assert!(unit.contains("as in 500ms, 60s, 5m or 2h"), "{unit}");
        let missing = explained(&["secret", "set"]);
        assert!(missing.contains("<CLIENT>"), "{missing}");
        let algorithm = explained(&["key", "import", "signtext", "--alg", "HS256"]);
        assert!(algorithm.contains("[possible values: RS256, RS384, RS512, PS256, PS384,"), "{algorithm}");
    }
}
