//! SIGTERM.

use tokenbroker_testkit::{Fault, Stopwatch, wait_until};

use crate::caller::request;
use crate::{DEADLINE, Site};

#[test]
fn s66_a_caller_that_waits_is_told_and_nobody_else_holds_the_daemon_up() {
    let site = Site::cold(&[("app", "")]);
    site.server.set_fault(Fault::Hang);
    site.set_secret("app");
    let mut idle = site.dial();
    assert_eq!(idle.get("/livez").status, 200);
    let mut half_asked = site.dial();
    half_asked.send("GET /v1/tok");
    let mut waiting = site.dial();
    waiting.send(request("GET", "/v1/tokens/app?wait=1h", &[]));
    wait_until(DEADLINE, || site.install.status("app")["waiting"] == 1);

    let Site { daemon, install, server: _server } = site;
    let watch = Stopwatch::start();
    assert!(daemon.terminate().success());
    // Half a request has five seconds otherwise.
    assert!(watch.elapsed().as_millis() < 4500, "{:?}", watch.elapsed());
    let reply = waiting.reply();
    reply.refused(503, "temporarily_unavailable");
    assert_eq!((&*reply.headers["retry-after"], &*reply.headers["connection"]), ("1", "close"));
    assert!(idle.last_words().is_empty() && half_asked.last_words().is_empty());
    assert!(!install.http_socket().exists(), "the daemon removes the socket that it made");
}
