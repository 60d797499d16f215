//! What callers say of tokens that a resource refused.
//!
//! One of them is enough to have the token replaced, and however many say it, it is replaced once. A resource that
//! refuses every token, or a caller that says so, gets a new one ever more rarely: a ladder like that of refusals.

use std::time::Duration;

use super::waiting::Want;
use super::{Effect, Engine, Note, Party, Reason, Refusal, WaiterId};
use crate::config::ClientName;
use crate::time::{Moment, Now};

const MINUTE: Duration = Duration::from_secs(60);

/// How long after a renewal for this reason the next one can be.
const WAITS: [Duration; 4] =
    [MINUTE, MINUTE.saturating_mul(5), MINUTE.saturating_mul(15), MINUTE.saturating_mul(60)];

/// The rejections of one token key's tokens.
#[derive(Debug, Default)]
pub(super) struct Rejections {
    /// The generation that was said to be refused last.
    generation: u64,
    in_a_row: usize,
    /// When the next one has an effect.
    next: Option<Moment>,
}

impl Rejections {
    /// Whether a caller said that this generation is refused.
    pub(super) fn is_about(&self, generation: u64) -> bool {
        self.generation == generation
    }

    /// A new token replaces the one of this generation. If nobody had refused that, the bad days are over.
    pub(super) fn replaced(&mut self, generation: u64) {
        if self.generation < generation {
            *self = Self::default();
        }
    }

    /// When this generation can be replaced for this reason; the right to do so is taken.
    fn plan(&mut self, now: Moment, generation: u64) -> Moment {
        let longest = WAITS[WAITS.len() - 1];
        let at = self.next.map_or(now, |next| next.clamp(now, now.after(longest)));
        let wait = WAITS[self.in_a_row.min(WAITS.len() - 1)];
        *self = Self { generation, in_a_row: self.in_a_row + 1, next: Some(at.after(wait)) };
        at
    }
}

impl Engine {
    /// A resource refused a token of this generation. The token is served on meanwhile: the resource may be wrong, and
    /// others may take it.
    pub(super) fn rejected(
        &mut self,
        now: Now,
        waiter: WaiterId,
        client: &ClientName,
        handle: u64,
        generation: u64,
        deadline: Moment,
    ) {
        let Some(token) = self.tokens.get(&handle).filter(|token| token.client == *client) else {
            return self.answer(waiter, Err(Refusal::forgotten(client, now)));
        };
        token.cell.used(now.boot);
        // A generation that there never was says nothing about the one there is.
        let is_current = generation == token.generation && token.servable(now.boot).is_some();
        let want = Want::Newer { than: if is_current { generation } else { 0 } };
        if is_current && let Err(next) = self.renew_rejected(now, handle, generation) {
            let failed = self.tokens.get(&handle).is_some_and(|token| token.last_failure.is_some());
            let refusal = match failed {
                true => self.refusal(handle, now),
                false => Refusal::rejected_too_often(client, next),
            };
            if deadline < next {
                return self.answer(waiter, Err(refusal));
            }
        }
        self.wait(now, waiter, handle, want, deadline);
    }

    /// Makes the rejected token's renewal due, now or as soon as it may be.
    fn renew_rejected(&mut self, now: Now, handle: u64, generation: u64) -> Result<(), Moment> {
        let Some(token) = self.tokens.get_mut(&handle) else { return Ok(()) };
        if !token.is_idle() || token.rejections.generation == generation {
            // On its way, or planned.
            return token.due.filter(|due| now.boot < *due).map_or(Ok(()), Err);
        }
        let at = token.rejections.plan(now.boot, generation).max(token.not_before);
        let due = token.due.map_or(at, |due| due.min(at));
        self.effects.push_back(Effect::Note(Note::Rejected {
            client: token.client.clone(),
            narrowing: token.narrowing.clone(),
            generation,
            next_try_in: now.boot.until(due),
        }));
        self.set_due(handle, Some(due));
        if now.boot < due { Err(due) } else { Ok(()) }
    }
}

impl Refusal {
    fn forgotten(client: &ClientName, now: Now) -> Self {
        Self {
            reason: Reason::NoToken,
            fixed_by: None,
            message: format!("this token of client {client} is not kept any more"),
            hint: Some("get the token again".into()),
            next_try: Some(now.boot),
            of_key_store: false,
        }
    }

    fn rejected_too_often(client: &ClientName, next: Moment) -> Self {
        Self {
            reason: Reason::NoToken,
            fixed_by: Some(Party::Operator),
            message: format!(
                "this token of client {client} was fetched because a resource refused the one before, and the next \
                 one is not due yet"
            ),
            hint: Some("check that the resource takes this client's tokens: a new one may not help".into()),
            next_try: Some(next),
            of_key_store: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: u64) -> Moment {
        Moment::BOOT.after(Duration::from_secs(60 * minutes))
    }

    #[test]
    fn s46_each_refused_generation_is_replaced_ever_more_rarely() {
        let mut rejections = Rejections::default();
        let mut now = at(0);
        let mut pauses = Vec::new();
        for generation in 1..=6 {
            let planned = rejections.plan(now, generation);
            pauses.push(planned.since(now));
            rejections.replaced(generation);
            now = planned;
        }
        assert_eq!(pauses, [0, 1, 5, 15, 60, 60].map(|minutes| MINUTE * minutes));
    }

    #[test]
    fn generations_that_are_replaced_for_other_reasons_do_not_put_it_off_for_ever() {
        let mut rejections = Rejections::default();
        (1..=100).for_each(|generation| {
            assert!(rejections.plan(at(0), generation) <= at(60));
        });
    }

    #[test]
    fn a_token_that_nobody_refused_ends_the_series() {
        let mut rejections = Rejections::default();
        assert_eq!(rejections.plan(at(0), 1), at(0));
        rejections.replaced(1);
        assert_eq!(rejections.plan(at(0), 2), at(1));
        rejections.replaced(2);
        assert!(rejections.next.is_some());
        rejections.replaced(3);
        assert_eq!(rejections.plan(at(0), 4), at(0));
    }
}
