//! Many processes, short lifetimes, all the time: nobody goes without a token, and no token is fetched without need.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

#[path = "../common/caller.rs"]
mod caller;
mod site;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokenbroker_testkit::{Stopwatch, Workers, wait_until};

use caller::{Means, PACE, Report, Task};
use site::{CLIENTS, LIFETIME, Site};

const PROCESSES: usize = 20;

/// Of these, those that run the command line for each token; the others link the client crate.
const WITH_COMMAND_LINE: usize = 4;

/// How long there is no daemon: every process asks several times meanwhile.
const OUTAGE: Duration = Duration::from_millis(500);

/// Ample: other tests use the same processors.
const DEADLINE: Duration = Duration::from_secs(30);

/// Each test is a load by itself.
fn one_at_a_time() -> MutexGuard<'static, ()> {
    static RUNNING: Mutex<()> = Mutex::new(());
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn twenty_processes_get_their_tokens_for_one_request_an_interval() {
    let _alone = one_at_a_time();
    let site = Site::start();
    let _daemon = site.start_daemon();
    let before = CLIENTS.map(|client| site.server.token_requests(client));
    let stopwatch = Stopwatch::start();
    let reports = callers(&site, Duration::from_secs(30), None).finish::<Report>();
    let time = stopwatch.elapsed();
    let after = CLIENTS.map(|client| site.server.token_requests(client));

    assert_served(&reports, Duration::from_secs(30));
    // Tokens that live less than a minute are renewed at half their lifetime.
    let intervals = time.as_secs_f64() / (LIFETIME.as_secs_f64() / 2.0);
    for (client, (before, after)) in CLIENTS.iter().zip(before.into_iter().zip(after)) {
        let requests = after - before;
        assert!(requests as f64 <= intervals + 1.0, "{client}: {requests} token requests in {time:?}");
        assert!(requests as f64 >= intervals - 2.0, "{client}: {requests} token requests in {time:?}");
        assert_eq!(site.server.counts(client).rejected, 0, "{client}");
    }
}

#[test]
fn s60_s69_no_get_fails_that_may_take_five_seconds_while_the_daemon_is_killed_and_started_again() {
    let _alone = one_at_a_time();
    let site = Site::start();
    let mut daemon = site.start_daemon();
    let workers = callers(&site, Duration::from_secs(10), Some(Duration::from_secs(5)));
    for _ in 0..2 {
        wait_until(DEADLINE, || site.gets() >= 300);
        daemon.kill();
        thread::sleep(OUTAGE);
        daemon = site.install.start();
    }
    wait_until(DEADLINE, || site.gets() >= 300);
    assert_served(&workers.finish::<Report>(), Duration::from_secs(10));
}

/// The entry of the callers' processes.
#[test]
#[ignore = "run by the other tests, in processes of their own"]
fn caller() {
    caller::run();
}

/// Processes that get tokens for this long.
fn callers(site: &Site, time: Duration, wait: Option<Duration>) -> Workers {
    let tasks = (0..PROCESSES).map(|number| Task {
        means: if number < WITH_COMMAND_LINE { Means::command_line() } else { Means::Library },
        socket: site.install.socket(),
        resource: site.server.address(),
        clients: CLIENTS.map(str::to_owned).to_vec(),
        first: number,
        offset: PACE * u32::try_from(number).unwrap() / PROCESSES as u32,
        time,
        wait,
    });
    Workers::start("caller", tasks)
}

#[track_caller]
fn assert_served(reports: &[Report], time: Duration) {
    assert_eq!(reports.len(), PROCESSES);
    let failures: Vec<_> = reports.iter().flat_map(|report| &report.failures).collect();
    assert!(failures.is_empty(), "{failures:#?}");
    // Below half the pace this would not be the load that it is meant to be.
    let least = (time.as_millis() / PACE.as_millis()) as usize / 2;
    for report in reports {
        assert!(report.gets >= least, "{} gets in {time:?}", report.gets);
        assert!(report.presented > 0);
    }
}
