//! The least that getting tokens over HTTP can cost: requests that are written down once, kept connections, one thread for
//! each, and nobody who looks at what comes back.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::site::{SECRET, name};
use crate::Result;

/// Longer than any reply.
const LONGEST: usize = 16 * 1024;

/// Gets a token for each of so many clients, by so many connections; each sends one request after the other.
pub(super) fn get_tokens(server: SocketAddr, clients: usize, connections: usize) -> Result {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let take_turns = || {
            let mut connection = Connection::open(server).map_err(|error| error.to_string())?;
            while let Some(client) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|next| *next < clients)
            {
                connection.get_token(&name(client)).map_err(|error| error.to_string())?;
            }
            Ok(())
        };
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(take_turns)).collect();
        threads.into_iter().try_for_each(|thread| {
            let outcome: std::result::Result<(), String> =
                thread.join().unwrap_or_else(|_| Err("a thread of the load generator panicked".into()));
            Ok(outcome?)
        })
    })
}

struct Connection {
    stream: TcpStream,
    host: SocketAddr,
    received: Vec<u8>,
}

impl Connection {
    fn open(server: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, host: server, received: vec![0; LONGEST] })
    }

    fn get_token(&mut self, client: &str) -> Result {
        self.stream.write_all(&request(self.host, client))?;
        let mut length = 0;
        loop {
            let received = self.stream.read(&mut self.received[length..])?;
            if received == 0 {
                return Err("the server closed the connection, or its reply is too long".into());
            }
            length += received;
            if is_whole(&self.received[..length])? {
                return Ok(());
            }
        }
    }
}

/// What the daemon asks, in the same words.
fn request(host: SocketAddr, client: &str) -> Vec<u8> {
    let body =
        format!("grant_type=client_credentials&scope=read%20write&client_id={client}&client_secret={SECRET}");
    let head = format!(
        "POST /token HTTP/1.1\r\nhost: {host}\r\naccept: application/json\r\naccept-encoding: identity\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    (head + &body).into_bytes()
}

/// Whether a reply has come to its end. One without a token is an error.
fn is_whole(reply: &[u8]) -> Result<bool> {
    let Some(head) = reply.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(false) };
    let (head, body) = (str::from_utf8(&reply[..head])?, &reply[head + 4..]);
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(format!("the server answered {:?}", head.lines().next().unwrap_or_default()).into());
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.ok_or("the reply does not say how long it is")?.parse()?;
    Ok(body.len() >= length)
}

#[cfg(test)]
mod tests {
    use tokenbroker_testkit::{AuthServer, Client};

    use super::*;

    #[test]
    fn each_client_gets_one_token() {
        let server = AuthServer::start();
        (0..20).for_each(|number| server.register(Client::secret_post(&name(number), SECRET)));
        get_tokens(server.address(), 20, 3).unwrap();
        assert!((0..20).all(|number| server.counts(&name(number)).accepted == 1));
        assert!(get_tokens(server.address(), 21, 3).is_err(), "one is not registered");
    }
}
