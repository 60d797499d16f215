//! An application that takes its tokens from any source, so that its tests need no daemon:
//! `cargo run -p tokenbroker-client --example invoices -- CLIENT`.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use tokenbroker_client::{Broker, Error, TokenSource};

/// Sends invoices somewhere; here, only what would be sent is of interest.
pub(crate) struct Invoices {
    tokens: Arc<dyn TokenSource>,
    client: String,
}

impl Invoices {
    pub(crate) fn new(tokens: impl TokenSource + 'static, client: &str) -> Self {
        Self { tokens: Arc::new(tokens), client: client.into() }
    }

    pub(crate) async fn request(&self, number: u32) -> Result<http::Request<String>, Error> {
        let token = self.tokens.token(&self.client).await?;
        let mut request = http::Request::new(format!("invoice {number}"));
        request.headers_mut().insert(AUTHORIZATION, token.header());
        Ok(request)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = std::env::args().nth(1).ok_or("usage: invoices CLIENT")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let invoices = Invoices::new(Broker::connect().await?, &client);
        // The header is marked as sensitive, so that this does not show the token.
        println!("{:?}", invoices.request(1).await?);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use tokenbroker_client::testing::Tokens;
    use tokenbroker_client::{Failure, FailureCode};

    use super::*;

    #[tokio::test]
    async fn each_request_has_the_token_that_is_current_then() {
        let tokens = Tokens::new();
        let invoices = Invoices::new(tokens.clone(), "invoices");
        for value in ["one", "two"] {
            tokens.set("invoices", value);
            let request = invoices.request(7).await.unwrap();
            assert_eq!(request.headers()[AUTHORIZATION], format!("Bearer {value}"));
        }
        assert_eq!(tokens.gets("invoices"), 2);
    }

    #[tokio::test]
    async fn without_a_token_there_is_no_request() {
        let tokens = Tokens::new();
        tokens.set("invoices", "one");
        tokens.fail("invoices", || Error::Failed(Failure::new(FailureCode::NoToken, "the server is down")));
        let error = Invoices::new(tokens, "invoices").request(7).await.unwrap_err();
        assert_eq!(error.code(), Some(FailureCode::NoToken));
    }
}
