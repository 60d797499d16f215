//! nginx on a Unix socket, with as little to do as it can have: one process, no log, a file or a few bytes of its
//! configuration to answer with.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokenbroker_testkit::wait_for;

use crate::bench::part::Process;
use crate::{Result, peers};

const DEADLINE: Duration = Duration::from_secs(10);

/// An nginx that answers with one and the same body.
pub(crate) struct Nginx {
    directory: TempDir,
    _server: Process,
}

impl Nginx {
    /// A file has this path and this body; [`in_memory`](Self::in_memory) says where the body is without a file.
    pub(crate) fn start(path: &str, body: &str) -> Result<Self> {
        let program = peers::require("nginx")?;
        let directory = tempfile::tempdir()?;
        let at = |name: &str| directory.path().join(name);
        let file = directory.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(file.parent().unwrap_or(directory.path()))?;
        fs::write(file, body)?;
        fs::write(at("nginx.conf"), configuration(&directory, path, body))?;
        let mut command = Command::new(program);
        command
            .arg("-p")
            .arg(directory.path())
            .arg("-c")
            .arg(at("nginx.conf"))
            .arg("-e")
            .arg(at("error.log"));
        let server = Process::start(command.stdin(Stdio::null()))?;
        let nginx = Self { directory, _server: server };
        let listens = || UnixStream::connect(nginx.socket()).is_ok().then_some(());
        if wait_for(DEADLINE, listens).is_none() {
            let log = fs::read_to_string(nginx.directory.path().join("error.log")).unwrap_or_default();
            return Err(format!("nginx does not listen: {log}").into());
        }
        Ok(nginx)
    }

    /// Where the body of what is at `path` is served from the configuration, with nothing to open.
    pub(crate) fn in_memory(path: &str) -> String {
        format!("/memory{path}")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("nginx.sock")
    }
}

/// Headers are about as many as a broker sends, the file stays open between requests, and a connection lives as long as
/// its caller likes.
fn configuration(directory: &TempDir, path: &str, body: &str) -> String {
    let body = body.replace('\\', "\\\\").replace('"', "\\\"");
    format!(
        "daemon off; master_process off; pid nginx.pid;
events {{ }}
http {{
  access_log off; server_tokens off; etag off; max_ranges 0; default_type application/json;
  keepalive_requests 1000000000; keepalive_timeout 1h; open_file_cache max=10 inactive=1h; open_file_cache_valid 1h;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  server {{
    listen unix:{root}/nginx.sock;
    root {root};
    add_header Last-Modified \"\"; add_header Cache-Control no-store;
    location = {path} {{ }}
    location = {memory} {{ return 200 \"{body}\"; }}
  }}
}}
",
        root = directory.path().display(),
        memory = Nginx::in_memory(path),
    )
}
