//! Tokens, and how to ask for one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokenbroker_protocol as protocol;
use tokenbroker_secret::SecretString;

use crate::session::Instance;

/// A token that may be used now. Wiped when dropped; its `Debug` does not show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    token: protocol::Token,
    instance: Instance,
    request: TokenRequest,
}

impl Token {
    /// What this instance of the daemon answered to the request.
    pub(crate) fn new(token: protocol::Token, instance: Instance, request: TokenRequest) -> Self {
        Self { token, instance, request }
    }

    pub(crate) fn instance(&self) -> Instance {
        self.instance
    }

    pub(crate) fn handle(&self) -> u64 {
        self.token.handle
    }

    pub(crate) fn request(&self) -> &TokenRequest {
        &self.request
    }

    /// The client whose token it is.
    pub fn client(&self) -> &str {
        &self.request.client
    }

    /// The token itself.
    pub fn value(&self) -> &str {
        self.token.access_token.expose()
    }

    /// How to present it: always `Bearer` for now (RFC 6750).
    pub fn token_type(&self) -> &str {
        &self.token.token_type
    }

    /// What belongs into an `Authorization` header.
    pub fn authorization_header(&self) -> SecretString {
        let (kind, value) = (self.token_type(), self.value());
        let mut header = String::with_capacity(kind.len() + 1 + value.len());
        header.extend([kind, " ", value]);
        SecretString::new(header)
    }

    /// How long it could still be used when the daemon answered.
    pub fn expires_in(&self) -> Duration {
        Duration::from_millis(self.token.expires_in_ms)
    }

    /// When it expires by the wall clock.
    pub fn expires_at(&self) -> SystemTime {
        UNIX_EPOCH.checked_add(Duration::from_millis(self.token.expires_at_ms)).unwrap_or(UNIX_EPOCH)
    }

    /// What was granted, separated by spaces, if the request or the authorization server named a scope.
    pub fn scope(&self) -> Option<&str> {
        self.token.scope.as_deref()
    }

    /// Counts up with each new token; comparable as long as the daemon is not restarted.
    pub fn generation(&self) -> u64 {
        self.token.generation
    }

    /// Whether it lives as long as was asked with [`TokenRequest::min_ttl`].
    pub fn min_ttl_met(&self) -> bool {
        self.token.min_ttl_met
    }
}

/// Asks for more than just the current token of a client.
///
/// ```
/// use std::time::Duration;
/// use tokenbroker_client::TokenRequest;
///
/// let request = TokenRequest::new("signtext").min_ttl(Duration::from_secs(60)).wait(Duration::from_secs(5));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRequest {
    pub(crate) client: String,
    pub(crate) scope: Option<String>,
    pub(crate) resource: Vec<String>,
    pub(crate) audience: Option<String>,
    pub(crate) min_ttl: Duration,
    pub(crate) wait: Option<Duration>,
}

impl TokenRequest {
    /// The current token of a client, by its name in the daemon's configuration.
    pub fn new(client: impl Into<String>) -> Self {
        Self {
            client: client.into(),
            scope: None,
            resource: Vec::new(),
            audience: None,
            min_ttl: Duration::ZERO,
            wait: None,
        }
    }

    /// Only these scopes, separated by spaces, of those that are configured.
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// For one of the configured resources (RFC 8707) instead of all; may be called for several.
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.resource.push(resource.into());
        self
    }

    /// For the configured audience.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// How long the token should still live. Where even a fresh token does not live that long, the answer is a
    /// fresh one, and [`Token::min_ttl_met`] is false.
    pub fn min_ttl(mut self, min_ttl: Duration) -> Self {
        self.min_ttl = min_ttl;
        self
    }

    /// How long to wait while there is no token or no daemon. Unless given, a daemon that can't be reached is an
    /// error at once, and the wait for a token ten seconds.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = Some(wait);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        let token = protocol::Token {
            access_token: "eyJ-canary".into(),
            token_type: "Bearer".into(),
            expires_in_ms: 1500,
            serve_for_ms: 1350,
            answered_at_ms: 1,
            expires_at_ms: 2500,
            scope: None,
            generation: 3,
            min_ttl_met: true,
            handle: 1,
        };
        Token::new(token, [0; 16], TokenRequest::new("signtext"))
    }

    #[test]
    fn nothing_prints_a_token() {
        for printed in [format!("{:?}", token()), format!("{:?}", token().authorization_header())] {
            assert!(printed.contains("[redacted]") && !printed.contains("canary"), "{printed}");
        }
    }

    #[test]
    fn the_header_is_type_and_token() {
        assert_eq!(token().authorization_header().expose(), "Bearer eyJ-canary");
    }

    #[test]
    fn times_are_those_of_the_daemon() {
        assert_eq!(token().expires_in(), Duration::from_millis(1500));
        assert_eq!(token().expires_at(), UNIX_EPOCH + Duration::from_millis(2500));
        let mut far = token();
        far.token.expires_at_ms = u64::MAX;
        assert!(far.expires_at() > SystemTime::UNIX_EPOCH);
    }
}
