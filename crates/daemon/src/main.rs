//! `tokenbrokerd`: keeps service tokens warm and gives the current one to local processes.

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static HEAP: tokenbrokerd::Wiping = tokenbrokerd::Wiping;

fn main() -> ExitCode {
    match tokenbrokerd::Options::try_parse() {
        Ok(options) => tokenbrokerd::run(&options),
        // Help and version go to stdout, and are no failure.
        Err(usage) => {
            let printed = usage.print();
            if usage.use_stderr() || printed.is_err() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
    }
}
