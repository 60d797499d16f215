//! The protected resource as an application asks it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10);

/// What [`AuthServer`](crate::AuthServer)'s resource answers to this token, over plain HTTP: status and body.
///
/// # Panics
///
/// If there is no answer.
#[track_caller]
pub fn data(server: SocketAddr, token: &str) -> (u16, String) {
    let answer = get(server, token).unwrap_or_else(|error| panic!("GET /data at {server}: {error}"));
    let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP response has a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.expect("an HTTP response has a status"), body.into())
}

fn get(server: SocketAddr, token: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&server, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let request = format!(
        "GET /data HTTP/1.1\r\nHost: {server}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
