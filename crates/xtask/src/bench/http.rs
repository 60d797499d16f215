//! HTTP over a Unix socket: the daemon's, and nginx with the same bytes.
//!
//! One raw caller is for both. It blocks, writes ready bytes and reads as many as the first response had.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use tokenbroker_testkit::Install;

use super::Settings;
use super::baseline::nginx::Nginx;
use super::figure::Figure;
use super::race::{Contender, race, timed};
use super::report::{Section, Table};
use super::site::{self, Site};
use crate::Result;

/// The most that a token may cost, in files from nginx.
const P50: f64 = 1.5;

const FIGURE: &str = "HTTP get, p50";

/// After which a server counts as hanging.
const PATIENCE: Duration = Duration::from_secs(10);

const LONGEST: usize = 16 * 1024;

pub(super) fn measure(settings: &Settings) -> Result<Section> {
    let section = Section::new("HTTP over the socket, one kept connection, everything on one CPU");
    settings.cpus.use_one()?;
    let socket = |install: &Install| install.path().join("run").join("http.sock");
    let site = Site::with(|install| format!("http_socket = {:?}\n", socket(install)))?;
    let path = format!("/v1/tokens/{}", site::client());
    let ours = HttpCaller::connect("tokenbroker, HTTP", &socket(site.install()), &path)?;
    let body = ours.body().to_owned();
    if !body.contains(site.token()) {
        return Err("the response holds no token".into());
    }
    let nginx = match Nginx::start(&path, &body) {
        Ok(nginx) => nginx,
        Err(error) => return Ok(section.figure(Figure::not_measured(FIGURE, error))),
    };
    let contenders: Vec<Box<dyn Contender>> = vec![
        Box::new(HttpCaller::connect("nginx, a file", &nginx.socket(), &path)?),
        Box::new(HttpCaller::connect("nginx, from memory", &nginx.socket(), &Nginx::in_memory(&path))?),
        Box::new(ours),
    ];
    let entries = race(contenders, settings.pace(100, 200))?;
    let ratio = entries[2].rounds.median_ratio(&entries[0].rounds);
    Ok(section
        .figure(Figure::new(FIGURE, ratio, "x nginx, a file of the same bytes").at_most(P50))
        .table(Table::new("the same bytes", &entries)))
}

/// A connection, and what is asked on it.
pub(super) struct HttpCaller {
    name: String,
    stream: UnixStream,
    request: Vec<u8>,
    response: Vec<u8>,
}

impl HttpCaller {
    pub(super) fn connect(name: &str, socket: &Path, path: &str) -> Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes();
        let mut caller = Self { name: name.into(), stream, request, response: Vec::new() };
        caller.response = caller.first()?;
        Ok(caller)
    }

    /// The first response, by what it says of its length.
    fn first(&mut self) -> Result<Vec<u8>> {
        self.stream.write_all(&self.request)?;
        let mut received = Vec::with_capacity(LONGEST);
        let mut piece = [0; LONGEST];
        loop {
            let count = self.stream.read(&mut piece)?;
            received.extend_from_slice(&piece[..count]);
            match whole(&received) {
                Some(length) if length == received.len() => return Ok(received),
                _ if count == 0 => return Err(format!("{} closed the connection", self.name).into()),
                _ => {}
            }
        }
    }

    fn body(&self) -> String {
        let text = String::from_utf8_lossy(&self.response);
        text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
    }
}

/// How long a response is whose head has come.
fn whole(received: &[u8]) -> Option<usize> {
    let head = received.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&received[..head]).ok()?.to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"))?;
    Some(head + length.trim().parse::<usize>().ok()?)
}

impl Contender for HttpCaller {
    fn name(&self) -> String {
        format!("{}, {} bytes", self.name, self.response.len())
    }

    fn round(&mut self, count: usize, nanoseconds: &mut Vec<u64>) -> Result {
        timed(count, nanoseconds, || {
            self.stream.write_all(&self.request)?;
            Ok(self.stream.read_exact(&mut self.response)?)
        })?;
        if !self.response.starts_with(b"HTTP/1.1 200 ") || whole(&self.response) != Some(self.response.len())
        {
            return Err(format!("{} answers with something else than at first", self.name).into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_ends_where_its_head_says() {
        let response = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(whole(response), Some(response.len()));
        assert_eq!(whole(&response[..20]), None);
        assert_eq!(whole(b"HTTP/1.1 204 No Content\r\n\r\n"), None);
    }
}
