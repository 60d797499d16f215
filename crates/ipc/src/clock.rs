//! The clock that callers and the daemon have in common.

use std::time::Duration;

use crate::system;

/// The time since the host started, suspend included (CLOCK_BOOTTIME). Reading it is no system call.
///
/// It is the same for all processes of a host, but for those in a time namespace of their own. On Windows, where it is
/// what GetTickCount64 shows, it moves in steps of up to 16 ms.
pub fn boot_time() -> Duration {
    system::boot_time()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on() {
        let before = boot_time();
        while boot_time() == before {
            std::thread::yield_now();
        }
        assert!((before..before + Duration::from_secs(60)).contains(&boot_time()));
    }

    #[cfg(unix)]
    #[test]
    fn it_is_the_kernels_and_never_goes_back() {
        let uptime = || std::fs::read_to_string("/proc/uptime").unwrap();
        let seconds = |text: &str| text.split(' ').next().unwrap().parse::<f64>().unwrap();
        let before = seconds(&uptime());
        let (first, second) = (boot_time(), boot_time());
        let after = seconds(&uptime());
        assert!(first <= second);
        // /proc has hundredths.
        assert!((before - 0.01..after + 0.02).contains(&first.as_secs_f64()), "{before} {first:?} {after}");
    }
}
