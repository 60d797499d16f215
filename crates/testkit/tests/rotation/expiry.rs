//! Secrets with an expiry date.

use std::process::Command;
use std::time::Duration;

use tokenbroker_testkit::wait_until;

use crate::{DEADLINE, Site};

const HOUR: Duration = Duration::from_secs(3600);

/// The date so many days from today, in UTC as the daemon counts.
fn in_days(days: i64) -> String {
    let date = Command::new("date").args(["--utc", "+%F", &format!("--date={days} days")]).output().unwrap();
    String::from_utf8(date.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_secret_that_expires_within_30_days_is_warned_of_in_status_metrics_and_log() {
    let site = Site::with_secret(HOUR);
    let later = in_days(200);
    site.set(&["app", "--expires", &later], "old");
    wait_until(DEADLINE, || site.status("app")["state"] == "warm");
    assert!(!site.daemon.log().contains("expires in"), "{}", site.daemon.log());
    assert_eq!(site.status("app")["credential"]["expires"], format!("{later}T00:00:00Z"));

    let soon = in_days(20);
    site.set(&["app", "--next", "--expires", &soon], "old");
    site.cli(&["renew", "app"]);
    wait_until(DEADLINE, || site.daemon.log().contains("the secret expires in 19 days"));
    let explained = site.cli(&["status", "app"]);
    assert!(explained.contains("Its secret expires in 19 d") && explained.contains("--next"), "{explained}");
    let all = site.install.cli(["status"]).run();
    let said = format!("{}{}", all.stdout, all.stderr);
    assert!(said.contains("app") && said.contains("expires in 19 d"), "{said}");
    let listed = &site.listed("app")[0].1;
    assert_eq!(listed["expires"], format!("{soon}T00:00:00Z"));

    let doctor = site.install.cli(["doctor"]).run();
    assert!(doctor.stdout.contains("its secret expires in 19 days"), "{doctor:?}");
}

#[test]
fn an_expiry_that_can_not_be_meant_is_refused_and_changes_nothing() {
    let site = Site::with_secret(HOUR);
    let past = in_days(-1);
    let refused = site.install.cli(["secret", "set", "app", "--expires", &past]).stdin("new").run();
    refused.refused(1, &["would have expired already", "--expires"]);
    for date in ["2027-02-30", "tomorrow", "31.1.2027"] {
        let refused =
            site.install.cli(["secret", "set", "app", "--expires", date]).stdin("new").run().expect(2);
        assert!(refused.stderr.contains("2027-01-31"), "an example helps: {refused:?}");
    }
    assert_eq!(site.standings("app"), ["current"]);
    site.cli(&["renew", "app"]);
}
