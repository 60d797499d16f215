//! `cargo xtask soak`: hours of a daemon's life with 1,000 clients, callers and subscribers that come and go, reloads,
//! restarts and kills; then twice as long without restarts, in which neither its memory nor its descriptors may grow.
//!
//! - `site`: the authorization server, the clients and the daemon, which is restarted on a socket that stays
//! - `callers`: threads that get tokens, and present some of them
//! - `subscribers`: connections that are told of new tokens
//! - `drift`: whether what the daemon takes of the host grows

mod callers;
mod drift;

mod site;
mod subscribers;

use std::fmt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tokenbroker_testkit::wait_for;

use self::callers::{Callers, Counts};
use self::drift::Drift;
use self::site::Site;
use crate::Result;
use crate::clock::Stopwatch;
use crate::host::Sample;
use crate::process;
use crate::workspace::Workspace;

/// Between two restarts, in the first third.
const RESTARTS_EVERY: Duration = Duration::from_secs(6);

/// Between two reloads, all the time.
const RELOADS_EVERY: Duration = Duration::from_secs(3);

/// Between two looks at the daemon.
const SAMPLES_EVERY: Duration = Duration::from_millis(500);

/// How long what callers held may take to be given back.
const SOON: Duration = Duration::from_secs(20);

/// How long it is to go on.
#[derive(clap::Args)]
pub(crate) struct Soak {
    /// In all, a third of it with restarts
    #[arg(long, default_value_t = 60)]
    minutes: u64,
}

impl Soak {
    /// Soaks a release build of the daemon.
    pub(crate) fn run(&self, workspace: &Workspace) -> Result {
        let build =
            ["build", "--release", "--package=tokenbrokerd", "--package=tokenbroker", "--package=xtask"];
        process::run(&mut workspace.cargo(build))?;
        let release = workspace.target().join("release");
        let mut soak = Command::new(release.join("xtask"));
        soak.args(["soak-here", "--minutes", &self.minutes.to_string()]);
        process::run(soak.env("TOKENBROKER_BIN_DIR", &release))
    }

    /// Soaks the programs that `TOKENBROKER_BIN_DIR` names.
    pub(crate) fn run_here(&self) -> Result {
        let report = Report::of(Duration::from_secs(60 * self.minutes))?;
        println!("{report}");
        report.check()
    }
}

/// What was seen.
struct Report {
    counts: Counts,
    told: u64,
    token_requests: u64,
    restarts: usize,
    reloads: usize,
    failures: Vec<String>,
    drift: Drift,
    /// Of this process, whose brokers are all gone: before and after.
    ours: (Sample, Sample),
}

impl Report {
    fn of(time: Duration) -> Result<Self> {
        let mut site = Site::start()?;
        let before = Sample::of_this_process()?;
        let stop = Arc::new(AtomicBool::new(false));
        let callers = Callers::start(&site, &stop);
        let subscribers = subscribers::start(&site, &stop);

        let (restarts, reloads) = with_restarts(&mut site, time / 3)?;
        let (drift, more_reloads) = without_restarts(&mut site, time * 2 / 3)?;

        stop.store(true, Ordering::Relaxed);
        let (counts, mut failures) = callers.join();
        let (told, more_failures) = subscribers.join();
        failures.extend(more_failures);
        let mut after = Sample::of_this_process()?;
        let given_back = || {
            after = Sample::of_this_process().ok()?;
            after.holds_no_more_than(&before).then_some(())
        };
        let _not_all = wait_for(SOON, given_back);
        Ok(Self {
            counts,
            told,
            token_requests: site.server.all_token_requests(),
            restarts,
            reloads: reloads + more_reloads,
            failures,
            drift,
            ours: (before, after),
        })
    }

    fn check(&self) -> Result {
        if let Some(first) = self.failures.first() {
            return Err(format!("{} failures, the first: {first}", self.failures.len()).into());
        }
        if self.counts.gets == 0 || self.told == 0 || self.restarts == 0 || self.drift.is_empty() {
            return Err("it was too short to show anything".into());
        }
        let (before, after) = &self.ours;
        if !after.holds_no_more_than(before) {
            return Err("brokers that are gone have left threads or connections behind".into());
        }
        self.drift.check()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { gets, presented, brokers } = self.counts;
        writeln!(
            f,
            "{gets} gets by {brokers} brokers, {presented} tokens presented, {} pushes read",
            self.told
        )?;
        writeln!(
            f,
            "{} token requests, {} restarts, {} reloads, {} failures",
            self.token_requests,
            self.restarts,
            self.reloads,
            self.failures.len()
        )?;
        for failure in self.failures.iter().take(20) {
            writeln!(f, "  {failure}")?;
        }
        writeln!(f, "{}", self.drift)?;
        let (before, after) = &self.ours;
        write!(
            f,
            "callers' process: {} Unix sockets and {} threads before, {} and {} after",
            before.unix_sockets, before.threads, after.unix_sockets, after.threads
        )
    }
}

/// Restarts in turn by SIGTERM and by SIGKILL, with reloads between them; says how many of both.
fn with_restarts(site: &mut Site, time: Duration) -> Result<(usize, usize)> {
    let whole = Stopwatch::start();
    let (mut restarts, mut reloads) = (0, 0);
    let mut since = Stopwatch::start();
    while whole.elapsed() < time {
        thread::sleep(RELOADS_EVERY.min(time.saturating_sub(whole.elapsed())));
        if since.elapsed() >= RESTARTS_EVERY {
            site.restart(restarts % 2 == 1)?;
            restarts += 1;
            since = Stopwatch::start();
        } else {
            site.reload()?;
            reloads += 1;
        }
    }
    Ok((restarts, reloads))
}

/// Reloads only, and looks at what the daemon takes.
fn without_restarts(site: &mut Site, time: Duration) -> Result<(Drift, usize)> {
    let whole = Stopwatch::start();
    let mut reloads = 0;
    let mut since = Stopwatch::start();
    let mut samples = Vec::new();
    let before = site.issued();
    let mut warmed_up = false;
    while whole.elapsed() < time {
        thread::sleep(SAMPLES_EVERY);
        // A daemon takes more and more until it has renewed the token of every client once.
        warmed_up = warmed_up || site.issued().iter().zip(&before).all(|(now, before)| now > before);
        if warmed_up {
            samples.push(site.sample()?);
        }
        if since.elapsed() >= RELOADS_EVERY {
            site.reload()?;
            reloads += 1;
            since = Stopwatch::start();
        }
    }
    Ok((Drift::of(samples), reloads))
}
