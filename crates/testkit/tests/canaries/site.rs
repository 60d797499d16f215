//! A server, a daemon that tells all it can, and clients whose secrets and tokens are marked.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use tokenbroker_testkit::{AuthServer, Client, Daemon, Fault, Install, Output, configuration, wait_until};

use crate::marks::{Needles, SECRET_MARK, TOKEN_MARK, canary};
use crate::places;

/// As many secrets, and as many tokens: a thousand.
pub(crate) const CLIENTS: usize = 500;

/// Ample: other tests use the same processors.
const DEADLINE: Duration = Duration::from_secs(120);

const METHODS: [&str; 3] = ["client_secret_basic", "client_secret_post", "client_secret_jwt"];

pub(crate) struct Site {
    pub(crate) install: Install,
    pub(crate) server: AuthServer,
    pub(crate) needles: Needles,
    /// A private key in PEM, of which the needles are a part.
    pub(crate) key: String,
    daemon: Option<Daemon>,
    clients: usize,
}

/// Tokens of the server, with their mark.
fn mark(reply: &mut Map<String, Value>) {
    if let Some(token) = reply.get("access_token").and_then(Value::as_str) {
        let marked = format!("{token}.{TOKEN_MARK}.{token}.{TOKEN_MARK}");
        reply.insert("access_token".into(), marked.into());
    }
}

/// A key for EdDSA in PEM, and what is private of it.
fn private_key(install: &Install) -> (String, Vec<u8>) {
    let pem = install.program("openssl").args(["genpkey", "-algorithm", "ed25519"]).run().success();
    let text: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(text).unwrap();
    // RFC 8410 section 7: the last 32 bytes.
    (pem, der[der.len() - 32..].to_vec())
}

impl Site {
    pub(crate) fn start(clients: usize) -> Self {
        Self::with(clients, &[])
    }

    /// With more variables in the daemon's environment.
    pub(crate) fn with(clients: usize, environment: &[(&str, &str)]) -> Self {
        let server = AuthServer::start();
        server.set_fault(Fault::Edited(mark));
        let mut install = Install::new();
        install.env("TOKENBROKER_LOG", "trace");
        for (name, value) in environment {
            install.env(name, value);
        }
        let mut text = configuration::issuer("as", &server) + "max_per_second = 0\nmax_in_flight = 64\n";
        for number in 0..clients {
            let (id, secret) = (client(number), canary("secret", number));
            let method = METHODS[number % METHODS.len()];
            server.register(match method {
                "client_secret_basic" => Client::secret_basic(&id, &secret),
                "client_secret_post" => Client::secret_post(&id, &secret),
                _ => Client::secret_jwt(&id, &secret, "HS256"),
            });
            text += &configuration::client(&id, "as", method);
            text += "scope = \"a b\"\n";
        }
        text += &configuration::client("signer", "as", "private_key_jwt");
        text += "assertion_alg = \"EdDSA\"\n";
        let (http, audit) = (install.http_socket(), install.state_dir().join("audit.json"));
        text += &format!("[daemon]\nhttp_socket = {http:?}\naudit = {audit:?}\n");
        install.config(&text);
        let daemon = Some(install.start());
        let (key, seed) = private_key(&install);
        let needles = Needles::of(&[SECRET_MARK.as_bytes(), TOKEN_MARK.as_bytes(), &seed]);
        Self { install, server, needles, key, daemon, clients }
    }

    pub(crate) fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().unwrap()
    }

    /// Ends the daemon as a service manager does, and starts the next.
    pub(crate) fn restart(&mut self) {
        assert_eq!(self.daemon.take().unwrap().terminate().code(), Some(0));
        self.daemon = Some(self.install.start());
    }

    pub(crate) fn set_secret(&self, number: usize) {
        self.try_to_set_secret(number).success();
    }

    pub(crate) fn try_to_set_secret(&self, number: usize) -> Output {
        let secret = canary("secret", number);
        self.install.cli(["secret", "set", &client(number)]).stdin(secret).run()
    }

    /// And waits for as many tokens.
    pub(crate) fn set_all_secrets(&self) {
        for number in 0..self.clients {
            self.checked(self.try_to_set_secret(number));
        }
        self.wait_until_warm(self.clients);
    }

    pub(crate) fn wait_until_warm(&self, clients: usize) {
        wait_until(DEADLINE, || {
            let status = self.install.cli(["status", "--json"]).run().success();
            let status: Vec<Value> = serde_json::from_str(&status).unwrap();
            status.iter().filter(|status| status["state"] == "warm").count() >= clients
        });
    }

    /// A command that must not show a canary, whatever comes of it.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.checked(self.install.cli(arguments).run())
    }

    pub(crate) fn checked(&self, output: Output) -> Output {
        for said in [&output.stdout, &output.stderr] {
            assert_eq!(self.needles.find(said.as_bytes()), [""; 0]);
        }
        output
    }

    /// A token, which is asked for and shown.
    pub(crate) fn get(&self, number: usize, options: &[&str]) -> String {
        let name = client(number);
        let shown = self.install.cli([&["get", &name], options].concat()).run().success();
        assert!(!self.needles.find(shown.as_bytes()).is_empty(), "the token has no mark: {shown}");
        shown
    }

    /// What the socket for HTTP answers.
    pub(crate) fn http(&self, request: &str) -> Vec<u8> {
        let mut stream = UnixStream::connect(self.install.http_socket()).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    }

    /// Whether secrets are where even root does not read them.
    pub(crate) fn has_secret_memory(&self) -> Result<(), String> {
        let maps = fs::read_to_string(format!("/proc/{}/maps", self.daemon().pid())).unwrap();
        if maps.contains("secretmem") { Ok(()) } else { Err("no memfd_secret(2) on this host".into()) }
    }

    /// A core file of the daemon as it runs, of all its memory that the kernel gives to a debugger.
    pub(crate) fn core(&self) -> Vec<u8> {
        self.core_of(self.daemon().pid())
    }

    /// The same of a process that was given a canary and keeps it.
    pub(crate) fn core_of_careless(&self) -> Vec<u8> {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", "read canary; echo got it; read more"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut shell = shell.spawn().unwrap();
        let mut stdin = shell.stdin.take().unwrap();
        writeln!(stdin, "{}", canary("secret", 0)).unwrap();
        let mut answer = [0; 7];
        shell.stdout.take().unwrap().read_exact(&mut answer).unwrap();
        let core = self.core_of(shell.id());
        drop(stdin);
        shell.wait().unwrap();
        core
    }

    fn core_of(&self, pid: u32) -> Vec<u8> {
        let file = self.install.path().join("core-on-demand");
        let dump = format!("gcore {}", file.display());
        let pid = pid.to_string();
        let all = "set use-coredump-filter off";
        let output =
            self.install.program("gdb").args(["-nx", "-batch", "-p", &pid, "-ex", all, "-ex", &dump]).run();
        let core = fs::read(&file).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        fs::remove_file(&file).unwrap();
        core
    }

    /// Nothing in what the daemon wrote, shows and logged.
    pub(crate) fn assert_clean(&self) {
        let log = self.daemon().log();
        assert!(log.contains("TRACE"), "the log tells all");
        let audited = fs::metadata(self.install.state_dir().join("audit.json")).unwrap().len();
        assert!(audited > 0, "what was handed out is on record");
        let found = [
            places::files(&self.needles, self.install.path()),
            places::command_line(&self.needles, self.daemon().pid()),
        ];
        assert_eq!(found.concat(), [""; 0]);
    }
}

pub(crate) fn client(number: usize) -> String {
    format!("c{number:04}")
}
