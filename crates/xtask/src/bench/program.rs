//! `tokenbroker get` as a process, as scripts use it: compared with a program that does nothing.

use std::io::{PipeReader, PipeWriter, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tokenbroker_testkit::binary;

use super::Settings;
use super::figure::Figure;
use super::race::{Contender, Pace, race};
use super::report::{Section, Table};
use super::site::{self, Site};
use crate::Result;
use crate::clock::Stopwatch;
use crate::clock::nanoseconds;

/// The most that a get may cost, in programs that do nothing.
const P50: f64 = 1.35;

pub(super) fn measure(settings: &Settings) -> Result<Section> {
    settings.cpus.use_one()?;
    let site = Site::start()?;
    let get = ["get".to_owned(), site::client()];
    let contenders: Vec<Box<dyn Contender>> = vec![
        Box::new(Program::new("/bin/true", "/bin/true".into(), &[], &site.socket(), "")?),
        Box::new(Program::new(
            "tokenbroker get",
            binary("tokenbroker"),
            &get,
            &site.socket(),
            &format!("{}\n", site.token()),
        )?),
    ];
    let pace = Pace { warm_up: 20, ..settings.pace(100, 10) };
    let entries = race(contenders, pace)?;
    let ratio = entries[1].rounds.median_ratio(&entries[0].rounds);
    Ok(Section::new("a process for each get, everything on one CPU")
        .figure(Figure::new("tokenbroker get as a process, p50", ratio, "x /bin/true").at_most(P50))
        .table(Table::new("from start to end", &entries)))
}

/// A program that is run to its end. What it prints stays in a pipe until the clock was read.
struct Program {
    name: &'static str,
    path: PathBuf,
    arguments: Vec<String>,
    socket: PathBuf,
    output: PipeReader,
    pipe: PipeWriter,
    expected: String,
}

impl Program {
    fn new(
        name: &'static str,
        path: PathBuf,
        arguments: &[String],
        socket: &Path,
        expected: &str,
    ) -> Result<Self> {
        let (output, pipe) = std::io::pipe()?;
        let (arguments, socket, expected) = (arguments.to_vec(), socket.to_owned(), expected.to_owned());
        Ok(Self { name, path, arguments, socket, output, pipe, expected })
    }

    fn command(&self) -> Result<Command> {
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).env_clear().env("TOKENBROKER_SOCKET", &self.socket);
        command.stdin(Stdio::null()).stdout(self.pipe.try_clone()?);
        Ok(command)
    }
}

impl Contender for Program {
    fn name(&self) -> String {
        self.name.into()
    }

    fn round(&mut self, count: usize, nanoseconds: &mut Vec<u64>) -> Result {
        let mut printed = vec![0; self.expected.len()];
        for _ in 0..count {
            let mut command = self.command()?;
            let stopwatch = Stopwatch::start();
            let status = command.status()?;
            nanoseconds.push(self::nanoseconds(stopwatch.elapsed()));
            self.output.read_exact(&mut printed)?;
            if !status.success() || printed != self.expected.as_bytes() {
                return Err(format!("{} did something else: {status}", self.name).into());
            }
        }
        Ok(())
    }
}
