//! Twenty processes get tokens all the time, while secret and key are rotated five times.

use std::thread;
use std::time::Duration;

use serde_json::Value;
use tokenbroker_testkit::{Client, Workers, wait_until};

use crate::caller::{self, Means, PACE, Report, Task};
use crate::{DEADLINE, Site};

const PROCESSES: usize = 20;

/// Of these, those that run the command line for each token; the others link the client crate.
const WITH_COMMAND_LINE: usize = 4;

/// Tokens are renewed every three seconds.
const LIFETIME: Duration = Duration::from_secs(6);

const ROTATIONS: usize = 5;

/// Longer than all rotations take.
const TIME: Duration = Duration::from_secs(55);

/// The entry of the callers' processes.
#[test]
#[ignore = "run by the other tests, in processes of their own"]
fn caller() {
    caller::run();
}

#[test]
fn s54_no_get_fails_while_secret_and_key_are_rotated_and_the_old_ones_are_not_used_again() {
    let site = Site::with_key(LIFETIME);
    site.server.register(Client::secret_basic("app", "secret 0"));
    site.set(&["app"], "secret 0");
    site.cli(&["get", "app"]);
    let rejected_before = ["app", "key"].map(|client| site.server.counts(client).rejected);

    let tasks = (0..PROCESSES).map(|number| Task {
        means: if number < WITH_COMMAND_LINE { Means::command_line() } else { Means::Library },
        socket: site.install.socket(),
        resource: site.server.address(),
        clients: vec!["app".into(), "key".into()],
        first: number,
        offset: PACE * u32::try_from(number).unwrap() / PROCESSES as u32,
        time: TIME,
        wait: None,
    });
    let workers = Workers::start("load::caller", tasks);
    for rotation in 1..=ROTATIONS {
        rotate_secret(&site, &format!("secret {rotation}"));
        rotate_key(&site);
    }
    let after_rotations = ["app", "key"].map(|client| site.server.counts(client).rejected);
    // Two renewals more, at least: had one of them used what is revoked, it would have been refused.
    thread::sleep(2 * LIFETIME);
    assert_eq!(["app", "key"].map(|client| site.server.counts(client).rejected), after_rotations);
    // Each secret was stored and each key made before the server knew it, and could be tried then: once, and not again before
    // a minute has passed.
    for (before, after) in rejected_before.into_iter().zip(after_rotations) {
        assert!(after - before <= ROTATIONS as u64, "{rejected_before:?}, {after_rotations:?}");
    }

    let reports = workers.finish::<Report>();
    let failures: Vec<_> = reports.iter().flat_map(|report| &report.failures).collect();
    assert!(failures.is_empty(), "{failures:#?}");
    let least = (TIME.as_millis() / PACE.as_millis()) as usize / 2;
    for report in &reports {
        assert!(report.gets >= least && report.presented > 0, "{} gets in {TIME:?}", report.gets);
    }
}

/// A server that knows one secret at a time: it is stored here first.
fn rotate_secret(site: &Site, secret: &str) {
    site.set(&["app", "--next"], secret);
    site.server.set_secret("app", secret);
    is_promoted(site, "app");
    assert_eq!(site.standings("app"), ["current"]);
}

/// A server that is told of the new key beside the old, and then of the new one alone.
fn rotate_key(site: &Site) {
    site.cli(&["key", "generate", "key", "--next"]);
    site.register_keys();
    let old = site.listed("key")[1].1["kid"].as_str().unwrap().to_owned();
    is_promoted(site, "key");
    site.cli(&["key", "retire", "key", "--kid", &old]);
    site.register_keys();
}

/// It takes its place at a renewal; one that was refused a moment before the server knew it is tried again when asked.
fn is_promoted(site: &Site, client: &str) {
    wait_until(DEADLINE, || {
        let status = site.status(client);
        if !status["next_credential"]["refused"].is_null() {
            site.cli(&["renew", client]);
        }
        status["next_credential"] == Value::Null
    });
}
