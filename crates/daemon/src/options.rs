//! The daemon's command line.

use std::path::PathBuf;

use clap::Parser;

/// Keeps OAuth 2.0 service tokens warm and gives the current one to local processes.
///
/// Runs in the foreground. SIGHUP reloads the configuration, SIGTERM ends it.
#[derive(Debug, Clone, Parser)]
#[command(name = "tokenbrokerd", version)]
pub struct Options {
    /// Read this configuration file alone, and no conf.d
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Validate the configuration and exit
    #[arg(long)]
    pub check_config: bool,
}
