//! Callers that end before or while they are identified: each is refused, and leaves nothing behind.

use std::time::Duration;

use tokenbroker_client::protocol::{Command, GetToken};
use tokenbroker_testkit::{wait_for, wire};

use super::site::{CLIENT, STRANGER, Site};
use super::{Extent, Findings, hex};
use crate::Result;
use crate::host::Sample;

const SOON: Duration = Duration::from_secs(30);

pub(super) fn attempt(extent: Extent) -> Result<Findings> {
    let callers = extent.choose(100_000, 2_000);
    let site = Site::start("", "")?;
    let sample = || Sample::of_process(site.daemon.pid());
    let before = sample()?;

    let get = Command::GetToken(GetToken { client: CLIENT.into(), ..GetToken::default() });
    let asked = hex(&[wire::hello(), wire::request(7, get)].concat());
    let python = site.install.program("python3");
    let python = python.args(["-c", include_str!("exits.py")]).args([site.install.socket()]);
    python.args([asked, callers.to_string()]).as_user(STRANGER, STRANGER).timeout(SOON * 60).run().success();

    let mut after = sample()?;
    let closed = || {
        after = sample().ok()?;
        (after.descriptors <= before.descriptors).then_some(())
    };
    let _not_all = wait_for(SOON, closed);
    site.install.cli(["get", CLIENT]).run().success();
    let tokens = site.audited("token", STRANGER)?;
    let mut findings = Findings::default();
    findings.saw(format!(
        "{callers} callers that ended at once: {tokens} tokens, {} descriptors before and {} after, {} and {} KiB resident",
        before.descriptors, after.descriptors, before.resident, after.resident
    ));
    findings.must(after.descriptors <= before.descriptors, "descriptors were left behind");
    findings.must(tokens == 0, "a caller whom no rule names got a token");
    Ok(findings)
}
