//! The arguments, as clap reads them. A secret is never one of them.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use tokenbroker_client::protocol::KeyAlgorithm;

use crate::duration;

const AFTER_HELP: &str = "\
The daemon is looked for at --socket, $TOKENBROKER_SOCKET, the user's socket, the system's socket.

Exit codes: 0 done; 1 other failure; 2 usage; 3 no daemon reachable; 4 denied, or no such client;
5 no token now, the daemon keeps trying; 6 blocked, somebody must act.";

/// The arguments of every command.
pub(crate) type Arguments = ArgumentsOf<Command>;

/// Current service tokens from the tokenbroker daemon, and what keeps them coming.
#[derive(Parser)]
#[command(name = "tokenbroker", version, after_help = AFTER_HELP)]
pub(crate) struct ArgumentsOf<C: Subcommand> {
    /// Where the daemon listens
    // It stands among the options of every subcommand: last.
    #[arg(long, global = true, value_name = "PATH", display_order = 900)]
    pub socket: Option<PathBuf>,
    #[command(subcommand)]
    pub command: C,
}

/// What programs run for each request, without the definitions of all other commands: these take longer than the get.
#[derive(Subcommand)]
enum OnlyGet {
    Get(Get),
}

impl From<ArgumentsOf<OnlyGet>> for Arguments {
    fn from(ArgumentsOf { socket, command: OnlyGet::Get(get) }: ArgumentsOf<OnlyGet>) -> Self {
        Self { socket, command: Command::Get(get) }
    }
}

impl Arguments {
    /// Reads this process's arguments.
    pub(crate) fn parse() -> Result<Self, clap::Error> {
        Self::read(std::env::args_os())
    }

    fn read(words: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Self, clap::Error> {
        let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
        let arguments = match ArgumentsOf::<OnlyGet>::try_parse_from(&words) {
            Ok(get) => get.into(),
            // Whatever is to be said, help too, is said of all commands.
            Err(_) => Self::try_parse_from(&words)?,
        };
        // Clap knows conflicts of options, not of their values.
        match &arguments.command {
            Command::Get(get) if get.json && get.format.is_some_and(|format| format != Format::Json) => {
                let message = "--json can't be used with another --format";
                Err(Self::command().error(ErrorKind::ArgumentConflict, message))
            }
            _ => Ok(arguments),
        }
    }
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Prints a client's current token
    Get(Get),
    /// Shows how the clients are doing, and of one client alone what happened and what happens next
    Status(Status),
    /// Renews a client's token now, whatever failed before
    Renew {
        /// The client's name in the configuration
        client: String,
    },
    /// Client secrets in the key store
    #[command(subcommand)]
    Secret(Secret),
    /// Key pairs in the key store
    #[command(subcommand)]
    Key(Key),
    /// Makes the daemon read its configuration again
    Reload,
    /// Lists the authorization servers that `preset` of an issuer can name
    Presets,
}

#[derive(Args, Debug, PartialEq, Eq)]
pub(crate) struct Get {
    /// The client's name in the configuration
    pub client: String,
    /// How the token is printed [default: token]
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// The same as --format json
    #[arg(long)]
    pub json: bool,
    /// Only these of the configured scopes, separated by spaces [default: all]
    #[arg(long)]
    pub scope: Vec<String>,
    /// Only for this one of the configured resources; may be given several times [default: all]
    #[arg(long, value_name = "URI")]
    pub resource: Vec<String>,
    /// For this audience, which is the configured one
    #[arg(long)]
    pub audience: Option<String>,
    /// How long the token should still live, such as 60s
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub min_ttl: Option<Duration>,
    /// How long to wait for a token, or for the daemon, such as 500ms [default: 10s for a token]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub wait: Option<Duration>,
}

impl Get {
    pub(crate) fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format.unwrap_or(Format::Token) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// The token and a newline
    Token,
    /// A line for an HTTP request: Authorization: Bearer ...
    Header,
    /// An object with the token and what is known of it
    Json,
    /// A line for a shell: ACCESS_TOKEN='...'
    Env,
    /// A line for curl -K -
    Curl,
}

#[derive(Args)]
pub(crate) struct Status {
    /// Only this client, explained in words
    pub client: Option<String>,
    /// Prints an array of objects instead of a table
    #[arg(long)]
    pub json: bool,
}

#[derive(Subcommand)]
pub(crate) enum Secret {
    /// Stores a client's secret, replacing the credential it has
    ///
    /// The secret is read from a prompt without echo, or from standard input when that is not a terminal; one
    /// newline at its end is not part of it.
    Set {
        /// The client's name in the configuration
        client: String,
    },
    /// Lists the stored credentials, keys included, without what is secret in them
    List(List),
    /// Removes all credentials of a client, and its tokens
    Remove {
        /// The client's name
        client: String,
    },
}

#[derive(Args)]
pub(crate) struct List {
    /// Only this client's
    pub client: Option<String>,
    /// Prints an array of objects instead of a table
    #[arg(long)]
    pub json: bool,
}

#[derive(Subcommand)]
pub(crate) enum Key {
    /// Generates a key pair, replacing the credential the client has, and prints the public half
    Generate {
        /// The client's name in the configuration
        client: String,
        /// What the key signs with [default: what the client is configured for]
        #[arg(long, value_enum, ignore_case = true)]
        alg: Option<Algorithm>,
        /// Length of an RSA key in bits: 2048, 3072 or 4096 [default: 3072]
        #[arg(long)]
        bits: Option<u32>,
        /// The key ID [default: the JWK thumbprint (RFC 7638)]
        #[arg(long)]
        kid: Option<String>,
    },
    /// Stores a private key, replacing the credential the client has, and prints the public half
    ///
    /// The key is an unencrypted private key in PEM, PKCS#8 or (for RSA) PKCS#1, read from standard input or --file.
    Import {
        /// The client's name in the configuration
        client: String,
        /// Where the key is read from
        #[arg(long, value_name = "PATH")]
        file: Option<PathBuf>,
        /// What the key signs with [default: what the client is configured for]
        #[arg(long, value_enum, ignore_case = true)]
        alg: Option<Algorithm>,
        /// The key ID [default: the JWK thumbprint (RFC 7638)]
        #[arg(long)]
        kid: Option<String>,
    },
    /// Prints the public halves of a client's keys
    Public {
        /// The client's name in the configuration
        client: String,
        /// How they are printed
        #[arg(long, value_enum, default_value_t = KeyFormat::Pem)]
        format: KeyFormat,
        /// Only the key with this ID
        #[arg(long)]
        kid: Option<String>,
    },
    /// Lists the stored keys
    List(List),
    /// Removes one key of a client
    Retire {
        /// The client's name in the configuration
        client: String,
        /// The ID of the key
        #[arg(long)]
        kid: String,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum KeyFormat {
    /// SubjectPublicKeyInfo in PEM
    Pem,
    /// A JWK (RFC 7517) on a line of its own
    Jwk,
    /// A JWK set
    Jwks,
}

/// The names of RFC 7518 and RFC 8037.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Algorithm {
    #[value(name = "RS256")]
    Rs256,
    #[value(name = "RS384")]
    Rs384,
    #[value(name = "RS512")]
    Rs512,
    #[value(name = "PS256")]
    Ps256,
    #[value(name = "PS384")]
    Ps384,
    #[value(name = "PS512")]
    Ps512,
    #[value(name = "ES256")]
    Es256,
    #[value(name = "ES384")]
    Es384,
    #[value(name = "ES512")]
    Es512,
    #[value(name = "EdDSA")]
    EdDsa,
}

impl From<Algorithm> for KeyAlgorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Rs256 => Self::Rs256,
            Algorithm::Rs384 => Self::Rs384,
            Algorithm::Rs512 => Self::Rs512,
            Algorithm::Ps256 => Self::Ps256,
            Algorithm::Ps384 => Self::Ps384,
            Algorithm::Ps512 => Self::Ps512,
            Algorithm::Es256 => Self::Es256,
            Algorithm::Es384 => Self::Es384,
            Algorithm::Es512 => Self::Es512,
            Algorithm::EdDsa => Self::EdDsa,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_get_is_the_same_among_the_other_commands_and_alone() {
        let words = [
            &["get", "signtext"][..],
            &["--socket", "/a", "get", "signtext", "--json"],
            &["get", "--socket=/a", "--scope", "a b", "--scope", "c", "--resource", "r", "signtext"],
            &[
                "get",
                "signtext",
                "--format",
                "curl",
                "--min-ttl",
                "60s",
                "--wait",
                "500ms",
                "--audience",
                "a",
            ],
        ];
        for words in words {
            let words = || ["tokenbroker"].iter().chain(words);
            let all = Arguments::try_parse_from(words()).unwrap();
            let alone = Arguments::from(ArgumentsOf::<OnlyGet>::try_parse_from(words()).unwrap());
            let (Command::Get(all_get), Command::Get(get)) = (all.command, alone.command) else {
                panic!("{:?} is a get", words().collect::<Vec<_>>())
            };
            assert_eq!((all.socket, all_get), (alone.socket, get));
        }
    }

    #[test]
    fn what_is_wrong_with_a_get_is_said_as_among_the_other_commands() {
        for words in
            [&["get"][..], &["get", "x", "--no-such"], &["gett", "x"], &["get", "--help"], &["--help"], &[]]
        {
            let words = || ["tokenbroker"].iter().chain(words);
            let (Err(said), Err(expected)) = (Arguments::read(words()), Arguments::try_parse_from(words()))
            else {
                panic!("{:?} says something", words().collect::<Vec<_>>())
            };
            assert_eq!(said.render().to_string(), expected.render().to_string());
        }
    }

    #[test]
    fn json_is_a_format_and_does_not_go_with_another() {
        let get = |words: &[&str]| {
            let words = ["tokenbroker", "get", "signtext"].iter().chain(words);
            Arguments::read(words).map(|arguments| match arguments.command {
                Command::Get(get) => get.format(),
                _ => unreachable!(),
            })
        };
        assert_eq!(get(&[]).unwrap(), Format::Token);
        assert_eq!(get(&["--json"]).unwrap(), Format::Json);
        assert_eq!(get(&["--format", "curl"]).unwrap(), Format::Curl);
        assert_eq!(get(&["--json", "--format", "json"]).unwrap(), Format::Json);
        for other in ["token", "curl"] {
            let refused = get(&["--json", "--format", other]).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ArgumentConflict, "{other}");
        }
    }
}
