//! A caller's number given to a process of a unit that may have the token, before the caller was looked at and after.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

use serde::Deserialize;
use tokenbroker_client::protocol::{Command as Asked, GetToken};
use tokenbroker_testkit::{binary, wire};

use super::site::{CLIENT, make_warm, set_up};
use super::{Extent, Findings, hex};
use crate::Result;

/// What `pid_reuse.py` says at its end.
#[derive(Deserialize)]
struct Report {
    before: usize,
    during: usize,
    wrong: usize,
    right: bool,
}

pub(super) fn attempt(extent: Extent) -> Result<Findings> {
    let wanted = extent.choose(1_200, 10);
    let (install, _server) = set_up("allow = [{ unit = \"signer.service\" }]", "");
    let place = install.path().join("groups");
    std::fs::create_dir(&place)?;
    let asked = wire::request(7, Asked::GetToken(GetToken { client: CLIENT.into(), ..GetToken::default() }));

    let mut namespace = Command::new("unshare");
    namespace.args(["--mount", "--", "bash", "-c", include_str!("pid_reuse.sh"), "pid_reuse.sh"]).arg(place);
    namespace.args(["python3", "-c", include_str!("pid_reuse.py")]).arg(install.socket());
    namespace.arg(binary("tokenbrokerd")).arg(install.config_file());
    namespace.args([hex(&wire::hello()), hex(&asked), wanted.to_string()]);
    let mut namespace = namespace.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut said = BufReader::new(namespace.stdout.take().ok_or("a pipe is missing")?);
    let mut line = String::new();
    said.read_line(&mut line)?;
    if line.trim() == "ready" {
        make_warm(&install);
        namespace.stdin.take().ok_or("a pipe is missing")?.write_all(b"\n")?;
        line.clear();
        said.read_to_string(&mut line)?;
    }
    if !namespace.wait()?.success() {
        return Err("the namespace could not be had, or the daemon in it not be attacked; see above".into());
    }
    let Report { before, during, wrong, right } = serde_json::from_str(&line)?;

    let mut findings = Findings::default();
    findings.saw(format!(
        "{} numbers were another process's: {before} before the caller was looked at, {during} after; {wrong} wrong identities",
        before + during
    ));
    findings.must(wrong == 0, format!("{wrong} callers were taken for others"));
    findings.must(right, "a process of the unit got no token, or one outside of it did");
    Ok(findings)
}
