//! The arguments, as clap reads them. A secret is never one of them.

mod credentials;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

pub(crate) use self::credentials::{Certificate, Key, KeyFormat, List, Secret};
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
    /// Makes one token request, of which nothing is kept, and explains each step
    Test(Test),
    /// Says what is wrong with the set-up of this host, and what to do
    Doctor(Doctor),
    /// Who may have a client's token
    #[command(subcommand)]
    Policy(Policy),
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

#[derive(Args)]
pub(crate) struct Test {
    /// The client's name in the configuration
    pub client: String,
    /// Prints an array of objects instead of lines
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub(crate) struct Doctor {
    /// Prints an array of objects instead of lines
    #[arg(long)]
    pub json: bool,
}

#[derive(Subcommand)]
pub(crate) enum Policy {
    /// Says whether somebody may have a client's token, and of each rule why or why not
    Explain(ExplainPolicy),
}

#[derive(Args)]
pub(crate) struct ExplainPolicy {
    /// The client's name in the configuration
    pub client: String,
    #[command(flatten)]
    pub whom: Whom,
    /// Prints an object instead of lines
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Whom {
    /// Asks about a process, by the number that it has on this host
    #[arg(long)]
    pub pid: Option<u32>,
    /// Asks about a user, by name or number
    #[arg(long)]
    pub user: Option<String>,
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
