//! Everything a developer runs is `cargo xtask COMMAND`: nothing else has to be installed or remembered.

mod adversary;
mod advisories;
mod bench;
mod cargo_deny;
mod check;
mod clock;
mod demo;
mod host;
mod peers;
mod process;
mod random;
mod samples;
mod shipped;
mod simulate;
mod soak;
mod steps;
mod tally;
mod test;
mod windows;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

use crate::workspace::Workspace;

/// What a command ends with: words for the person in front of it are all that is done with an error.
type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Builds, tests and shows tokenbroker
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Command {
    /// The quick part of `test`, for while you work: format, clippy, unit tests
    Check,
    /// Everything: format, clippy, docs, dependencies, and all tests, those with real peers too
    Test,
    /// Checks what callers link for Windows, and runs its tests over named pipes under Wine
    Windows,
    /// Shows the whole path, from a secret to the protected resource, and checks every step of it
    Demo,
    /// Simulates days in the life of tokens, and checks after every step what must hold
    Simulate(simulate::Simulation),
    /// Measures what tokens cost, against raw exchanges and other programs, and holds it to limits
    Bench(bench::Bench),
    /// Callers, subscribers, reloads and restarts for as long as you like: no failed get, and nothing that grows
    Soak(soak::Soak),
    /// Attacks a daemon many thousand times, and counts how often that succeeds; takes root
    Adversary(adversary::Adversary),
    /// Asks the RustSec database about every dependency; needs the network
    Advisories,
    /// One of the processes of `demo`
    #[command(hide = true)]
    DemoGets(demo::Gets),
    /// `soak`, with the programs that there are
    #[command(hide = true)]
    SoakHere(soak::Soak),
    /// `adversary`, with the programs that there are
    #[command(hide = true)]
    AdversaryHere(adversary::Adversary),
    /// One of the processes of `adversary`
    #[command(hide = true)]
    AdversaryDenials(adversary::Denials),
    /// `bench`, in the release build of itself
    #[command(hide = true)]
    BenchRelease(bench::Bench),
    /// One of the processes of `bench`
    #[command(hide = true, subcommand)]
    BenchPart(bench::Part),
}

fn main() -> ExitCode {
    match run(Command::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result {
    match command {
        Command::Check => check::run(&Workspace::find()?),
        Command::Test => test::run(&Workspace::find()?),
        Command::Windows => windows::run(&Workspace::find()?),
        Command::Demo => demo::run(&Workspace::find()?),
        Command::Simulate(simulation) => simulation.run(&Workspace::find()?),
        Command::Bench(bench) => bench.run(&Workspace::find()?),
        Command::Soak(soak) => soak.run(&Workspace::find()?),
        Command::SoakHere(soak) => soak.run_here(),
        Command::Adversary(adversary) => adversary.run(&Workspace::find()?),
        Command::AdversaryHere(adversary) => adversary.run_here(),
        Command::AdversaryDenials(denials) => denials.run(),
        Command::Advisories => advisories::run(&Workspace::find()?),
        Command::DemoGets(gets) => gets.run(),
        Command::BenchRelease(bench) => bench.measure(&Workspace::find()?),
        Command::BenchPart(part) => part.run(),
    }
}
