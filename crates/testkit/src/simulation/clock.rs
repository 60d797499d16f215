//! The simulated host's two clocks, and the true time that neither may show.

use std::time::Duration;

use tokenbroker_core::time::{Moment, Now};

/// True time: how long ago the simulated day began. Everything but the engine counts by it.
pub(crate) type At = Duration;

/// What the time was, in seconds since 1970 (UTC), when the day began.
const UNIX_AT_START: u64 = 1_800_000_000;

/// How long the host had been up when the day began.
const UPTIME: Duration = Duration::from_secs(3600);

/// How long a host takes to come up.
const BOOT: Duration = Duration::from_secs(20);

/// Both clocks of the host.
#[derive(Debug)]
pub(crate) struct Clock {
    at: At,
    /// What the boot clock says is true time plus this less that.
    ahead: Duration,
    behind: Duration,
    /// By how many seconds the wall clock is wrong.
    wall_error: i64,
    /// Counts boots.
    pub(crate) boot: u64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { at: Duration::ZERO, ahead: UPTIME, behind: Duration::ZERO, wall_error: 0, boot: 0 }
    }

    pub(crate) fn at(&self) -> At {
        self.at
    }

    /// What the engine is told.
    pub(crate) fn now(&self) -> Now {
        Now { boot: self.moment(self.at), unix: self.true_unix().saturating_add_signed(self.wall_error) }
    }

    /// What a server whose clock is right says.
    pub(crate) fn true_unix(&self) -> u64 {
        UNIX_AT_START + self.at.as_secs()
    }

    pub(crate) fn wall_error(&self) -> i64 {
        self.wall_error
    }

    /// Somebody sets the wall clock.
    pub(crate) fn set_wall(&mut self, error: i64) {
        self.wall_error = error;
    }

    pub(crate) fn advance_to(&mut self, at: At) {
        self.at = self.at.max(at);
    }

    /// The host starts anew: its boot clock does, too.
    pub(crate) fn reboot(&mut self) {
        self.at += BOOT;
        self.ahead = BOOT;
        self.behind = self.at;
        self.boot += 1;
    }

    /// What the boot clock says at a time.
    pub(crate) fn moment(&self, at: At) -> Moment {
        Moment::BOOT.after((at + self.ahead).saturating_sub(self.behind))
    }

    /// When the boot clock says this.
    pub(crate) fn at_of(&self, moment: Moment) -> At {
        (moment.since(Moment::BOOT).saturating_add(self.behind)).saturating_sub(self.ahead)
    }
}

/// `3:25:17.042`
pub(crate) fn shown(at: At) -> String {
    let seconds = at.as_secs();
    format!("{:2}:{:02}:{:02}.{:03}", seconds / 3600, seconds / 60 % 60, seconds % 60, at.subsec_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_clock_starts_anew_and_the_wall_clock_can_be_wrong() {
        let mut clock = Clock::start();
        clock.advance_to(Duration::from_secs(100));
        assert_eq!(clock.now().boot, Moment::BOOT.after(Duration::from_secs(3700)));
        assert_eq!(clock.at_of(clock.now().boot), clock.at());

        clock.set_wall(-50);
        assert_eq!(clock.now().unix, UNIX_AT_START + 50);
        assert_eq!(clock.true_unix(), UNIX_AT_START + 100);

        clock.reboot();
        assert_eq!(clock.now().boot, Moment::BOOT.after(BOOT));
        assert_eq!(clock.at_of(clock.now().boot), clock.at());
        assert_eq!(shown(Duration::from_millis(3_725_042)), " 1:02:05.042");
    }
}
