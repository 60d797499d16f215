//! Bugs on demand, to show that the simulator would catch them. Only test builds have them: without the feature
//! `mutations` every question whether one is switched on is answered `false` while compiling.

use std::fmt;
use std::str::FromStr;

/// A bug that can be switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// Tokens are given out after they expired.
    ServePastExpiry,
    /// Renewals and retries come at fixed times.
    ForgetJitter,
    /// A caller that comes while a token request is under way causes another.
    DropSingleFlight,
    /// Retry-After is not obeyed.
    IgnoreRetryAfter,
    /// Lifetime counts from the reply instead of the request.
    CountFromReply,
    /// A caller that leaves takes the token request that it waited for with it.
    CancelWithWaiter,
    /// Budgets are not kept: what an outage held up starts all at once.
    HerdAfterOutage,
}

impl Mutation {
    /// All there are.
    pub const ALL: [Self; 7] = [
        Self::ServePastExpiry,
        Self::ForgetJitter,
        Self::DropSingleFlight,
        Self::IgnoreRetryAfter,
        Self::CountFromReply,
        Self::CancelWithWaiter,
        Self::HerdAfterOutage,
    ];

    /// Its name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::ServePastExpiry => "serve-past-expiry",
            Self::ForgetJitter => "forget-jitter",
            Self::DropSingleFlight => "drop-single-flight",
            Self::IgnoreRetryAfter => "ignore-retry-after",
            Self::CountFromReply => "count-from-reply",
            Self::CancelWithWaiter => "cancel-with-waiter",
            Self::HerdAfterOutage => "herd-after-outage",
        }
    }
}

impl fmt::Display for Mutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mutation {
    type Err = UnknownMutation;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|mutation| mutation.name() == text).ok_or(UnknownMutation)
    }
}

/// There is no mutation of this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no mutation of this name")]
pub struct UnknownMutation;

#[cfg(feature = "mutations")]
mod switched {
    use std::cell::Cell;

    use super::Mutation;

    thread_local! {
        static CURRENT: Cell<Option<Mutation>> = const { Cell::new(None) };
    }

    /// Switches a bug on for the engines that run on this thread; `None` switches it off.
    pub fn set(mutation: Option<Mutation>) {
        CURRENT.set(mutation);
    }

    pub(crate) fn is(mutation: Mutation) -> bool {
        CURRENT.get() == Some(mutation)
    }
}

#[cfg(feature = "mutations")]
pub(crate) use self::switched::is;
#[cfg(feature = "mutations")]
pub use self::switched::set;

#[cfg(not(feature = "mutations"))]
pub(crate) const fn is(_: Mutation) -> bool {
    false
}
