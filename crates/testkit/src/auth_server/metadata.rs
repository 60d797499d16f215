//! Discovery: RFC 8414 and OpenID Connect, which put the issuer's path at different places.

use serde_json::json;

use super::reply::Reply;
use super::state::Settings;

/// Which metadata documents the server has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discovery {
    /// Both of the following.
    Both,
    /// `/.well-known/oauth-authorization-server`, before the issuer's path (RFC 8414).
    OAuth,
    /// `/.well-known/openid-configuration`, after the issuer's path (OpenID Connect Discovery).
    OpenId,
    /// None.
    Nothing,
}

impl Settings {
    pub(super) fn is_metadata(&self, path: &str) -> bool {
        let oauth = || path == format!("/.well-known/oauth-authorization-server{}", self.path);
        let openid = || path == format!("{}/.well-known/openid-configuration", self.path);
        match self.discovery {
            Discovery::Both => oauth() || openid(),
            Discovery::OAuth => oauth(),
            Discovery::OpenId => openid(),
            Discovery::Nothing => false,
        }
    }

    pub(super) fn metadata(&self) -> Reply {
        let document = json!({
            "issuer": self.claimed_issuer.as_ref().unwrap_or(&self.issuer),
            "token_endpoint": self.token_endpoint(),
            "response_types_supported": [],
            "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported":
                ["client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": [
                "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384",
                "ES512", "EdDSA",
            ],
        });
        Reply::json(200, &document)
    }
}
