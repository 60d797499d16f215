//! The test program run again, as many processes at once.
//!
//! Each of them runs one test of the program, the entry, which is ignored otherwise and consists of a call of [`work`].
//! A worker gets ready, begins when all others are ready too, and reports what came of it.

use std::env;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What a worker is to do, as JSON.
const TASK: &str = "TOKENBROKER_TESTKIT_TASK";

const READY: &str = "ready";

/// Processes that have begun.
pub struct Workers(Vec<Worker>);

impl Workers {
    /// Starts a worker for each task, in the test called `entry`, and returns when all of them have begun.
    ///
    /// # Panics
    ///
    /// If one of them ends before it is ready.
    #[track_caller]
    pub fn start<T: Serialize>(entry: &str, tasks: impl IntoIterator<Item = T>) -> Self {
        let mut workers: Vec<_> = tasks.into_iter().map(|task| Worker::start(entry, &task)).collect();
        workers.iter_mut().for_each(Worker::wait_until_ready);
        workers.iter_mut().for_each(Worker::begin);
        Self(workers)
    }

    /// Waits until all are done, and returns their reports in the order of their tasks.
    ///
    /// # Panics
    ///
    /// With what it said, if one of them failed.
    #[track_caller]
    pub fn finish<R: DeserializeOwned>(self) -> Vec<R> {
        self.0.into_iter().map(Worker::finish).collect()
    }
}

/// The body of the entry: does the task that this process was started for, and reports what came of it. Without one, as
/// when somebody runs all ignored tests, there is nothing to do.
///
/// # Panics
///
/// If the task is not one for this job.
pub fn work<T: DeserializeOwned, R: Serialize>(job: impl FnOnce(T, Start) -> R) {
    let Ok(task) = env::var(TASK) else { return };
    let task = serde_json::from_str(&task).expect("the task is one for this job");
    let report = job(task, Start(()));
    eprintln!("{}", serde_json::to_string(&report).expect("a report can be written as JSON"));
}

/// When a worker begins.
pub struct Start(());

impl Start {
    /// Says that this worker is ready, and waits until all are.
    ///
    /// # Panics
    ///
    /// If the program that started this one is gone.
    pub fn wait(self) {
        eprintln!("{READY}");
        io::stdin().read_to_end(&mut Vec::new()).expect("standard input is a pipe");
    }
}

struct Worker {
    child: Child,
    /// Closing it is the sign to begin.
    start: Option<ChildStdin>,
    /// The test harness leaves standard error to the test.
    said: BufReader<ChildStderr>,
}

impl Worker {
    fn start(entry: &str, task: &impl Serialize) -> Self {
        let program = env::current_exe().expect("a running program has a path");
        let mut child = Command::new(program)
            .args(["--exact", entry, "--ignored", "--nocapture"])
            .env(TASK, serde_json::to_string(task).expect("a task can be written as JSON"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a test program can be started again");
        let said = BufReader::new(child.stderr.take().expect("stderr is a pipe"));
        Self { start: child.stdin.take(), said, child }
    }

    #[track_caller]
    fn wait_until_ready(&mut self) {
        let mut line = String::new();
        self.said.read_line(&mut line).expect("a pipe can be read");
        if line.trim_end() != READY {
            self.said.read_to_string(&mut line).expect("a pipe can be read");
            panic!("a worker was not ready: {line}");
        }
    }

    fn begin(&mut self) {
        drop(self.start.take());
    }

    #[track_caller]
    fn finish<R: DeserializeOwned>(mut self) -> R {
        let mut said = String::new();
        self.said.read_to_string(&mut said).expect("a pipe can be read");
        let status = self.child.wait().expect("a child can be waited for");
        assert!(status.success(), "a worker failed: {said}");
        let report = said.lines().last().unwrap_or_default();
        serde_json::from_str(report).unwrap_or_else(|error| panic!("{error}: a worker said {said:?}"))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Those that were not waited for, since the test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
