//! Simulates days in the life of tokens; see the module `simulation` of this crate.

use std::process::ExitCode;

use tokenbroker_core::mutation::{self, Mutation};
use tokenbroker_testkit::simulation::{self, Campaign};

const USAGE: &str = "\
usage: simulate [--seeds N] [--from S] [--threads N] [--mutation NAME]
       simulate --seed S [--trace] [--mutation NAME]
       simulate --check-mutations [--seeds N] [--from S]";

/// What is asked for on the command line.
#[derive(Debug)]
struct Options {
    campaign: Campaign,
    seed: Option<u64>,
    trace: bool,
    check_mutations: bool,
}

fn main() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("error: {problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let is_good = match options.seed {
        Some(seed) => one_day(seed, &options),
        None if options.check_mutations => check_mutations(options.campaign),
        None => campaign(options.campaign),
    };
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn one_day(seed: u64, options: &Options) -> bool {
    mutation::set(options.campaign.mutation);
    let (outcome, trace) = simulation::traced_day(seed, options.trace);
    trace.iter().for_each(|line| println!("{line}"));
    match &outcome {
        Ok(day) => println!("seed {seed}: {} lines (hash {:016x})", day.lines, day.hash),
        Err(failure) => println!("{failure}"),
    }
    outcome.is_ok()
}

fn campaign(campaign: Campaign) -> bool {
    let report = campaign.run();
    println!("{report}");
    if let Some(failure) = &report.failure {
        let mutation =
            campaign.mutation.map(|mutation| format!(" --mutation {mutation}")).unwrap_or_default();
        println!("\nto see all of it: cargo xtask simulate --seed {}{mutation} --trace", failure.seed);
    }
    report.is_good()
}

/// Each bug that can be switched on is found.
fn check_mutations(campaign: Campaign) -> bool {
    let mut are_found = true;
    for mutation in Mutation::ALL {
        let report = Campaign { mutation: Some(mutation), ..campaign }.run();
        match report.failure {
            Some(failure) => {
                println!(
                    "{mutation}: found by seed {}: {}: {}",
                    failure.seed, failure.invariant, failure.message
                );
            }
            None => {
                println!("{mutation}: NOT FOUND in {} days", report.days);
                are_found = false;
            }
        }
    }
    are_found
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let campaign = Campaign { from: 0, seeds: 1_000, threads: 0, mutation: None };
        let mut options = Self { campaign, seed: None, trace: false, check_mutations: false };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            let number = |text: String| text.parse::<u64>().map_err(|_| format!("{text} is not a number"));
            match argument.as_str() {
                "--seeds" => options.campaign.seeds = number(value()?)?,
                "--from" => options.campaign.from = number(value()?)?,
                "--threads" => options.campaign.threads = number(value()?)? as usize,
                "--seed" => options.seed = Some(number(value()?)?),
                "--mutation" => {
                    let name = value()?;
                    options.campaign.mutation =
                        Some(name.parse().map_err(|error| format!("{name}: {error}"))?);
                }
                "--trace" => options.trace = true,
                "--check-mutations" => options.check_mutations = true,
                _ => return Err(format!("{argument} is not known")),
            }
        }
        Ok(options)
    }
}
