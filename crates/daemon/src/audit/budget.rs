//! How many records the processes of one user may cause: who connects again and again would otherwise fill the disk, or make
//! the journal drop what others cause.
//!
//! What is beyond the budget is counted, and summed up in a record of its own now and then.

use std::collections::HashMap;
use std::time::Duration;

use tokenbroker_core::time::Moment;

use super::records::Kind;

/// So many users have budgets of their own at a time; those beyond share one.
const MOST_USERS: usize = 1024;

/// How many records of a kind a user may cause at once, and how long it takes until it may cause one more.
struct Rate {
    at_once: u32,
    every: Duration,
}

impl Kind {
    /// A program may well have a thousand clients, and gets all their tokens when it starts. Whoever is denied has no such
    /// reason.
    fn rate(self) -> Rate {
        match self {
            Self::Token | Self::Administration => Rate { at_once: 1000, every: Duration::from_millis(200) },
            Self::Denied | Self::Refused => Rate { at_once: 100, every: Duration::from_secs(1) },
        }
    }
}

/// Whose budget it is: a user and a kind of record. `None` is whoever has none of its own.
type Of = (Option<u32>, Kind);

/// What each user has left.
#[derive(Debug, Default)]
pub(super) struct Budgets(HashMap<Of, Budget>);

/// What is spent grows back: it is whole again at a moment that each record puts off.
#[derive(Debug)]
struct Budget {
    whole_at: Moment,
    /// Records that there was no room for since it was last summed up.
    more: u64,
}

impl Budgets {
    /// Whether there is room for one more record; if not, it is counted.
    pub(super) fn spend(&mut self, uid: Option<u32>, kind: Kind, now: Moment) -> bool {
        let Rate { at_once, every } = kind.rate();
        let of = self.whose(uid, kind, now);
        let budget = self.0.entry(of).or_insert(Budget { whole_at: now, more: 0 });
        let whole_at = budget.whole_at.max(now).after(every);
        let has_room = now.until(whole_at) <= every * at_once;
        if has_room {
            budget.whole_at = whole_at;
        } else {
            budget.more += 1;
        }
        has_room
    }

    /// What was counted since this was last asked, by user and kind.
    pub(super) fn sum_up(&mut self) -> Vec<(Option<u32>, Kind, u64)> {
        let counted = self.0.iter_mut().filter(|(_, budget)| budget.more > 0);
        counted.map(|((uid, kind), budget)| (*uid, *kind, std::mem::take(&mut budget.more))).collect()
    }

    fn whose(&mut self, uid: Option<u32>, kind: Kind, now: Moment) -> Of {
        if self.0.len() >= MOST_USERS && !self.0.contains_key(&(uid, kind)) {
            self.0.retain(|_, budget| budget.whole_at > now || budget.more > 0);
            if self.0.len() >= MOST_USERS {
                return (None, kind);
            }
        }
        (uid, kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::BOOT.after(Duration::from_secs(seconds))
    }

    fn spent(budgets: &mut Budgets, uid: u32, kind: Kind, now: Moment, times: u32) -> usize {
        (0..times).filter(|_| budgets.spend(Some(uid), kind, now)).count()
    }

    #[test]
    fn what_is_spent_grows_back_and_what_is_beyond_is_counted_once() {
        let mut budgets = Budgets::default();
        assert_eq!(spent(&mut budgets, 1, Kind::Token, at(0), 60_000), 1000);
        assert_eq!(budgets.sum_up(), [(Some(1), Kind::Token, 59_000)]);
        assert_eq!(budgets.sum_up(), []);
        assert_eq!(spent(&mut budgets, 1, Kind::Token, at(10), 60_000), 50);
        assert_eq!(spent(&mut budgets, 1, Kind::Token, at(1000), 60_000), 1000, "and no more than that");
    }

    #[test]
    fn nobody_and_no_kind_of_record_has_the_budget_of_another() {
        let mut budgets = Budgets::default();
        assert_eq!(spent(&mut budgets, 1, Kind::Denied, at(0), 1000), 100);
        assert_eq!(spent(&mut budgets, 1, Kind::Token, at(0), 1), 1);
        assert_eq!(spent(&mut budgets, 2, Kind::Denied, at(0), 1), 1);
    }

    #[test]
    fn very_many_users_take_no_more_room_than_some() {
        let mut budgets = Budgets::default();
        for uid in 0..100_000 {
            budgets.spend(Some(uid), Kind::Denied, at(0));
        }
        assert!(budgets.0.len() <= MOST_USERS + 1, "{}", budgets.0.len());
        assert!(budgets.spend(Some(100_000), Kind::Denied, at(1000)), "those who are quiet make room");
        assert!(budgets.0.len() <= MOST_USERS + 1);
    }
}
