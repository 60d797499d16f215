//! That a get of a subscribed caller takes no system call: strace looks at one.

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::ValueEnum;
use tokenbroker_client::{Broker, blocking};

use super::figure::Figure;
use super::part;
use super::site::{self, Site};
use crate::{Result, peers};

const GETS: usize = 10_000;

/// Until the caller is subscribed.
const WARM_UP: usize = 1_000;

/// Looking for one of these is a system call that shows where the gets begin, and one where they end.
const BEGIN: &str = "/these/gets/begin";
const END: &str = "/these/gets/end";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Half {
    Blocking,
    Async,
}

/// How many system calls the calling thread makes in so many gets, for each half of the client crate.
pub(super) fn figures(site: &Site) -> [Figure; 2] {
    [Half::Blocking, Half::Async].map(|half| {
        let what = format!("system calls of {GETS} gets, {half:?}").to_lowercase();
        match trace(site, half) {
            Ok(calls) => Figure::new(what, calls as f64, "system calls").at_most(0.0),
            Err(error) => Figure::not_measured(what, error),
        }
    })
}

fn trace(site: &Site, half: Half) -> Result<usize> {
    let strace = peers::require("strace")?;
    let log = site.install().path().join("strace.log");
    let gets = part::this_program()?;
    let mut command = Command::new(strace);
    command.arg("-f").arg("-o").arg(&log).arg("--").arg(gets.get_program()).args(gets.get_args());
    command.arg("gets").arg(format!("{half:?}").to_lowercase()).arg(site.socket()).arg(site::client());
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        return Err(format!("strace failed: {}", String::from_utf8_lossy(&output.stderr).trim_end()).into());
    }
    between(&fs::read_to_string(log)?).ok_or_else(|| "strace did not see the gets".into())
}

/// How many system calls the thread that does the gets makes between its two marks. Each line begins with the thread; a
/// call that another thread's interrupts has two.
fn between(log: &str) -> Option<usize> {
    let thread = log.lines().find(|line| line.contains(BEGIN))?.split(' ').next()?;
    let mut own = log.lines().filter(|line| line.split(' ').next() == Some(thread));
    own.find(|line| line.contains(BEGIN))?;
    let mut calls = 0;
    for line in own {
        if line.contains(END) {
            return Some(calls);
        }
        calls += usize::from(!line.contains(" resumed>"));
    }
    None
}

/// The process that is looked at.
#[derive(clap::Args)]
pub(crate) struct Gets {
    half: Half,
    socket: PathBuf,
    client: String,
}

impl Gets {
    pub(crate) fn run(self) -> Result {
        match self.half {
            Half::Blocking => {
                let broker = blocking::Broker::builder().socket(self.socket).connect()?;
                let gets = |count| {
                    (0..count)
                        .try_for_each(|_| broker.token(&self.client).map(|token| drop(black_box(token))))
                };
                gets(WARM_UP)?;
                mark(BEGIN);
                gets(GETS)?;
                mark(END);
            }
            Half::Async => {
                tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
                    let broker = Broker::builder().socket(self.socket).connect().await?;
                    for _ in 0..WARM_UP {
                        black_box(broker.token(&self.client).await?);
                    }
                    mark(BEGIN);
                    for _ in 0..GETS {
                        black_box(broker.token(&self.client).await?);
                    }
                    mark(END);
                    Result::Ok(())
                })?
            }
        }
        Ok(())
    }
}

fn mark(path: &str) {
    let _there_is_no_such_file = Path::new(path).exists();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_same_thread_does_between_the_marks_is_counted() {
        let log = format!(
            "11 read(3, ...) = 1\n\
             11 statx(AT_FDCWD, \"{BEGIN}\", ...) = -1\n\
             12 write(4, ...) = 1\n\
             11 write(3, ... <unfinished ...>\n\
             12 read(4, ...) = 1\n\
             11 <... write resumed>) = 1\n\
             11 read(3, ...) = 1\n\
             11 statx(AT_FDCWD, \"{END}\", ...) = -1\n\
             11 read(3, ...) = 1\n"
        );
        assert_eq!(between(&log), Some(2));
        assert_eq!(between("11 read(3, ...) = 1\n"), None);
    }
}
