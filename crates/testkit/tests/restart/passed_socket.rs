//! Sockets that are open before the daemon is, and stay open when it ends.

use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokenbroker_client::blocking::Broker;
use tokenbroker_testkit::{AuthServer, Daemon, Install, programs, require_or_skip, wait_until};

use crate::{get, install, server, set_secret};

const DEADLINE: Duration = Duration::from_secs(30);

/// A daemon on a socket of ours, with a warm token.
fn start(server: &AuthServer) -> (Install, UnixListener, Daemon) {
    let install = install(server);
    let listener = UnixListener::bind(install.socket()).unwrap();
    let daemon = install.start_on(&listener);
    set_secret(&install);
    get(&install, server);
    (install, listener, daemon)
}

/// Whether somebody has connected who was not accepted yet.
fn is_asked(listener: &UnixListener) -> bool {
    let mut descriptors = [PollFd::new(listener, PollFlags::IN)];
    poll(&mut descriptors, Some(&Timespec::default())).unwrap() == 1
}

#[test]
fn s69_callers_who_connect_while_no_daemon_runs_are_answered_by_the_next() {
    let server = server();
    let (install, listener, daemon) = start(&server);
    assert!(daemon.terminate().success());
    assert!(install.socket().exists(), "the socket is not the daemon's to remove");

    let callers: Vec<_> = (0..5)
        .map(|_| {
            let broker = Broker::builder().socket(install.socket()).build();
            thread::spawn(move || broker.token("app").map(|token| token.generation()))
        })
        .collect();
    wait_until(DEADLINE, || is_asked(&listener));
    let _daemon = install.start_on(&listener);
    for caller in callers {
        assert_eq!(caller.join().unwrap().unwrap(), 1);
    }
}

#[test]
fn s69_no_get_fails_while_the_daemon_is_restarted_under_it() {
    let server = server();
    let (install, listener, mut daemon) = start(&server);
    let (gets, enough) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let callers = [(); 4].map(|()| {
            scope.spawn(|| {
                let broker = Broker::builder().socket(install.socket()).cache(false).connect().unwrap();
                while !enough.load(Ordering::Relaxed) {
                    broker.token("app")?;
                    gets.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<(), tokenbroker_client::Error>(())
            })
        });
        let hundred_more = || {
            let so_far = gets.load(Ordering::Relaxed);
            let all_ended = || callers.iter().all(thread::ScopedJoinHandle::is_finished);
            wait_until(DEADLINE, || gets.load(Ordering::Relaxed) >= so_far + 100 || all_ended());
        };
        for clean in [true, false, true] {
            hundred_more();
            if clean {
                assert!(daemon.terminate().success())
            } else {
                daemon.kill()
            }
            daemon = install.start_on(&listener);
        }
        hundred_more();
        enough.store(true, Ordering::Relaxed);
        for caller in callers {
            caller.join().unwrap().unwrap();
        }
    });
}

#[test]
fn systemd_s_own_socket_activation_starts_the_daemon_for_the_first_caller() {
    if !require_or_skip("socket activation", programs(&["systemd-socket-activate"])) {
        return;
    }
    let server = server();
    let install = install(&server);
    let daemon = install.start_by_socket_activation();
    set_secret(&install);
    get(&install, &server);
    assert!(daemon.terminate().success());
}
