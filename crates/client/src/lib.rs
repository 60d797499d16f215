//! Current service tokens from the tokenbroker daemon.
//!
//! A program names one of the daemon's clients and gets a token that may be used now. It never sees a secret and
//! runs no token request; renewals, outages of the authorization server and restarts of the daemon are the
//! daemon's business and this crate's. Ask for every request rather than keep a token: most gets are answered from
//! memory, in less than a tenth of a microsecond.
//!
//! [`Broker`] is for tasks on a tokio runtime, [`blocking::Broker`] for everything else (then without the feature
//! `tokio`, which is on by default). Both are cheap to clone and to be kept for the life of the program.
//!
//! ```no_run
//! # #[cfg(feature = "tokio")]
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use reqwest::header::AUTHORIZATION;
//!
//! let broker = tokenbroker_client::Broker::connect().await?;
//! let http = reqwest::Client::new();
//!
//! let token = broker.token("signtext").await?;
//! let request = http.get("https://api.example.com/data").header(AUTHORIZATION, token.header());
//! println!("{}", request.send().await?.error_for_status()?.text().await?);
//! # Ok(())
//! # }
//! ```
//!
//! Without a runtime:
//!
//! ```no_run
//! let broker = tokenbroker_client::blocking::Broker::connect()?;
//! let token = broker.token("signtext")?;
//! println!("{} s left", token.expires_in().as_secs());
//! # Ok::<(), tokenbroker_client::Error>(())
//! ```
//!
//! # What is kept in memory
//!
//! A token that is asked for a second time is subscribed to: the daemon tells of every new one, of its removal, and of
//! rules that changed. From then on a get of it is neither a system call nor an allocation, in all threads and tasks that
//! share the broker. It is served from memory while three things hold: the daemon has not said otherwise, the connection on
//! which it would is there, and the token has five seconds more to live (less if it lives shorter). Otherwise the daemon
//! is asked.
//!
//! One thread for each broker listens, whatever the number of runtimes; it is called `tokenbroker`, starts with the first
//! subscription and ends when the last clone is dropped. What has not been used for an hour is let go, and so is the
//! least used of more than a thousand. [`Builder::cache`] switches all of it off. On Windows it is off: there every get
//! asks the daemon.
//!
//! A process that forks takes no threads along. Make a new broker in the child; one that was made before would share its
//! connections with the parent, and would not hear of changes.
//!
//! # When a resource refuses a token
//!
//! A token can be refused before it expires: its key was withdrawn, the server forgot it. A caller that gets 401
//! hands it in with [`Broker::rejected`](blocking::Broker::rejected), and asks the resource once more with the newer
//! one that it gets; or it says so with [`Token::rejected`], and the next get brings the newer one. However many callers do
//! so at the same time, one token request comes of it. A 403 is not the token's fault: the resource has understood it.
//!
//! With the feature `reqwest`, `reqwest::Client` does this by itself. The examples have a tower layer that does it for
//! everything that speaks `http::Request`, tonic's channels among them.
//!
//! # Whom it talks to
//!
//! The socket it was given, else the one that `TOKENBROKER_SOCKET` names, else the user's
//! (`$XDG_RUNTIME_DIR/tokenbroker/broker.sock`) if it exists, else the system's (`/run/tokenbroker/broker.sock`). The
//! server there must run as root, as this user, or as the user that `TOKENBROKER_SERVER_USER` names (by default
//! `tokenbroker`), or nothing is sent to it.
//!
//! On Windows a socket is a named pipe: the user's `\\.\pipe\tokenbroker-SID`, else the system's `\\.\pipe\tokenbroker`. It
//! must belong to the system, to administrators, to this user, or to the one that `TOKENBROKER_SERVER_USER` names (by
//! default `NT SERVICE\tokenbroker`). Whoever serves it can tell who this is, and can't act as this user.
//!
//! # Deadlines and repeats
//!
//! A get ends, one way or the other, within its [`wait`](TokenRequest::wait) (ten seconds unless given) and two
//! seconds more. When the connection breaks or the daemon is restarting, it is repeated within that time, after pauses that
//! grow and differ. A `wait` that was given also covers a daemon that can't be reached, or has no room for more
//! of this user's callers; without one that is an error at once. What changes something is never sent twice.
//!
//! Where a token was subscribed to, no get fails because the daemon is restarted: the last one that it gave is served
//! while no daemon can be asked, at the longest until it would expire on its way. Then nobody is waited for longer than a
//! second. What a daemon has taken back, or refuses when it is asked, is never served again.
//!
//! # Errors
//!
//! [`Error`] has a sentence for people, a [`hint`](Error::hint) where there is a remedy, and for programs
//! [`code`](Error::code), [`retry_after`](Error::retry_after) and [`fixed_by`](Error::fixed_by), which tells what the
//! caller has done wrong from what the operator or the authorization server has to put right.
//!
//! # Tests without a daemon
//!
//! What takes a [`TokenSource`] or a [`blocking::TokenSource`] instead of a broker can be given [`testing::Tokens`].

mod attempts;
pub mod blocking;
#[cfg(feature = "tokio")]
mod broker;
mod builder;
mod cache;
mod clock;
mod error;
mod key;
mod pool;
mod question;
mod request;
#[cfg(feature = "reqwest")]
pub mod reqwest;
mod session;
mod source;
pub mod testing;
mod token;

pub use tokenbroker_protocol as protocol;

#[cfg(feature = "tokio")]
pub use broker::Broker;
pub use builder::Builder;
pub use error::{Error, ProtocolError, Tried};
pub use request::TokenRequest;
pub use source::{TokenFuture, TokenSource};
pub use token::Token;
pub use tokenbroker_protocol::{Failure, FailureCode, Party};
