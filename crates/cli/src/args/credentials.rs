//! The arguments of `secret` and `key`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use tokenbroker_client::protocol::{CertificateForm, KeyAlgorithm, Store};

use crate::date;

#[derive(Subcommand)]
pub(crate) enum Secret {
    /// Stores a client's secret, replacing the credential it has unless --next is given
    ///
    /// The secret is read from a prompt without echo, or from standard input when that is not a terminal; one
    /// newline at its end is not part of it.
    Set {
        /// The client's name in the configuration
        client: String,
        /// Keeps the one in use until this one has got its first token; the next token request tries it
        #[arg(long)]
        next: bool,
        /// The day at whose beginning, in UTC, it expires; the broker tells in time
        #[arg(long, value_name = "YYYY-MM-DD", value_parser = date::parse)]
        expires: Option<u64>,
    },
    /// Lists the stored credentials, keys included, without what is secret in them
    List(List),
    /// Removes all credentials of a client, and its tokens
    Remove {
        /// The client's name
        client: String,
        /// Only the credential that was to take the place of the one in use
        #[arg(long)]
        next: bool,
    },
    /// Moves all credentials, keys included, to another store
    Move {
        /// Where they are to rest
        #[arg(long, value_enum, value_name = "STORE")]
        to: Destination,
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

/// The names that `store` of the configuration has for them.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Destination {
    /// The keyring of the operating system
    OsKeyring,
    /// The encrypted file in the state directory
    EncryptedFile,
    /// What systemd passes to the daemon's service
    SystemdCredentials,
}

impl From<Destination> for Store {
    fn from(destination: Destination) -> Self {
        match destination {
            Destination::OsKeyring => Self::OsKeyring,
            Destination::EncryptedFile => Self::EncryptedFile,
            Destination::SystemdCredentials => Self::SystemdCredentials,
        }
    }
}

#[derive(Subcommand)]
pub(crate) enum Key {
    /// Generates a key pair, replacing the credential the client has unless --next is given, and prints the public half
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
        #[arg(long, allow_hyphen_values = true)]
        kid: Option<String>,
        /// Keeps the one in use until this one has got its first token; the next token request tries it
        #[arg(long)]
        next: bool,
    },
    /// Stores a private key, replacing the credential the client has unless --next is given, and prints the public half
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
        #[arg(long, allow_hyphen_values = true)]
        kid: Option<String>,
        /// Keeps the one in use until this one has got its first token; the next token request tries it
        #[arg(long)]
        next: bool,
    },
    /// Prints the public halves of a client's keys
    Public {
        /// The client's name in the configuration
        client: String,
        /// How they are printed
        #[arg(long, value_enum, default_value_t = KeyFormat::Pem)]
        format: KeyFormat,
        /// Only the key with this ID
        #[arg(long, allow_hyphen_values = true)]
        kid: Option<String>,
    },
    /// Prints a certificate for a key, or a request for one
    Certificate(Certificate),
    /// Lists the stored keys
    List(List),
    /// Removes one key of a client
    Retire {
        /// The client's name in the configuration
        client: String,
        /// The ID of the key
        #[arg(long, allow_hyphen_values = true)]
        kid: String,
    },
}

#[derive(Args)]
pub(crate) struct Certificate {
    /// The client's name in the configuration
    pub client: String,
    /// The ID of the key [default: the next key, or else the one in use]
    #[arg(long, allow_hyphen_values = true)]
    pub kid: Option<String>,
    /// The common name of its subject [default: the client ID]
    #[arg(long, value_name = "NAME")]
    pub common_name: Option<String>,
    #[command(flatten)]
    pub form: Form,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Form {
    /// A certification request (PKCS#10) for an authority to sign
    #[arg(long)]
    request: bool,
    /// A certificate that the key itself signs, good for this many days
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..))]
    self_signed: Option<u32>,
}

impl From<Form> for CertificateForm {
    fn from(form: Form) -> Self {
        match form.self_signed {
            Some(days) => Self::SelfSigned { days },
            None => Self::Request,
        }
    }
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
