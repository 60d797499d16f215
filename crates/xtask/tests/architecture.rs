//! What the layout of the workspace promises: who may depend on whom, how thin the client is, where `unsafe` may be.

#![expect(clippy::unwrap_used, reason = "what a test can't do without fails it")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

/// Every crate of the product, and which of the others it may use outside its tests.
const LAYERS: [(&str, &[&str]); 9] = [
    ("tokenbroker-secret", &[]),
    ("tokenbroker-protocol", &["tokenbroker-secret"]),
    ("tokenbroker-ipc", &["tokenbroker-protocol", "tokenbroker-secret"]),
    ("tokenbroker-client", &["tokenbroker-ipc", "tokenbroker-protocol", "tokenbroker-secret"]),
    ("tokenbroker", &["tokenbroker-client", "tokenbroker-secret"]),
    ("tokenbroker-oauth", &["tokenbroker-secret"]),
    ("tokenbroker-core", &["tokenbroker-oauth", "tokenbroker-secret"]),
    ("tokenbroker-keystore", &["tokenbroker-secret"]),
    (
        "tokenbrokerd",
        &[
            "tokenbroker-core",
            "tokenbroker-oauth",
            "tokenbroker-keystore",
            "tokenbroker-ipc",
            "tokenbroker-protocol",
            "tokenbroker-secret",
        ],
    ),
];

/// The crates that only tests and developers use; they may use everything.
const TOOLS: [&str; 2] = ["tokenbroker-testkit", "xtask"];

/// What decides without I/O, and what must not be anywhere below it.
const PURE: [&str; 3] = ["tokenbroker-protocol", "tokenbroker-oauth", "tokenbroker-core"];
const IMPURE: [&str; 7] = ["tokio", "reqwest", "hyper", "aws-lc-rs", "aws-lc-sys", "interprocess", "rustix"];

/// The packages that the product is built on, and where each does its work.
const FOUNDATIONS: [(&str, &str); 9] = [
    ("tokio", "tokenbrokerd"),
    ("interprocess", "tokenbroker-ipc"),
    ("serde", "tokenbroker-core"),
    ("bincode", "tokenbroker-protocol"),
    ("reqwest", "tokenbrokerd"),
    ("keyring", "tokenbroker-keystore"),
    ("tracing", "tokenbrokerd"),
    ("signal-hook", "tokenbrokerd"),
    ("clap", "tokenbroker"),
];

/// The only crates that may hold unsafe code.
const UNSAFE: [&str; 2] = ["tokenbroker-secret", "tokenbroker-ipc"];

const CLIENT_LIMIT: usize = 40;
const BLOCKING_CLIENT_LIMIT: usize = 26;

#[test]
fn every_crate_has_its_place() {
    let known: BTreeSet<_> = LAYERS.map(|(name, _)| name).into_iter().chain(TOOLS).collect();
    let workspace = Workspace::load();
    let found: BTreeSet<_> = workspace.packages.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(found, known, "a new crate gets a line in LAYERS");
}

#[test]
fn dependencies_point_downwards() {
    let workspace = Workspace::load();
    for (name, allowed) in LAYERS {
        for used in workspace.package(name).used_outside_tests().filter(|used| workspace.has(used)) {
            assert!(allowed.contains(&used), "{name} must not depend on {used}");
        }
    }
}

#[test]
fn what_decides_can_reach_no_io() {
    for name in PURE {
        let tree = tree(name, &[]);
        for impure in IMPURE {
            assert!(!tree.contains_key(impure), "{name} depends on {impure}, if only through others");
        }
    }
}

/// Features are unified over all that is built together, so it takes the whole workspace to tell.
#[test]
fn bugs_on_demand_are_in_no_build_that_ships() {
    let features = |extra: &[&str]| {
        let tree = ["tree", "--workspace", "--edges=normal,features", "--prefix=none", "--format={p} {f}"];
        cargo(&[&tree, extra].concat())
    };
    assert!(features(&["--features=tokenbroker-testkit/mutations"]).contains("mutations"));
    assert!(!features(&[]).contains("mutations"));
}

#[test]
fn the_client_is_thin() {
    let client = tree("tokenbroker-client", &[]);
    assert!(client.contains_key("tokio"), "the tree is that of the default features");
    assert_at_most(CLIENT_LIMIT, &client);

    let blocking = tree("tokenbroker-client", &["--no-default-features"]);
    assert!(!blocking.contains_key("tokio"), "the blocking half needs no runtime");
    assert_at_most(BLOCKING_CLIENT_LIMIT, &blocking);
}

#[test]
fn every_foundation_carries_something() {
    let workspace = Workspace::load();
    for (foundation, name) in FOUNDATIONS {
        let package = workspace.package(name);
        assert!(
            package.used_outside_tests().any(|used| used == foundation),
            "{name} does not depend on {foundation}"
        );
        let in_code = foundation.replace('-', "_");
        let used = package.sources("src").iter().any(|source| code_of(source).contains(&in_code));
        assert!(used, "{name} depends on {foundation}, but does not use it");
    }
}

/// The compiler denies unsafe code to every crate that keeps the rules of the workspace. So this looks for attributes that
/// lift the lint.
#[test]
fn only_two_crates_may_hold_code_that_is_unsafe() {
    let lint = concat!("unsafe", "_code"); // this file is looked at, too
    for package in Workspace::load().packages {
        let lifting = package.sources("").into_iter().find(|source| code_of(source).contains(lint));
        let allowed = UNSAFE.contains(&package.name.as_str());
        assert!(allowed || lifting.is_none(), "{} must not have unsafe code: {lifting:?}", package.name);
    }
}

/// Tests have a daemon that hangs on demand. Nobody else has: each mention of it is for debug builds alone.
#[test]
fn s65_no_release_build_can_be_stalled() {
    let workspace = Workspace::load();
    let mut mentions = 0;
    for source in workspace.package("tokenbrokerd").sources("src") {
        let code = code_of(&source);
        let lines: Vec<_> = code.lines().map(str::trim).collect();
        for (above, line) in lines.iter().zip(&lines[1..]) {
            if ["mod stall;", "crate::stall;", " stall::", "(stall::"].iter().any(|use_| line.contains(use_))
            {
                assert_eq!(*above, "#[cfg(debug_assertions)]", "{}: {line}", source.display());
                mentions += 1;
            }
        }
    }
    assert!(mentions >= 3, "the daemon mentions it {mentions} times");
}

#[test]
fn every_crate_keeps_the_rules_of_the_workspace() {
    for package in Workspace::load().packages {
        let text = fs::read_to_string(&package.manifest_path).unwrap();
        let manifest: toml::Table = text.parse().unwrap();
        let inherits = |table: &str, key: Option<&str>| {
            let table = manifest.get(table);
            let value = key.map_or(table, |key| table?.get(key));
            value.and_then(|value| value.get("workspace")?.as_bool()) == Some(true)
        };
        assert!(inherits("lints", None), "{} has lints of its own", package.name);
        for key in ["version", "edition", "rust-version", "license"] {
            assert!(inherits("package", Some(key)), "{} has a {key} of its own", package.name);
        }
    }
}

#[test]
fn lockfiles_of_npm_name_no_registry() {
    let mut lockfiles = Vec::new();
    find(&root(), &mut |path| path.ends_with("package-lock.json"), &mut lockfiles);
    assert!(!lockfiles.is_empty(), "the real peer from npm has a lockfile");
    for lockfile in lockfiles {
        let text = fs::read_to_string(&lockfile).unwrap();
        assert!(!text.contains("\"resolved\""), "{} names where packages came from", lockfile.display());
    }
}

#[test]
fn the_repository_has_what_a_visitor_looks_for() {
    for file in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "Cargo.toml",
        "Cargo.lock",
        "clippy.toml",
        "deny.toml",
        "rustfmt.toml",
        ".ci/run",
        "packaging/README.md",
        "systemd/tokenbrokerd.service",
        "systemd/tokenbrokerd.socket",
        "systemd/tokenbroker.sysusers",
    ] {
        assert!(root().join(file).is_file(), "there is no {file}");
    }
}

/// What cargo knows of the workspace.
#[derive(Deserialize)]
struct Workspace {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `None` for a normal one, otherwise `dev` or `build`.
    kind: Option<String>,
}

impl Workspace {
    fn load() -> Self {
        serde_json::from_str(&cargo(&["metadata", "--no-deps", "--format-version=1"])).unwrap()
    }

    fn has(&self, name: &str) -> bool {
        self.packages.iter().any(|package| package.name == name)
    }

    fn package(&self, name: &str) -> &Package {
        self.packages.iter().find(|package| package.name == name).unwrap()
    }
}

impl Package {
    fn used_outside_tests(&self) -> impl Iterator<Item = &str> {
        let dependencies = self.dependencies.iter();
        dependencies.filter(|used| used.kind.as_deref() != Some("dev")).map(|used| used.name.as_str())
    }

    /// Its Rust files below a directory of its own.
    fn sources(&self, directory: &str) -> Vec<PathBuf> {
        let mut sources = Vec::new();
        let directory = self.manifest_path.with_file_name(directory);
        find(
            &directory,
            &mut |path| path.extension().is_some_and(|extension| extension == "rs"),
            &mut sources,
        );
        assert!(!sources.is_empty(), "{} has no code", self.name);
        sources
    }
}

/// What is compiled into a package on this host, itself included: versions by name.
fn tree(name: &str, options: &[&str]) -> BTreeMap<String, BTreeSet<String>> {
    let arguments = ["tree", "--package", name, "--edges=normal", "--prefix=none", "--format={p}"];
    let mut packages = BTreeMap::<_, BTreeSet<_>>::new();
    for line in cargo(&[&arguments, options].concat()).lines() {
        if let [name, version, ..] = line.split(' ').collect::<Vec<_>>()[..] {
            packages.entry(name.into()).or_default().insert(version.into());
        }
    }
    assert!(packages.contains_key(name));
    packages
}

#[track_caller]
fn assert_at_most(limit: usize, tree: &BTreeMap<String, BTreeSet<String>>) {
    let count: usize = tree.values().map(BTreeSet::len).sum();
    assert!(count <= limit, "{count} crates are more than {limit}: {:?}", tree.keys());
}

/// The text of a source without its comments; good enough for sources that don't hide comments in strings.
fn code_of(source: &Path) -> String {
    let text = fs::read_to_string(source).unwrap();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// All files below a directory, except in what is built or installed.
fn find(directory: &Path, wanted: &mut dyn FnMut(&Path) -> bool, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() && !["target", "node_modules", ".git"].iter().any(|skipped| name == *skipped) {
            find(&path, wanted, found);
        } else if path.is_file() && wanted(&path) {
            found.push(path);
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().into()
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
