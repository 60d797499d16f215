//! The daemon's clocks: the one place that reads them.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use tokenbroker_core::time::{Moment, Now};
use tokio::io::unix::AsyncFd;

/// Time since boot, suspend included.
#[expect(
    clippy::disallowed_methods,
    reason = "this is where the daemon reads the clock that lifetimes count on"
)]
pub(crate) fn moment() -> Moment {
    let time = clock_gettime(ClockId::Boottime);
    Moment::from_nanos(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// Wall clock: time since 1970 (UTC).
#[expect(clippy::disallowed_methods, reason = "this is where the daemon reads the wall clock")]
pub(crate) fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Both clocks.
pub(crate) fn now() -> Now {
    Now { boot: moment(), unix: since_epoch().as_secs() }
}

/// Wakes its task at a moment. Unlike the runtime's timers it counts the time that the host was suspended.
#[derive(Debug)]
pub(crate) struct Alarm {
    timer: AsyncFd<OwnedFd>,
    set_to: Option<Moment>,
}

impl Alarm {
    /// Takes a runtime with I/O.
    #[expect(
        deprecated,
        reason = "its successor is unsafe for descriptors that can be closed; an OwnedFd can't"
    )]
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Boottime, flags)?;
        Ok(Self { timer: AsyncFd::new(timer)?, set_to: None })
    }

    /// Sets it to another moment, or to none.
    pub(crate) fn set(&mut self, to: Option<Moment>) -> io::Result<()> {
        if self.set_to == to {
            return Ok(());
        }
        // A time of zero would disarm the timer.
        let nanos = to.map_or(0, |moment| moment.as_nanos().max(1));
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let at = Timespec { tv_sec: (nanos / 1_000_000_000) as i64, tv_nsec: (nanos % 1_000_000_000) as i64 };
        let setting = Itimerspec { it_interval: zero, it_value: at };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::ABSTIME, &setting)?;
        self.set_to = to;
        Ok(())
    }

    /// Waits until the moment it is set to has passed.
    pub(crate) async fn ring(&mut self) -> io::Result<()> {
        let mut ready = self.timer.readable().await?;
        let mut expirations = [0; 8];
        match rustix::io::read(self.timer.get_ref(), &mut expirations) {
            Ok(_) => self.set_to = None,
            // Set to another moment since it became readable.
            Err(rustix::io::Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
        ready.clear_ready();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn the_alarm_rings_when_its_moment_has_passed_and_not_before() {
        let mut alarm = Alarm::new().unwrap();
        let early = moment();
        let to = early.after(Duration::from_millis(30));
        alarm.set(Some(early.after(Duration::from_secs(3600)))).unwrap();
        alarm.set(Some(to)).unwrap();
        alarm.ring().await.unwrap();
        assert!(moment() >= to);

        alarm.set(Some(early)).unwrap();
        alarm.ring().await.unwrap();
    }
}
