//! Sockets that the service manager opened before this process was started (`sd_listen_fds(3)`).

use std::env;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use super::sys;

/// The first descriptor that is passed.
const FIRST: RawFd = 3;

/// The sockets that were passed to this process, each with the name of its `FileDescriptorName=`.
///
/// They are handed out once: a later call gets none. They are close-on-exec from then on.
///
/// # Errors
///
/// If the environment announces descriptors that are not there.
pub fn passed_sockets() -> io::Result<Vec<(String, OwnedFd)>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let announced = announced(std::process::id(), |name| env::var(name).ok());
    if announced.is_empty() || TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    (FIRST..).zip(announced).map(|(descriptor, name)| Ok((name, sys::adopt(descriptor)?))).collect()
}

/// The names of the descriptors that are meant for the process `pid`, in their order.
fn announced(pid: u32, variable: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let number = |name| variable(name)?.parse::<u32>().ok();
    if number("LISTEN_PID") != Some(pid) {
        return Vec::new();
    }
    let names = variable("LISTEN_FDNAMES").unwrap_or_default();
    let names = names.split(':').map(str::to_owned).chain(std::iter::repeat(String::new()));
    names.take(number("LISTEN_FDS").unwrap_or(0) as usize).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(variables: &[(&str, &str)]) -> Vec<String> {
        announced(7, |name| {
            variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn what_is_meant_for_another_process_is_left_alone() {
        assert_eq!(names(&[("LISTEN_FDS", "1")]), [""; 0]);
        assert_eq!(names(&[("LISTEN_PID", "8"), ("LISTEN_FDS", "1")]), [""; 0]);
    }

    #[test]
    fn each_descriptor_has_its_name_or_none() {
        let two = [("LISTEN_PID", "7"), ("LISTEN_FDS", "2"), ("LISTEN_FDNAMES", "broker:http")];
        assert_eq!(names(&two), ["broker", "http"]);
        assert_eq!(names(&[("LISTEN_PID", "7"), ("LISTEN_FDS", "2")]), ["", ""]);
    }
}
