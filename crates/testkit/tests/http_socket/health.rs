//! `GET /livez` and `GET /readyz`.

use tokenbroker_testkit::Fault;

use crate::Site;

#[test]
fn a_daemon_is_well_whatever_its_authorization_server_does() {
    let site = Site::cold(&[("app", "")]);
    site.server.set_fault(Fault::Hang);
    site.server.set_metadata_fault(Fault::Hang);
    site.set_secret("app");
    let mut caller = site.dial();
    for path in ["/livez", "/readyz"] {
        let reply = caller.get(path);
        assert_eq!((reply.status, reply.body.as_str()), (200, "ok\n"), "{path}");
    }
    assert_eq!(caller.ask("HEAD", "/livez", &[]).status, 200);
}
