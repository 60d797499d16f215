//! How many records the processes of one user may cause: who connects again and again would otherwise fill the disk, or make
//! the journal drop what others cause.
//!
//! What is beyond the budget is counted, and summed up in a record of its own now and then.

use std::collections::HashMap;
use std::time::Duration;

use tokenbroker_core::time::Moment;

use super::records::Kind;

/// So many users have budgets of their own for a kind of record at a time; those beyond share one.
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

/// What each user has left, by kind: very many users who are denied leave those who get tokens theirs.
#[derive(Debug, Default)]
pub(super) struct Budgets(HashMap<Kind, Users>);

/// `None` is whoever has no budget of its own.
type Users = HashMap<Option<u32>, Budget>;

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
        let users = self.0.entry(kind).or_default();
        let whose = whose(users, uid, now);
        let budget = users.entry(whose).or_insert(Budget { whole_at: now, more: 0 });
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
        let all = self.0.iter_mut().flat_map(|(kind, users)| users.iter_mut().map(move |user| (kind, user)));
        let counted = all.filter(|(_, (_, budget))| budget.more > 0);
        counted.map(|(kind, (uid, budget))| (*uid, *kind, std::mem::take(&mut budget.more))).collect()
    }
}

/// The user itself, or whoever has no budget of its own.
fn whose(users: &mut Users, uid: Option<u32>, now: Moment) -> Option<u32> {
    if users.len() >= MOST_USERS && !users.contains_key(&uid) {
        users.retain(|_, budget| budget.whole_at > now || budget.more > 0);
        if users.len() >= MOST_USERS {
            return None;
        }
    }
    uid
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
        let users = |budgets: &Budgets| budgets.0[&Kind::Denied].len();
        assert!(users(&budgets) <= MOST_USERS + 1, "{}", users(&budgets));
        assert_eq!(
            spent(&mut budgets, 100_001, Kind::Token, at(0), 2000),
            1000,
            "tokens have room of their own"
        );
        assert!(budgets.spend(Some(100_000), Kind::Denied, at(1000)), "those who are quiet make room");
        assert!(users(&budgets) <= MOST_USERS + 1);
    }
}
