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

/// The wall clock as of the kernel's last tick, a few milliseconds ago at most: good enough for people, and read from memory
/// without asking the processor for the time.
#[expect(clippy::disallowed_methods, reason = "this is where the daemon reads the wall clock")]
pub(crate) fn about_since_epoch() -> Duration {
    let time = clock_gettime(ClockId::RealtimeCoarse);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Both clocks.
pub(crate) fn now() -> Now {
    Now { boot: moment(), unix: since_epoch().as_secs() }
}

/// Both clocks, and which start of the host the first one counts from: for what may be read after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) boot: Moment,
    /// Since 1970 (UTC).
    pub(crate) wall: Duration,
    /// Random for each start of the host; `None` if the kernel does not tell.
    pub(crate) boot_id: Option<[u8; 16]>,
}

/// Where the kernel tells its boot ID. The service's own /proc has processes alone (`ProcSubset=`), and there is a second one.
const BOOT_ID: [&str; 2] =
    ["/proc/sys/kernel/random/boot_id", "/run/tokenbrokerd/proc/sys/kernel/random/boot_id"];

/// What the clocks read now, for another boot to understand.
pub(crate) fn reading() -> Reading {
    let text = BOOT_ID.iter().find_map(|path| std::fs::read_to_string(path).ok());
    let boot_id = text.and_then(|text| parse_boot_id(&text));
    Reading { boot: moment(), wall: since_epoch(), boot_id }
}

/// Hexadecimal digits with dashes between some of them.
fn parse_boot_id(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.trim_ascii_end().chars().filter(|digit| *digit != '-').collect();
    let id = u128::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 32)?;
    Some(id.to_be_bytes())
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

/// Tells when the wall clock was set. Nothing here counts on that clock, but servers' replies are compared with it.
#[derive(Debug)]
pub(crate) struct WallClock {
    timer: AsyncFd<OwnedFd>,
}

impl WallClock {
    /// Takes a runtime with I/O.
    #[expect(
        deprecated,
        reason = "its successor is unsafe for descriptors that can be closed; an OwnedFd can't"
    )]
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Realtime, flags)?;
        // It never expires. That it is cancelled is what it is for.
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let never = Itimerspec { it_interval: zero, it_value: Timespec { tv_sec: i64::MAX, tv_nsec: 0 } };
        timerfd_settime(&timer, TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET, &never)?;
        Ok(Self { timer: AsyncFd::new(timer)? })
    }

    /// Waits until it is set.
    pub(crate) async fn is_set(&mut self) -> io::Result<()> {
        loop {
            let mut ready = self.timer.readable().await?;
            let mut expirations = [0; 8];
            let read = rustix::io::read(self.timer.get_ref(), &mut expirations);
            ready.clear_ready();
            match read {
                // The timer stays armed, and is cancelled again the next time.
                Err(rustix::io::Errno::CANCELED) => return Ok(()),
                Ok(_) | Err(rustix::io::Errno::AGAIN) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

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
    #[tokio::test(flavor = "current_thread")]
    async fn s47_the_wall_clock_is_watched_for_being_set_and_nothing_else() {
        let mut clock = WallClock::new().unwrap();
        let info = format!("/proc/self/fdinfo/{}", clock.timer.get_ref().as_raw_fd());
        let info = std::fs::read_to_string(info).unwrap();
        // CLOCK_REALTIME; TFD_TIMER_ABSTIME and TFD_TIMER_CANCEL_ON_SET.
        assert!(info.contains("clockid: 0\n") && info.contains("settime flags: 03\n"), "{info}");
        assert!(futures_util::poll!(std::pin::pin!(clock.is_set())).is_pending());
    }

    #[test]
    fn two_readings_are_of_the_same_boot() {
        let (first, second) = (reading(), reading());
        assert!(first.boot <= second.boot);
        assert!(first.boot_id.is_some());
        assert_eq!(first.boot_id, second.boot_id);
    }

    #[test]
    fn a_boot_id_is_sixteen_bytes() {
        let id = parse_boot_id("00112233-4455-6677-8899-aabbccddeeff\n");
        assert_eq!(
            id,
            Some([
                0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff
            ])
        );
        for none in
            ["", "0011", "00112233-4455-6677-8899-aabbccddeefg", "00112233-4455-6677-8899-aabbccddeeff00"]
        {
            assert_eq!(parse_boot_id(none), None, "{none}");
        }
    }
}
