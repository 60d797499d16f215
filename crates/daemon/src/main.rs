//! `tokenbrokerd`: keeps service tokens warm and gives the current one to local processes.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    tokenbrokerd::run(&tokenbrokerd::Options::parse())
}
