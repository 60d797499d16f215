//! `cargo xtask windows`: what callers link, checked and tested for Windows, without a Windows.
//!
//! Debian's Rust can build its own standard library for any target, and Wine has named pipes. Everything is kept in
//! `target/windows`. There is no clippy for this Rust, and what only Windows enforces stays untested: that a name has one
//! server, and that a pipe which is not for everybody keeps others out.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::steps::Steps;
use crate::tally::Tally;
use crate::workspace::Workspace;
use crate::{Result, peers, process};

/// What is needed, and Debian's package of it.
const TOOLS: [(&str, &str); 8] = [
    (CARGO, "cargo-web"),
    (RUSTC, "rustc-web"),
    ("/usr/lib/rustlib/x86_64-unknown-linux-gnu/lib", "libstd-rust-web-dev"),
    ("/usr/lib/rustlib/src/rust/library/std", "rust-web-src"),
    ("/usr/bin/x86_64-w64-mingw32-gcc", "gcc-mingw-w64-x86-64-win32"),
    ("/usr/x86_64-w64-mingw32/include/windows.h", "mingw-w64-x86-64-dev"),
    ("/usr/lib/wine/wine64", "wine64"),
    ("/usr/bin/wine", "wine"),
];

const CARGO: &str = "/usr/bin/cargo";
const RUSTC: &str = "/usr/bin/rustc";
const GCC: &str = "x86_64-w64-mingw32-gcc";
const TARGET: &str = "x86_64-pc-windows-gnu";

/// What callers link. The daemon is for Unix.
const PACKAGES: [&str; 4] = [
    "--package=tokenbroker-secret",
    "--package=tokenbroker-protocol",
    "--package=tokenbroker-ipc",
    "--package=tokenbroker-client",
];

/// The tests that show pipes at work: of the crate that makes them, and of both kinds of broker against a daemon that
/// speaks the real protocol. What is built of the client for its examples is not for Windows.
const TESTS: [&[&str]; 2] = [
    &["--package=tokenbroker-ipc", "--lib", "--test=pipe"],
    &["--package=tokenbroker-client", "--lib", "--test=broker"],
];

/// Goes on to the tests only with what passes the compiler.
pub(crate) fn run(workspace: &Workspace) -> Result {
    let place = workspace.target().join("windows");
    let mut tally = Tally::default();
    let mut steps = Steps::default();
    let _ = steps.take("tools", provide)
        && steps.take("types, with all of it", || {
            check(workspace, &place, &["--features=tokenbroker-client/reqwest"])
        })
        && steps.take("types, blocking alone", || check(workspace, &place, &["--no-default-features"]))
        && steps.take("tests under Wine", || test(workspace, &place, &mut tally));
    println!("\n{steps}");
    for failure in tally.failures() {
        println!("FAILED: {failure}");
    }
    println!("under Wine: {tally}");
    steps.outcome()
}

/// Installs what is missing on a Debian where we are root, and names it elsewhere.
fn provide() -> Result {
    let missing = || TOOLS.iter().filter(|(path, _)| !Path::new(path).exists());
    let packages: Vec<_> = missing().map(|(_, package)| *package).collect();
    if packages.is_empty() {
        return Ok(());
    }
    if Path::new("/etc/debian_version").exists() && rustix::process::geteuid().is_root() {
        peers::install(&packages)?;
    }
    match missing().map(|(path, _)| *path).collect::<Vec<_>>() {
        none if none.is_empty() => Ok(()),
        paths => {
            let (paths, packages) = (paths.join(", "), packages.join(" "));
            Err(format!("missing: {paths}; on Debian, `apt-get install {packages}` as root").into())
        }
    }
}

fn check(workspace: &Workspace, place: &Path, features: &[&str]) -> Result {
    process::run(cargo(workspace, place, "check").args(PACKAGES).args(features))
}

fn test(workspace: &Workspace, place: &Path, tally: &mut Tally) -> Result {
    let wine = Wine::prepare(place)?;
    for tests in TESTS {
        let mut cargo = cargo(workspace, place, "test");
        tally.run(wine.environment(&mut cargo).args(tests).arg("--no-fail-fast"))?;
    }
    Ok(())
}

/// Debian's cargo, for Windows, with the standard library built along with what is asked for.
fn cargo(workspace: &Workspace, place: &Path, command: &str) -> Command {
    let mut cargo = Command::new(CARGO);
    cargo
        .current_dir(workspace.root())
        .args([command, "--locked", "-Zbuild-std=std,panic_abort", "--target", TARGET])
        .env("RUSTC", RUSTC)
        .env("RUSTC_BOOTSTRAP", "1") // building the standard library is for compilers of the future
        .env("RUSTFLAGS", "--deny=warnings")
        .env("CARGO_TARGET_DIR", place)
        .env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER", GCC);
    cargo
}

/// A Windows of our own.
struct Wine {
    prefix: PathBuf,
    /// Where programs find what Wine lacks.
    libraries: PathBuf,
}

impl Wine {
    fn prepare(place: &Path) -> Result<Self> {
        let wine = Self { prefix: place.join("wine"), libraries: place.join("libraries") };
        fs::create_dir_all(&wine.prefix)?;
        fs::create_dir_all(&wine.libraries)?;
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/windows/bcryptprimitives.c");
        let library = wine.libraries.join("bcryptprimitives.dll");
        process::run(Command::new(GCC).args(["-shared", "-o"]).arg(library).args([source, "-ladvapi32"]))?;
        // What takes its time once, and is not part of any test.
        process::run(wine.environment(Command::new("wine").args(["wineboot", "--init"])))?;
        Ok(wine)
    }

    /// Neither a screen, nor what is asked about at the first start, nor a word about what is not there.
    fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER", "wine")
            .env("WINEPREFIX", &self.prefix)
            .env("WINEPATH", &self.libraries)
            .env("WINEDEBUG", "-all")
            .env("WINEDLLOVERRIDES", "mscoree,mshtml,winemenubuilder.exe=")
            .env_remove("DISPLAY")
    }
}

impl Drop for Wine {
    /// Its own processes would stay for a while. There is nobody to tell if there are none any more.
    fn drop(&mut self) {
        let _ = self.environment(Command::new("wineserver").arg("--kill")).status();
    }
}
