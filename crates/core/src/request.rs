//! What is sent for a client: its configuration as a token request.

use tokenbroker_oauth::{Assertion, AssertionParts, Endpoint, TokenRequest};

use crate::config::{AssertionAudience, AuthMethod, Client};

/// What a client asks for.
pub fn token_request<'a>(client: &'a Client, endpoint: &'a Endpoint) -> TokenRequest<'a> {
    TokenRequest {
        endpoint,
        client_id: &client.client_id,
        scope: client.scope.as_ref(),
        resource: &client.resource,
        audience: client.audience.as_deref(),
        params: &client.params,
    }
}

/// The assertion of a client that sends one, without its signature; `None` for all others. `kid` is of its key, if it has
/// one; `issued_at` is in seconds since 1970 (UTC).
pub fn assertion(
    client: &Client,
    endpoint: &Endpoint,
    kid: Option<&str>,
    jti: [u8; 16],
    issued_at: u64,
) -> Option<Assertion> {
    let alg = match client.auth {
        AuthMethod::PrivateKeyJwt { algorithm } => algorithm.name(),
        AuthMethod::ClientSecretJwt { algorithm } => algorithm.name(),
        AuthMethod::ClientSecretBasic
        | AuthMethod::ClientSecretPost
        | AuthMethod::TlsClientAuth
        | AuthMethod::SelfSignedTlsClientAuth => return None,
    };
    let audience = match &client.issuer.assertion_audience {
        AssertionAudience::Issuer => {
            client.issuer.endpoint.issuer().map_or(endpoint.as_str(), |issuer| issuer.as_str())
        }
        AssertionAudience::TokenEndpoint => endpoint.as_str(),
        AssertionAudience::Other(audience) => audience,
    };
    let (client_id, typ) = (&client.client_id, &client.issuer.assertion_typ);
    Some(Assertion::new(&AssertionParts { client_id, audience, alg, kid, typ, jti, issued_at }))
}
