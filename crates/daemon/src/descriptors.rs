//! How many descriptors the daemon may have: each caller is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// As in the unit. More would only make the kernel's table larger.
const WANTED: u64 = 65_536;

/// Raises the soft limit as far as the hard one lets it: from a shell the former is most often 1,024, which is as many
/// connections as one user may have.
pub(crate) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(WANTED, |hard| hard.min(WANTED));
    if limit.current.is_some_and(|soft| soft < wanted) {
        let raised = Rlimit { current: Some(wanted), maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!("the limit of descriptors stays at {:?}: {error}", limit.current);
        }
    }
}

/// How many there may be now.
pub(crate) fn limit() -> u32 {
    let limit = getrlimit(Resource::Nofile).current;
    limit.map_or(u32::MAX, |soft| u32::try_from(soft).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_and_never_lowered() {
        let before = getrlimit(Resource::Nofile);
        raise_limit();
        let after = getrlimit(Resource::Nofile);
        assert_eq!(after.maximum, before.maximum);
        let hard = before.maximum.unwrap_or(u64::MAX);
        assert!(after.current.is_none_or(|soft| soft >= WANTED.min(hard)), "{after:?}");
        assert!(after.current.unwrap_or(u64::MAX) >= before.current.unwrap_or(u64::MAX));
    }
}
