//! The life of a token in simulated time: days full of faults, bugs that must be found, outages that nobody may notice.
//!
//! Run with the profile `simulation`: `cargo xtask simulate` and `cargo xtask test` do.

use std::process::Command;
use std::time::Duration;

use tokenbroker_core::mutation::Mutation;
use tokenbroker_testkit::simulation::{Campaign, Invariant, Outage, Recovery, day, traced_day};

const MINUTE: Duration = Duration::from_secs(60);

/// What continuous integration simulates each time.
const CAMPAIGN: Campaign = Campaign { from: 0, seeds: 1_000, threads: 0, mutation: None };

/// The budget of the outages' server, and a tenth.
const BUDGET: usize = 22;

#[test]
fn s18_s22_s24_s46_s48_s55_s61_s63_s70_a_thousand_days_in_which_all_that_must_hold_does() {
    let report = CAMPAIGN.run();
    println!("{report}");
    assert!(report.is_good(), "{report}");
    assert_eq!(report.days, CAMPAIGN.seeds);
}

/// The failure that a bug leads to within the campaign.
#[track_caller]
fn found(mutation: Mutation) -> Invariant {
    let report = Campaign { mutation: Some(mutation), ..CAMPAIGN }.run();
    let failure =
        report.failure.unwrap_or_else(|| panic!("nobody noticed {mutation} in {} days", report.days));
    println!("{mutation} is found by seed {}: {}", failure.seed, failure.message);
    failure.invariant
}

#[test]
fn s22_tokens_that_are_served_past_their_expiry_are_noticed() {
    assert_eq!(found(Mutation::ServePastExpiry), Invariant::NoExpiredToken);
}

#[test]
fn s20_renewals_without_jitter_are_noticed() {
    assert_eq!(found(Mutation::ForgetJitter), Invariant::Spread);
}

#[test]
fn s18_a_second_request_for_the_same_token_is_noticed() {
    assert_eq!(found(Mutation::DropSingleFlight), Invariant::SingleFlight);
}

#[test]
fn s24_a_retry_after_that_is_ignored_is_noticed() {
    assert_eq!(found(Mutation::IgnoreRetryAfter), Invariant::RetryAfter);
}

#[test]
fn s51_lifetimes_that_count_from_the_reply_are_noticed() {
    assert_eq!(found(Mutation::CountFromReply), Invariant::NoExpiredToken);
}

#[test]
fn s12_a_request_that_ends_with_its_caller_is_noticed() {
    let invariant = found(Mutation::CancelWithWaiter);
    // Nothing is fetched any more, or what was fetched is not taken.
    assert!(matches!(invariant, Invariant::NoStarvation | Invariant::NeverWithheld), "{invariant}");
}

#[test]
fn s23_a_herd_at_the_end_of_an_outage_is_noticed() {
    assert_eq!(found(Mutation::HerdAfterOutage), Invariant::Budget);
}

#[test]
fn a_seed_gives_the_same_day_byte_for_byte_in_this_process_and_in_another() {
    let (first, first_trace) = traced_day(7, true);
    let (second, second_trace) = traced_day(7, true);
    assert_eq!(first.unwrap(), second.unwrap());
    assert!(first_trace == second_trace, "two runs of a seed differ");
    assert!(first_trace.len() > 1_000, "a day has something to tell");

    let output =
        Command::new(env!("CARGO_BIN_EXE_simulate")).args(["--seed", "7", "--trace"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let other: Vec<_> = text.lines().collect();
    assert!(output.status.success());
    assert!(first_trace == other[..first_trace.len()], "another process sees another day");

    assert_ne!(day(7).unwrap().hash, day(8).unwrap().hash);
}

#[test]
fn a_failure_says_its_seed_and_comes_again_byte_for_byte() {
    let run = || {
        let mut simulate = Command::new(env!("CARGO_BIN_EXE_simulate"));
        let output = simulate.args(["--seeds", "50", "--mutation", "ignore-retry-after"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stdout).unwrap()
    };
    let text = run();
    let line = text.lines().find(|line| line.starts_with("seed ")).unwrap();
    let seed = line.split(' ').nth(1).unwrap();
    let mut simulate = Command::new(env!("CARGO_BIN_EXE_simulate"));
    let output = simulate.args(["--seed", seed, "--mutation", "ignore-retry-after"]).output().unwrap();
    let replayed = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(&replayed), "{replayed} is not in {text}");
}

#[track_caller]
fn assert_nobody_noticed(outage: Outage) -> Recovery {
    let recovery = outage.run().unwrap_or_else(|failure| panic!("{failure}"));
    println!("{outage:?}: {recovery:?}");
    assert_eq!(recovery.failed_gets, 0, "{recovery:?}");
    assert!(recovery.gets > 10_000, "callers came all the time: {recovery:?}");
    assert!(recovery.failed_requests > 100, "the outage was felt: {recovery:?}");
    assert!(recovery.busiest_second <= BUDGET, "{recovery:?}");
    assert!(recovery.all_warm_after <= 5 * MINUTE, "{recovery:?}");
    recovery
}

#[test]
fn s21_s23_an_outage_of_13_minutes_is_not_noticed_by_1000_clients_with_tokens_of_an_hour() {
    for seed in 0..3 {
        assert_nobody_noticed(Outage {
            clients: 1_000,
            lifetime: 3600,
            renew_at: 0.75,
            only: None,
            length: 13 * MINUTE,
            seed,
        });
    }
}

#[test]
fn s21_s23_an_outage_of_55_minutes_is_not_noticed_with_tokens_of_two_hours_renewed_at_half() {
    for seed in 0..3 {
        assert_nobody_noticed(Outage {
            clients: 1_000,
            lifetime: 7200,
            renew_at: 0.5,
            only: None,
            length: 55 * MINUTE,
            seed,
        });
    }
}

#[test]
fn s22_s23_an_outage_past_expiry_fails_gets_and_its_end_is_a_ramp() {
    let outage =
        Outage { clients: 1_000, lifetime: 3600, renew_at: 0.75, only: None, length: 90 * MINUTE, seed: 1 };
    let recovery = outage.run().unwrap_or_else(|failure| panic!("{failure}"));
    println!("{recovery:?}");
    assert!(recovery.failed_gets > 0, "{recovery:?}");
    assert!(recovery.busiest_second <= BUDGET, "{recovery:?}");
    assert!(recovery.all_warm_after <= 5 * MINUTE, "{recovery:?}");
}

#[test]
fn s21_those_whom_the_server_serves_do_not_notice_that_it_fails_for_most_others() {
    let outage = Outage {
        clients: 1_000,
        lifetime: 3600,
        renew_at: 0.75,
        only: Some(900),
        length: 55 * MINUTE,
        seed: 1,
    };
    let recovery = outage.run().unwrap_or_else(|failure| panic!("{failure}"));
    println!("{recovery:?}");
    assert!(recovery.failed_gets > 0, "most are without a token: {recovery:?}");
    assert_eq!(recovery.failed_gets_of_others, 0, "{recovery:?}");
}
