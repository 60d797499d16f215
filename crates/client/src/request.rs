//! How to ask for a token.

use std::time::Duration;

/// Asks for more than just the current token of a client.
///
/// ```
/// use std::time::Duration;
/// use tokenbroker_client::TokenRequest;
///
/// let request = TokenRequest::new("signtext").min_ttl(Duration::from_secs(60)).wait(Duration::from_secs(5));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
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
    /// fresh one, and [`Token::min_ttl_met`](crate::Token::min_ttl_met) is false.
    pub fn min_ttl(mut self, min_ttl: Duration) -> Self {
        self.min_ttl = min_ttl;
        self
    }

    /// How long to wait while there is no token, no daemon, or no room for more of this user's callers at it. Unless
    /// given, a daemon that can't be reached or has no room is an error at once, and the wait for a token ten seconds.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = Some(wait);
        self
    }

    /// The client whose token is asked for.
    pub fn client(&self) -> &str {
        &self.client
    }

    /// The scopes that are asked for; `None` for all that are configured.
    pub fn requested_scope(&self) -> Option<&str> {
        self.scope.as_deref()
    }

    /// The resources that are asked for; none for all that are configured.
    pub fn requested_resources(&self) -> &[String] {
        &self.resource
    }

    /// The audience that is asked for; `None` for the one that is configured.
    pub fn requested_audience(&self) -> Option<&str> {
        self.audience.as_deref()
    }
}

impl From<&str> for TokenRequest {
    fn from(client: &str) -> Self {
        Self::new(client)
    }
}

impl From<String> for TokenRequest {
    fn from(client: String) -> Self {
        Self::new(client)
    }
}

impl From<&Self> for TokenRequest {
    fn from(request: &Self) -> Self {
        request.clone()
    }
}
