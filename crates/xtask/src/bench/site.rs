//! What is measured: a daemon with one client, whose token is there.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tokenbroker_client::protocol::hello::{CallerHello, DaemonHello};
use tokenbroker_client::protocol::{self, Command, FrameBuffer, GetToken, Reply, Request, Response};
use tokenbroker_testkit::{AuthServer, Client, Daemon, Fault, Install, configuration};

use super::TOKEN;
use crate::Result;

/// A request's length in bytes, and so that of the client's name: with an ID of 300 the frame is exactly this long.
const REQUEST: usize = 64;

const ID: u32 = 300;

/// After which a daemon counts as hanging.
const PATIENCE: Duration = Duration::from_secs(10);

/// A daemon with one warm client.
pub(crate) struct Site {
    install: Install,
    token: String,
    _daemon: Daemon,
    _server: AuthServer,
}

/// The bytes of a get on the wire: what baselines exchange, too.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    pub(crate) request: Vec<u8>,
    pub(crate) reply: usize,
}

impl Site {
    pub(crate) fn start() -> Result<Self> {
        Self::with(|_| String::new())
    }

    /// With these keys in `[daemon]`.
    pub(crate) fn with(keys: impl FnOnce(&Install) -> String) -> Result<Self> {
        let server = AuthServer::builder().lifetime(Duration::from_secs(3600)).start();
        server.register(Client::secret_basic(&client(), "s3cret"));
        server.set_fault(Fault::Edited(|reply| {
            // Another one each time, as it was, and longer.
            let issued = reply.get("access_token").and_then(Value::as_str).unwrap_or_default();
            let padded = format!("{issued:t<TOKEN$}");
            reply.insert("access_token".into(), padded.into());
        }));
        let install = Install::new();
        let issuer = configuration::issuer("local", &server);
        let client = configuration::client(&client(), "local", "client_secret_basic");
        install.config(&format!("{issuer}{client}[daemon]\n{}", keys(&install)));
        let checked = install.tokenbrokerd(["--check-config"]).run();
        if checked.code != 0 {
            return Err(checked.stderr.trim_end().into());
        }
        let daemon = install.start();
        install.cli(["secret", "set", &self::client()]).stdin("s3cret").run().success();
        let token = install.cli(["get", &self::client()]).run().success().trim_end().to_owned();
        if token.len() != TOKEN {
            return Err(format!("the token has {} bytes instead of {TOKEN}", token.len()).into());
        }
        Ok(Self { install, token, _daemon: daemon, _server: server })
    }

    /// The daemon's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.install.socket()
    }

    /// The directory of the daemon, for other sockets.
    pub(crate) fn install(&self) -> &Install {
        &self.install
    }

    /// What a get is on the wire.
    pub(crate) fn exchange(&self) -> Result<Exchange> {
        let request = protocol::encode(&get())?.expose().to_vec();
        if request.len() != REQUEST {
            return Err(format!("a request has {} bytes instead of {REQUEST}", request.len()).into());
        }
        let mut stream = self.connect()?;
        stream.write_all(&request)?;
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let payload = u32::from_le_bytes(length) as usize;
        let mut frame = length.to_vec();
        frame.resize(4 + payload, 0);
        stream.read_exact(&mut frame[4..])?;
        self.check(&frame)?;
        Ok(Exchange { request, reply: frame.len() })
    }

    /// The client's token.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// An error if a frame is not a reply with the token.
    pub(crate) fn check(&self, frame: &[u8]) -> Result {
        match protocol::decode::<Reply>(&frame[4..])? {
            Reply { id: ID, response: Response::Token(held) } if held.access_token.expose() == self.token => {
                Ok(())
            }
            _ => Err("the daemon's reply is not the token".into()),
        }
    }

    /// A connection on which hellos have been exchanged.
    pub(crate) fn connect(&self) -> Result<UnixStream> {
        connect(&self.socket())
    }
}

/// A native connection, by the protocol alone.
pub(crate) fn connect(socket: &std::path::Path) -> Result<UnixStream> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(protocol::frame(&CallerHello::OURS.to_bytes())?.expose())?;
    let mut received = FrameBuffer::default();
    loop {
        if let Some(payload) = received.next_frame()? {
            return match DaemonHello::parse(payload)?.version {
                Some(_) => Ok(stream),
                None => Err("the daemon speaks another version of the protocol".into()),
            };
        }
        match stream.read(received.space())? {
            0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            count => received.filled(count),
        }
    }
}

/// The client.
pub(crate) fn client() -> String {
    // What a request has besides the name.
    const REST: usize = 14;
    format!("bench-{}", "c".repeat(REQUEST - REST - "bench-".len()))
}

fn get() -> Request {
    Request { id: ID, command: Command::GetToken(GetToken { client: client(), ..GetToken::default() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_as_long_as_it_should_be() {
        assert_eq!(protocol::encode(&get()).unwrap().expose().len(), REQUEST);
    }
}
