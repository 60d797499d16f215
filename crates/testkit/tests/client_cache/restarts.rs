//! Daemons that go and come back, as subscribed callers see them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use tokenbroker_client::blocking::Broker;
use tokenbroker_testkit::{Fault, wait_until};

use crate::{Caller, DEADLINE, Host};

#[test]
fn s69_no_get_fails_while_the_daemon_is_killed_and_started_again() {
    let host = Host::new();
    let broker = Broker::builder().socket(host.install.socket()).build();
    host.warm(&Caller::Blocking(broker.clone()));
    let Host { daemon, install, server } = host;
    let (gets, enough) = (AtomicU64::new(0), AtomicBool::new(false));
    let daemon = thread::scope(|scope| {
        // However this ends, the callers do.
        let ending = Ending(&enough);
        let mut daemon = daemon;
        let callers = [(); 8].map(|()| {
            scope.spawn(|| {
                while !enough.load(Ordering::Relaxed) {
                    broker.token("app")?;
                    gets.fetch_add(1, Ordering::Relaxed);
                    // Others are to have the processors, too.
                    thread::yield_now();
                }
                Ok::<(), tokenbroker_client::Error>(())
            })
        });
        let thousand_more = || {
            let so_far = gets.load(Ordering::Relaxed);
            let all_ended = || callers.iter().all(thread::ScopedJoinHandle::is_finished);
            wait_until(DEADLINE, || gets.load(Ordering::Relaxed) >= so_far + 1000 || all_ended());
        };
        thousand_more();
        for clean in [false, true, false, true] {
            if clean {
                assert!(daemon.terminate().success());
            } else {
                daemon.kill();
            }
            thousand_more();
            daemon = install.start();
            thousand_more();
        }
        drop(ending);
        for caller in callers {
            caller.join().unwrap().unwrap();
        }
        daemon
    });
    let host = Host { daemon, install, server };
    let caller = Caller::Blocking(broker);
    host.warm(&caller);
    host.cli(&["renew", "app"]);
    wait_until(DEADLINE, || caller.generation() > 1);
}

/// Tells callers that it is enough when it is dropped.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn s69_what_a_daemon_that_is_gone_gave_serves_until_the_next_one_says_otherwise() {
    let host = Host::new();
    let callers = host.subscribed();
    let before = callers[0].token().unwrap();
    let Host { daemon, install, server } = host;
    daemon.kill();
    for caller in &callers {
        assert_eq!(caller.token().unwrap(), before);
    }
    // The next one knows nothing, and can't get to know anything.
    std::fs::remove_dir_all(install.state_dir()).unwrap();
    server.set_fault(Fault::Hang);
    let host = Host { daemon: install.start(), install, server };
    for caller in &callers {
        wait_until(DEADLINE, || caller.token().is_err());
    }
    host.server.set_fault(Fault::None);
    host.set_secret();
    for caller in &callers {
        wait_until(DEADLINE, || caller.token().is_ok_and(|token| token.value() != before.value()));
    }
}
