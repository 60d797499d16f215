//! One of many processes that get tokens, at a steady pace.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokenbroker_client::TokenRequest;
use tokenbroker_client::blocking::Broker;
use tokenbroker_testkit::{Start, Stopwatch, binary, data, work};

/// How often each process gets a token.
pub(crate) const PACE: Duration = Duration::from_millis(100);

/// Every so many tokens, one is presented to the resource.
const SAMPLE: usize = 10;

/// What such a process is to do.
#[derive(Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) means: Means,
    pub(crate) socket: PathBuf,
    pub(crate) resource: SocketAddr,
    /// Whose tokens it gets, in turn.
    pub(crate) clients: Vec<String>,
    /// The number of the client to begin with.
    pub(crate) first: usize,
    /// When it begins, so that not all ask at the same moments.
    pub(crate) offset: Duration,
    pub(crate) time: Duration,
    /// How long a get may take, without a daemon too.
    pub(crate) wait: Option<Duration>,
}

/// How it gets tokens.
#[derive(Serialize, Deserialize)]
pub(crate) enum Means {
    Library,
    CommandLine(PathBuf),
}

/// What came of it.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) gets: usize,
    pub(crate) presented: usize,
    pub(crate) failures: Vec<String>,
}

impl Means {
    pub(crate) fn command_line() -> Self {
        Self::CommandLine(binary("tokenbroker"))
    }
}

pub(crate) fn run() {
    work(|task: Task, start: Start| {
        let broker = Broker::builder().socket(&task.socket).cache(false).connect().unwrap();
        start.wait();
        thread::sleep(task.offset);
        get_tokens(&task, &broker)
    });
}

fn get_tokens(task: &Task, broker: &Broker) -> Report {
    let stopwatch = Stopwatch::start();
    let mut report = Report::default();
    while stopwatch.elapsed() < task.time {
        let client = task.clients[(task.first + report.gets) % task.clients.len()].as_str();
        let got = match &task.means {
            Means::Library => by_library(task, broker, client),
            Means::CommandLine(program) => by_command_line(task, program, client),
        };
        if let Err(failure) = got.and_then(|got| check(task, &mut report, &got)) {
            let at = stopwatch.elapsed();
            report.failures.push(format!("{client} after {at:?}: {failure}"));
        }
        report.gets += 1;
        let next = PACE * u32::try_from(report.gets).unwrap();
        thread::sleep(next.saturating_sub(stopwatch.elapsed()));
    }
    report
}

/// What is looked at of a token.
struct Got {
    token: String,
    expires_in: Duration,
}

fn by_library(task: &Task, broker: &Broker, client: &str) -> Result<Got, String> {
    let mut request = TokenRequest::new(client);
    if let Some(wait) = task.wait {
        request = request.wait(wait);
    }
    let token = broker.token_with(&request).map_err(|error| format!("{error:?}"))?;
    Ok(Got { token: token.value().into(), expires_in: token.expires_in() })
}

fn by_command_line(task: &Task, program: &Path, client: &str) -> Result<Got, String> {
    #[derive(Deserialize)]
    struct Object {
        access_token: String,
        expires_in: u64,
    }
    let mut command = Command::new(program);
    command.arg("--socket").arg(&task.socket).args(["get", client, "--json"]);
    if let Some(wait) = task.wait {
        command.args(["--wait", &format!("{}ms", wait.as_millis())]);
    }
    let output = command.output().unwrap();
    if !output.status.success() {
        return Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    let Object { access_token, expires_in } = serde_json::from_slice(&output.stdout).unwrap();
    Ok(Got { token: access_token, expires_in: Duration::from_secs(expires_in) })
}

fn check(task: &Task, report: &mut Report, got: &Got) -> Result<(), String> {
    if got.expires_in.is_zero() {
        return Err("the token has expired".into());
    }
    if report.gets.is_multiple_of(SAMPLE) {
        report.presented += 1;
        let (status, _) = data(task.resource, &got.token);
        if status != 200 {
            return Err(format!("the resource says {status} to a token with {:?} left", got.expires_in));
        }
    }
    Ok(())
}
