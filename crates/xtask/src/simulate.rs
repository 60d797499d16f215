//! `cargo xtask simulate`: days in the life of tokens, as many as you like.

use crate::Result;
use crate::process;
use crate::workspace::Workspace;

/// The simulation is optimized, and built without anything that listens or encrypts.
pub(crate) const BUILD: [&str; 4] = [
    "--profile=simulation",
    "--package=tokenbroker-testkit",
    "--no-default-features",
    "--features=mutations",
];

/// What to simulate; see the program `simulate` of the testkit.
#[derive(clap::Args)]
pub(crate) struct Simulation {
    /// How many days
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// One day only, that of this seed
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// All that happens on that day
    #[arg(long, requires = "seed")]
    trace: bool,
    /// With a bug switched on, such as `forget-jitter`
    #[arg(long, value_name = "NAME")]
    mutation: Option<String>,
    /// Whether every bug that can be switched on is found
    #[arg(long, conflicts_with_all = ["seed", "mutation"])]
    check_mutations: bool,
}

impl Simulation {
    pub(crate) fn run(&self, workspace: &Workspace) -> Result {
        let mut command = workspace.cargo(["run", "--quiet"]);
        command.args(BUILD).args(["--bin=simulate", "--"]);
        match self.seed {
            Some(seed) => command.args(["--seed", &seed.to_string()]),
            None => command.args(["--seeds", &self.seeds.to_string(), "--from", &self.from.to_string()]),
        };
        if let Some(mutation) = &self.mutation {
            command.args(["--mutation", mutation]);
        }
        let switches = [("--trace", self.trace), ("--check-mutations", self.check_mutations)];
        command.args(switches.into_iter().filter(|(_, is_on)| *is_on).map(|(switch, _)| switch));
        process::run(&mut command)
    }
}
