//! Tokens.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::HeaderValue;
use tokenbroker_protocol as protocol;
use tokenbroker_secret::SecretString;

use crate::ProtocolError;
use crate::clock::boot_time;
use crate::key::{Complaint, Key};
use crate::session::Instance;

/// The end of the year 9999. RFC 3339 goes no further, and some systems' clocks not much.
const LAST: Duration = Duration::from_secs(253_402_300_799);

/// A token that may be used now.
///
/// A clone costs no more than counting. The token is wiped when the last clone and the last of its
/// [headers](Self::header) are gone; `Debug` does not show it.
///
/// Ask for one whenever one is needed instead of keeping it: the broker knows the current one, and this one expires.
#[derive(Clone)]
pub struct Token(pub(crate) Arc<Handle>);

/// One of perhaps several counters of the same token: see [`Token::another`].
pub(crate) struct Handle {
    /// By the boot clock. Here, and not with what else never changes, because every get looks at it.
    serve_until: Duration,
    /// By the boot clock, too.
    expires: Duration,
    facts: Arc<Facts>,
    /// Made when it is asked for first: whoever presents the token in another way does without.
    header: OnceLock<HeaderValue>,
    min_ttl_met: bool,
}

/// What never changes about a token.
struct Facts {
    key: Arc<Key>,
    value: Arc<SecretString>,
    kind: Box<str>,
    /// As in a header: `Bearer eyJ...`, made when the first header is asked for.
    text: OnceLock<Arc<SecretString>>,
    expires_at: SystemTime,
    scope: Option<Box<str>>,
    instance: Instance,
    handle: u64,
    generation: u64,
    /// How long the caller that asked for it was ready to wait.
    wait: Option<Duration>,
}

/// Which daemon gave a token, and when by our boot clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) instance: Instance,
    pub(crate) answered: Duration,
    pub(crate) wait: Option<Duration>,
}

impl Token {
    pub(crate) fn new(token: protocol::Token, origin: Origin, key: Arc<Key>) -> Result<Self, ProtocolError> {
        if !is_presentable(&token.token_type) || !is_presentable(token.access_token.expose()) {
            return Err(ProtocolError::Unpresentable);
        }
        let expires_in = Duration::from_millis(token.expires_in_ms);
        let serve_for = Duration::from_millis(token.serve_for_ms).min(expires_in);
        let expires_at = UNIX_EPOCH.checked_add(Duration::from_millis(token.expires_at_ms).min(LAST));
        let facts = Facts {
            key,
            value: Arc::new(token.access_token),
            kind: token.token_type.into(),
            text: OnceLock::new(),
            expires_at: expires_at.unwrap_or(UNIX_EPOCH),
            scope: token.scope.map(Into::into),
            instance: origin.instance,
            handle: token.handle,
            generation: token.generation,
            wait: origin.wait,
        };
        Ok(Self(Arc::new(Handle {
            // Given out later, it would expire on its way to the resource.
            serve_until: origin.answered.saturating_add(serve_for),
            expires: origin.answered.saturating_add(expires_in),
            facts: Arc::new(facts),
            header: OnceLock::new(),
            min_ttl_met: token.min_ttl_met,
        })))
    }

    /// The client whose token it is.
    pub fn client(&self) -> &str {
        &self.facts().key.client
    }

    /// The token itself.
    pub fn value(&self) -> &str {
        self.facts().value.expose()
    }

    /// How to present it: always `Bearer` for now (RFC 6750).
    pub fn token_type(&self) -> &str {
        &self.facts().kind
    }

    /// What belongs into an `Authorization` header. Marked as sensitive, so that it is neither printed nor compressed;
    /// a clone of what is there from the first time on, so that it costs nothing to ask for.
    pub fn header(&self) -> HeaderValue {
        self.0.header.get_or_init(|| header(self.facts().text())).clone()
    }

    /// How long it may still be used, from now. Zero when it has expired.
    pub fn expires_in(&self) -> Duration {
        self.expires_in_at(boot_time())
    }

    fn expires_in_at(&self, now: Duration) -> Duration {
        self.0.expires.saturating_sub(now)
    }

    /// When it expires by the wall clock, which may be wrong or be set: for people and for other hosts.
    /// [`expires_in`](Self::expires_in) counts the time that passes.
    pub fn expires_at(&self) -> SystemTime {
        self.facts().expires_at
    }

    /// What was granted, separated by spaces, if the request or the authorization server named a scope.
    pub fn scope(&self) -> Option<&str> {
        self.facts().scope.as_deref()
    }

    /// Counts up with each new token; comparable as long as the daemon is not restarted.
    pub fn generation(&self) -> u64 {
        self.facts().generation
    }

    /// Whether it lives as long as was asked with [`TokenRequest::min_ttl`](crate::TokenRequest::min_ttl).
    pub fn min_ttl_met(&self) -> bool {
        self.0.min_ttl_met
    }

    /// Says that a resource refused this token, most often with 401. Costs nothing and can't fail: the next get for the
    /// same from the same broker tells the daemon, and brings what comes of it. After that the matter is settled: while the
    /// daemon has no newer token, the get that reports it fails and says when to expect one, and later ones bring this
    /// token again, which other resources may well take.
    ///
    /// The broker's `rejected` does both in one step. A 403 is not the token's fault.
    pub fn rejected(&self) {
        self.facts().key.complain(self.complaint(), self.0.expires);
    }

    pub(crate) fn complaint(&self) -> Complaint {
        let Facts { instance, handle, generation, ref value, .. } = *self.facts();
        Complaint { instance, handle, generation, value: Arc::clone(value) }
    }

    pub(crate) fn key(&self) -> &Arc<Key> {
        &self.facts().key
    }

    pub(crate) fn wait(&self) -> Option<Duration> {
        self.facts().wait
    }

    /// Whether a cache may give it out at `now` to somebody who needs it for `min_ttl`.
    pub(crate) fn is_fresh(&self, now: Duration, min_ttl: Duration) -> bool {
        self.0.is_fresh(now, min_ttl)
    }

    /// Whether it is of the same token key of the same daemon instance as the other, and as new or newer.
    pub(crate) fn succeeds(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.facts(), other.facts());
        ours.instance == theirs.instance
            && ours.handle == theirs.handle
            && ours.generation >= theirs.generation
    }

    /// Whether what was said against some token is about this one, as far as one can know.
    pub(crate) fn is_meant_by(&self, complaint: &Complaint) -> bool {
        let facts = self.facts();
        match facts.instance == complaint.instance && facts.handle == complaint.handle {
            true => facts.generation <= complaint.generation,
            false => *facts.value == *complaint.value,
        }
    }

    /// The same token with counters of its own, for threads that would be in each other's way with one.
    pub(crate) fn another(&self) -> Self {
        let facts = Arc::clone(&self.0.facts);
        Self(Arc::new(Handle { facts, header: OnceLock::new(), ..*self.0 }))
    }

    /// The same token, given to somebody who asked for one that lives this long.
    pub(crate) fn for_min_ttl(&self, now: Duration, min_ttl: Duration) -> Self {
        let min_ttl_met = self.expires_in_at(now) >= min_ttl;
        Self(Arc::new(Handle {
            facts: Arc::clone(&self.0.facts),
            header: self.0.header.clone(),
            min_ttl_met,
            ..*self.0
        }))
    }

    fn facts(&self) -> &Facts {
        &self.0.facts
    }
}

impl Facts {
    fn text(&self) -> &Arc<SecretString> {
        self.text.get_or_init(|| {
            let (kind, value) = (&*self.kind, self.value.expose());
            let mut text = String::with_capacity(kind.len() + 1 + value.len());
            text.extend([kind, " ", value]);
            Arc::new(SecretString::new(text))
        })
    }
}

impl Handle {
    /// See [`Token::is_fresh`].
    pub(crate) fn is_fresh(&self, now: Duration, min_ttl: Duration) -> bool {
        now < self.serve_until && self.expires.saturating_sub(now) >= min_ttl
    }
}

/// The same token from the same daemon.
impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.facts(), other.facts());
        ours.instance == theirs.instance
            && (ours.handle, ours.generation) == (theirs.handle, theirs.generation)
            && ours.value == theirs.value
    }
}

impl Eq for Token {}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("client", &self.client())
            .field("value", &self.facts().value)
            .field("scope", &self.scope())
            .field("generation", &self.generation())
            .field("expires_at", &self.expires_at())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handle")
    }
}

/// The text as a header that keeps it in memory, and wipes it with the last of both.
fn header(text: &Arc<SecretString>) -> HeaderValue {
    struct Kept(Arc<SecretString>);
    impl AsRef<[u8]> for Kept {
        fn as_ref(&self) -> &[u8] {
            self.0.expose().as_bytes()
        }
    }
    let header = HeaderValue::from_maybe_shared(Bytes::from_owner(Kept(Arc::clone(text))));
    // There is no token whose text is not presentable.
    let mut header = header.unwrap_or(HeaderValue::from_static(""));
    header.set_sensitive(true);
    header
}

/// Whether a header can hold it: nothing but visible ASCII and spaces (RFC 9110 section 5.5).
///
/// Looks at all of it, without an early end: many bytes at a time.
fn is_presentable(text: &str) -> bool {
    text.bytes().fold(true, |presentable, byte| presentable & matches!(byte, b' '..=b'~'))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::question::Get;

    const SECOND: Duration = Duration::from_secs(1);

    /// What a daemon answers: this many seconds to live, of which it may be cached for all but five.
    pub(crate) fn answer(text: &str, generation: u64, seconds: u64) -> protocol::Token {
        protocol::Token {
            access_token: text.into(),
            token_type: "Bearer".into(),
            expires_in_ms: seconds * 1000,
            serve_for_ms: seconds.saturating_sub(5) * 1000,
            answered_at_ms: 0,
            expires_at_ms: 2500,
            scope: None,
            generation,
            min_ttl_met: true,
            handle: 9,
        }
    }

    /// Answered 1,000 seconds after boot by the instance of all ones.
    pub(crate) fn token(text: &str, generation: u64, seconds: u64) -> Token {
        from(1, answer(text, generation, seconds))
    }

    pub(crate) fn from(instance: u8, answer: protocol::Token) -> Token {
        let origin = Origin { instance: [instance; 16], answered: 1000 * SECOND, wait: None };
        Token::new(answer, origin, Arc::new(Key::of(&Get::new("signtext"), &Arc::default()))).unwrap()
    }

    #[test]
    fn nothing_prints_a_token() {
        let token = token("eyJ-canary", 1, 60);
        for printed in [format!("{token:?}"), format!("{token:#?}"), format!("{:?}", token.header())] {
            assert!(!printed.contains("canary"), "{printed}");
        }
        assert!(format!("{token:?}").contains("[redacted]"));
    }

    #[test]
    fn the_header_is_type_and_token() {
        let token = token("eyJ", 1, 60);
        assert_eq!(token.header(), "Bearer eyJ");
        assert!(token.header().is_sensitive());
        assert_eq!((token.token_type(), token.value()), ("Bearer", "eyJ"));
    }

    #[test]
    fn all_headers_of_a_token_are_one_piece_of_memory() {
        let token = token("eyJ", 1, 60);
        let (header, other) = (token.header(), token.another().header());
        assert_eq!(header.as_bytes().as_ptr(), other.as_bytes().as_ptr());
        drop(token);
        assert_eq!(other, "Bearer eyJ");
    }

    #[test]
    fn s36_what_no_header_can_carry_is_no_token() {
        let origin = Origin { instance: [1; 16], answered: SECOND, wait: None };
        let key = Arc::new(Key::of(&Get::new("x"), &Arc::default()));
        let refused = Token::new(answer("a\r\nb", 1, 60), origin, key);
        assert!(matches!(refused, Err(ProtocolError::Unpresentable)));
    }

    #[test]
    fn s48_lifetime_counts_from_the_answer_and_over_a_suspend() {
        let token = token("eyJ", 1, 60);
        assert_eq!(token.expires_in_at(1000 * SECOND), 60 * SECOND);
        assert_eq!(token.expires_in_at(1059 * SECOND), SECOND);
        assert_eq!(token.expires_in_at(9000 * SECOND), Duration::ZERO);
        assert!(token.is_fresh(1054 * SECOND, Duration::ZERO));
        assert!(!token.is_fresh(1055 * SECOND, Duration::ZERO), "five seconds are left");
        assert!(token.is_fresh(1010 * SECOND, 50 * SECOND) && !token.is_fresh(1011 * SECOND, 50 * SECOND));
        assert_eq!(token.expires_at(), UNIX_EPOCH + Duration::from_millis(2500));
    }

    #[test]
    fn times_beyond_all_bounds_are_no_trouble() {
        let mut far = answer("eyJ", 1, 60);
        (far.expires_in_ms, far.serve_for_ms, far.expires_at_ms) = (u64::MAX, u64::MAX, u64::MAX);
        let far = from(1, far);
        assert!(far.is_fresh(1001 * SECOND, SECOND) && far.expires_at() == UNIX_EPOCH + LAST);
        let mut short = answer("eyJ", 1, 10);
        short.serve_for_ms = u64::MAX;
        assert!(!from(1, short).is_fresh(1010 * SECOND, Duration::ZERO));
    }

    #[test]
    fn s46_a_complaint_means_a_token_that_is_no_newer_or_has_the_same_text() {
        let complaint = token("old", 3, 60).complaint();
        assert!(token("old", 3, 60).is_meant_by(&complaint) && token("older", 2, 60).is_meant_by(&complaint));
        assert!(!token("new", 4, 60).is_meant_by(&complaint));
        assert!(from(2, answer("old", 1, 60)).is_meant_by(&complaint), "it outlived the daemon");
        assert!(!from(2, answer("new", 1, 60)).is_meant_by(&complaint));
    }
}
