//! A client's state in plain words: what happened, what happens next, and when.

use std::fmt::Write;
use std::time::Duration;

use super::attempt::Stage;
use super::expiry::NOTICE;
use super::failure::Failure;
use super::issuer::IssuerState;
use super::token::TokenState;
use super::{ClientStatus, Engine, Expiring, NextCredential, Outcomes};
use crate::time::{Moment, Now};

/// How many of the narrower token keys that have a failure are listed.
const MOST_NARROWED: usize = 8;

impl Engine {
    /// What happened to a client, what happens next and when, a sentence or two in each line; `None` if it is not
    /// configured. Of the key store it says what is for administrators.
    pub fn explain(&self, client: &str, now: Now) -> Option<Vec<String>> {
        let state = self.clients.get(client)?;
        let token = self.tokens.get(&state.configured)?;
        let status = self.status(client, now)?;
        let mut lines = vec![holds(token, now.boot)];
        lines.extend(was_refused(token, now.boot));
        lines.extend(self.went_wrong(token, now.boot));
        lines.push(self.happens_next(token, now.boot));
        if status.waiting > 0 {
            lines.push(format!(
                "{} for it now.",
                count(status.waiting as u64, "caller waits", "callers wait")
            ));
        }
        if let Some(credential) = &state.credential {
            let trust = match (state.accepted_before(), state.refusals.is_empty()) {
                (true, _) => "got a token before",
                (false, true) => "has not been tried yet",
                (false, false) => "was never accepted",
            };
            let (version, store) = (&credential.version, credential.store.name());
            lines.push(format!("Its credential, version {version} in the {store}, {trust}."));
        }
        lines.extend(status.next_credential.as_ref().map(|next| of_next(client, next)));
        lines.extend(self.expiries(now, &status.client).into_iter().map(|one| expires(client, one)));
        if status.narrowed > 0 {
            let keys = count(status.narrowed as u64, "narrower token", "narrower tokens");
            lines.push(format!("Callers asked for {keys} lately; each is kept warm while it is used."));
        }
        let narrowed = state.narrowed.values().filter_map(|handle| self.tokens.get(handle));
        lines.extend(narrowed.filter_map(|token| without_a_token(token, now.boot)).take(MOST_NARROWED));
        if let Some(offset) = status.clock_offset {
            let direction = if offset > 0 { "ahead of" } else { "behind" };
            let apart = words(Duration::from_secs(offset.unsigned_abs()));
            let whose = if state.dates_by_our_clock {
                "this host's: one dated by the server's was refused"
            } else {
                "the server's"
            };
            lines.push(format!(
                "The server's clock is {apart} {direction} this host's; assertions are dated by {whose}."
            ));
        }
        lines.push(metering(&status));
        Some(lines)
    }

    fn is_being_discovered(&self, token: &TokenState) -> bool {
        self.issuers.get(token.config.issuer.name.as_str()).is_some_and(IssuerState::is_being_discovered)
    }

    fn went_wrong(&self, token: &TokenState, now: Moment) -> Option<String> {
        let (failure, _) = self.obstacle(token);
        let failure = failure?;
        let code = match failure.message.contains(failure.code) {
            true => String::new(),
            false => format!(" ({})", failure.code),
        };
        let mut line = format!("The last attempt failed{code}: {}.", failure.message);
        if token.servable(now).is_some() {
            line.push_str(" The token there is goes on being served.");
        }
        if let Some(hint) = &failure.hint {
            let _never_fails = write!(line, " What to do: {hint}.");
        }
        Some(line)
    }

    fn happens_next(&self, token: &TokenState, now: Moment) -> String {
        let (failure, next_try) = self.obstacle(token);
        match &token.stage {
            Stage::Idle => match next_try {
                None if self.kept.is_loading() => {
                    "The tokens kept from before the restart are being read.".into()
                }
                None => "The key store is being asked which credentials there are.".into(),
                Some(next) => {
                    let when = when(now, next);
                    match failure {
                        Some(failure) => format!("It is tried again {when}, {}.", why_then(failure)),
                        None if now < token.not_before => format!(
                            "It is asked for again {when}: the server issued the same token again when it was last asked."
                        ),
                        None => format!("It is renewed {when}."),
                    }
                }
            },
            Stage::Behind => {
                "Another token of this client tries the credential first; this one follows at once.".into()
            }
            Stage::Queued { .. } if self.is_being_discovered(token) => {
                "It waits for its turn: the issuer is being asked where its token endpoint is.".into()
            }
            Stage::Queued { urgent, .. } => {
                let rank = if *urgent { "among" } else { "behind" };
                format!(
                    "It waits for its turn at the issuer, {rank} those that callers wait for: max_in_flight and \
                     max_per_second are used up."
                )
            }
            Stage::Ready { .. } => {
                "A renewal is under way: the token request is sent as soon as max_per_second lets it.".into()
            }
            Stage::Loading => {
                "A renewal is under way: the key store is being asked for the credential.".into()
            }
            Stage::Discovering { .. } => {
                "A renewal is under way: the issuer is being asked where its token endpoint is.".into()
            }
            Stage::Signing { .. } => "A renewal is under way: the key store is signing the assertion.".into(),
            Stage::Sending { requested_at, .. } => format!(
                "A renewal is under way: the token request was sent {} ago; it is given up {} after it was sent.",
                words(now.since(*requested_at)),
                words(token.config.issuer.timeout)
            ),
        }
    }
}

/// A caller's word of it is the reason for what happens next.
fn was_refused(token: &TokenState, now: Moment) -> Option<String> {
    token.servable(now).filter(|held| token.rejections.is_about(held.generation)).map(|_| {
        "A caller said that a resource refused this token before its time, which is why another one is asked for; \
         until then it is served."
            .into()
    })
}

/// Of a narrower token key that has a failure and nothing to serve. Without the failure's words: they may be the key
/// store's, and one client can have many.
fn without_a_token(token: &TokenState, now: Moment) -> Option<String> {
    let failure = token.pressing_failure(now).filter(|_| token.servable(now).is_none())?;
    let next = token.due.map(|due| format!("; it is tried again {}", when(now, due))).unwrap_or_default();
    Some(format!("There is no token for {} ({}){next}.", token.narrowing, failure.code))
}

fn holds(token: &TokenState, now: Moment) -> String {
    let Some(held) = token.servable(now) else {
        return match (token.generation, &token.held) {
            (0, _) => "It has no token yet.".into(),
            (generation, Some(_)) => format!("Its last token, generation {generation}, has expired."),
            (generation, None) => format!(
                "It has no token: the last one, generation {generation}, went with the credential or the configuration \
                 that it was issued for."
            ),
        };
    };
    let mut line = format!(
        "It has a token, generation {}, for another {}; it was issued for {}.",
        held.generation,
        words(now.until(held.expires)),
        words(held.lifetime)
    );
    let configured = token.config.scope.as_ref().map(ToString::to_string);
    if let Some(scope) = held.scope.as_ref().filter(|scope| configured.is_some_and(|asked| asked != **scope))
    {
        let _never_fails = write!(line, " The server granted no more than scope \"{scope}\".");
    }
    line
}

fn why_then(failure: &Failure) -> &'static str {
    match (failure.retry_after, failure.class) {
        (Some(_), _) => "as the server asked (Retry-After)",
        (None, tokenbroker_oauth::Class::Transient) => {
            "at a random time within a back-off of a minute at most"
        }
        (None, _) => {
            "and then ever more rarely, up to once an hour; a new credential, a changed configuration or \
             `tokenbroker renew` is tried at once"
        }
    }
}

/// What becomes of the credential that is to take the place of the one in use.
fn of_next(client: &str, next: &NextCredential) -> String {
    let NextCredential { stored, refused, refused_for, next_try_in } = next;
    let version = &stored.version;
    let Some(failure) = refused else {
        return format!(
            "A next credential, version {version}, is there: the next token request tries it, and `tokenbroker renew \
             {client}` makes one now."
        );
    };
    let when = match next_try_in.is_zero() {
        true => "with the next token request".into(),
        false => format!("with the first token request in {} or later", words(*next_try_in)),
    };
    let remedy = failure.hint.as_ref().map(|hint| format!(" What to do: {hint}.")).unwrap_or_default();
    format!(
        "The next credential, version {version}, was refused ({}), for the first time {} ago: {}. The one in use is used further; the next \
         one is tried again {when}, or given up by `tokenbroker secret remove {client} --next`.{remedy}",
        failure.code,
        words(*refused_for),
        failure.message
    )
}

fn expires(client: &str, (what, left): (Expiring, Option<Duration>)) -> String {
    let (what, remedy) = match what {
        Expiring::Credential => (
            "secret",
            format!("have another one issued and store it: `tokenbroker secret set {client} --next`"),
        ),
        Expiring::Certificate => {
            ("certificate", "have it renewed, put the new one in its place, then `tokenbroker reload`".into())
        }
    };
    match left {
        None => format!("Its {what} has expired. What to do: {remedy}."),
        Some(left) if left <= NOTICE => {
            format!("Its {what} expires in {}. What to do: {remedy}.", words(left))
        }
        Some(left) => format!("Its {what} expires in {}.", words(left)),
    }
}

fn metering(status: &ClientStatus) -> String {
    let Outcomes { issued, transient, credential, request } = status.outcomes;
    let mut line = format!(
        "Since the start: {}, of which {} got a token",
        count(status.token_requests, "token request", "token requests"),
        grouped(issued)
    );
    let failures = [
        (transient, "failed for the moment"),
        (credential, "had the credential refused"),
        (request, if request == 1 { "was refused" } else { "were refused" }),
    ];
    for (number, words) in failures.into_iter().filter(|(number, _)| *number > 0) {
        let _never_fails = write!(line, ", {} {words}", grouped(number));
    }
    let gets = count(status.gets, "token given to a caller", "tokens given to callers");
    let _never_fails = match status.gets_from_cache {
        _ if status.gets == 0 => write!(line, "; no token was given to a caller yet."),
        0 => write!(line, "; {gets}, none of them from the cache."),
        cached => {
            let avoided = count(cached, "token request", "token requests");
            write!(line, "; {gets}, {} of them from the cache: {avoided} avoided.", grouped(cached))
        }
    };
    line
}

fn when(now: Moment, then: Moment) -> String {
    if then <= now { "now".into() } else { format!("in {}", words(now.until(then))) }
}

fn count(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// A number with a comma before each three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A duration as people say it: its two largest units.
fn words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, 0) => "less than a second".into(),
        (0, 0, 0, seconds) => format!("{seconds} s"),
        (0, 0, minutes, 0) => format!("{minutes} min"),
        (0, 0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (0, hours, 0, _) => format!("{hours} h"),
        (0, hours, minutes, _) => format!("{hours} h {minutes} min"),
        (days, hours, ..) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_threes() {
        let said = [0, 999, 1_000, 30_412, 1_234_567].map(grouped);
        assert_eq!(said, ["0", "999", "1,000", "30,412", "1,234,567"]);
        assert_eq!(grouped(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn durations_are_said_in_their_two_largest_units() {
        let said = [0, 1, 60, 61, 3600, 3660, 3599, 86_400, 100_000]
            .map(|seconds| words(Duration::from_secs(seconds)));
        let expected = [
            "less than a second",
            "1 s",
            "1 min",
            "1 min 1 s",
            "1 h",
            "1 h 1 min",
            "59 min 59 s",
            "1 d 0 h",
            "1 d 3 h",
        ];
        assert_eq!(said, expected);
    }
}
