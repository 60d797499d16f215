//! A program that is run to its end.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use crate::wait_for;

/// A program about to be run, and how.
pub struct Run {
    command: Command,
    stdin: Vec<u8>,
    timeout: Duration,
}

/// What a program left behind.
#[derive(Debug, Clone)]
pub struct Output {
    /// Its exit code; 128 and the signal's number if one ended it, as shells have it.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

impl Run {
    pub(super) fn new(command: Command) -> Self {
        Self { command, stdin: Vec::new(), timeout: Duration::from_secs(60) }
    }

    /// Arguments besides those it has.
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.command.args(arguments);
        self
    }

    /// What it reads; by default nothing.
    pub fn stdin(mut self, stdin: impl AsRef<[u8]>) -> Self {
        self.stdin = stdin.as_ref().into();
        self
    }

    /// A variable of its environment.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// As another user, without supplementary groups. Takes root.
    pub fn as_user(mut self, uid: u32, gid: u32) -> Self {
        self.command.uid(uid).gid(gid);
        self
    }

    /// As another user who is in this supplementary group besides. Takes root, and `setpriv` of util-linux.
    pub fn as_member(self, uid: u32, gid: u32, group: u32) -> Self {
        let mut command = Command::new("setpriv");
        command.args([format!("--reuid={uid}"), format!("--regid={gid}"), format!("--groups={group}")]);
        command.arg("--").arg(self.command.get_program()).args(self.command.get_args());
        command.env_clear();
        if let Some(directory) = self.command.get_current_dir() {
            command.current_dir(directory);
        }
        command.envs(self.command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Self { command, ..self }
    }

    /// After how long it counts as hanging; by default a minute.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Runs it to its end.
    ///
    /// # Panics
    ///
    /// With what it said so far, if it hangs; and if it can't be started.
    #[track_caller]
    pub fn run(mut self) -> Output {
        // Files instead of pipes: nobody has to read or write while the program runs.
        let [mut stdin, stdout, stderr] = [(); 3].map(|()| tempfile::tempfile().expect("a temporary file"));
        stdin.write_all(&self.stdin).and_then(|()| stdin.rewind()).expect("a temporary file can be written");
        self.command.stdin(stdin).stdout(shared(&stdout)).stderr(shared(&stderr));

        let mut child = self.command.spawn().unwrap_or_else(|error| panic!("{:?}: {error}", self.command));
        let status = wait_for(self.timeout, || child.try_wait().expect("a child can be waited for"));
        let Some(status) = status else {
            child.kill().and_then(|()| child.wait()).expect("a child can be killed");
            let (stdout, stderr) = (text(stdout), text(stderr));
            panic!("{:?} hangs; stdout: {stdout:?}; stderr: {stderr}", self.command);
        };
        Output { code: code(status), stdout: text(stdout), stderr: text(stderr) }
    }
}

impl Output {
    /// What it printed, if it succeeded.
    ///
    /// # Panics
    ///
    /// If it did not.
    #[track_caller]
    pub fn success(self) -> String {
        self.expect(0).stdout
    }

    /// What it complained of, if it exited with this code, printed nothing and complained in these words, in this order.
    ///
    /// # Panics
    ///
    /// If it did not.
    #[track_caller]
    pub fn refused(self, code: i32, words: &[&str]) -> String {
        let Self { stdout, stderr, .. } = self.expect(code);
        assert!(stdout.is_empty(), "it printed {stdout:?}; stderr: {stderr}");
        let mut rest = stderr.as_str();
        for expected in words {
            let found = rest.split_once(expected);
            let Some((_, after)) = found else {
                panic!("there is no {expected:?} where it belongs in: {stderr}")
            };
            rest = after;
        }
        stderr
    }

    /// Itself, if it exited with this code.
    ///
    /// # Panics
    ///
    /// If it exited with another.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert!(self.code == code, "exit code {} instead of {code}; stderr: {}", self.code, self.stderr);
        self
    }
}

fn shared(file: &File) -> File {
    file.try_clone().expect("a descriptor can be duplicated")
}

fn text(mut file: File) -> String {
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).expect("a temporary file can be read");
    String::from_utf8_lossy(&bytes).into_owned()
}

fn code(status: ExitStatus) -> i32 {
    status.code().or(status.signal().map(|signal| 128 + signal)).expect("an ended process has either")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Run {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Run::new(command)
    }

    #[test]
    fn input_output_and_exit_code_are_the_programs_own() {
        let output = shell("cat; echo \"$WORD\" >&2; exit 3").stdin("in\n").env("WORD", "err").run();
        assert_eq!((output.code, output.stdout.as_str(), output.stderr.as_str()), (3, "in\n", "err\n"));
    }

    #[test]
    fn more_than_a_pipe_holds_is_no_reason_to_hang() {
        let text = "x".repeat(1 << 20);
        assert_eq!(shell("cat").stdin(&text).run().success(), text);
    }

    #[test]
    fn a_signal_is_an_exit_code_as_in_a_shell() {
        assert_eq!(shell("kill -9 $$").run().code, 137);
    }

    #[test]
    #[should_panic(expected = "so far")]
    fn a_program_that_hangs_is_ended_and_quoted() {
        shell("echo so far; exec sleep 600").timeout(Duration::from_millis(500)).run();
    }

    #[test]
    #[should_panic(expected = "exit code 4 instead of 0; stderr: oh")]
    fn an_unexpected_exit_code_quotes_the_complaint() {
        shell("echo oh >&2; exit 4").run().success();
    }

    #[test]
    fn a_refusal_is_its_words_in_their_order() {
        let said = shell("echo no, because of that >&2; exit 4").run().refused(4, &["no", "that\n"]);
        assert_eq!(said, "no, because of that\n");
    }

    #[test]
    #[should_panic(expected = "there is no \"no\" where it belongs")]
    fn the_words_of_a_refusal_in_another_order_are_not_it() {
        shell("echo no, because of that >&2; exit 4").run().refused(4, &["that", "no"]);
    }

    #[test]
    #[should_panic(expected = "it printed \"token\\n\"")]
    fn what_prints_something_is_no_refusal() {
        shell("echo token; exit 4").run().refused(4, &[]);
    }
}
