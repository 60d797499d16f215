//! The protected resource, as an application would ask it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::Result;

/// What it answers to who may know.
pub(crate) const DATA: &str = "This is the protected data.";

const TIMEOUT: Duration = Duration::from_secs(10);

/// `GET /data` with a token: the body of the answer, or an error for any status but 200.
pub(crate) fn get(server: SocketAddr, token: &str) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&server, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let request = format!(
        "GET /data HTTP/1.1\r\nHost: {server}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("the answer is not HTTP")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status == "200" {
        Ok(body.into())
    } else {
        Err(format!("GET /data was answered with {status}").into())
    }
}
