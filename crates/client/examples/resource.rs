//! Calls a protected resource with the current token of a client:
//! `cargo run -p tokenbroker-client --example resource -- CLIENT URL`.

use std::error::Error;

use reqwest::StatusCode;
use reqwest::header::AUTHORIZATION;
use tokenbroker_client::{Broker, TokenSource};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(client), Some(url)) = (arguments.next(), arguments.next()) else {
        return Err("usage: resource CLIENT URL".into());
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let body = runtime.block_on(async {
        let broker = Broker::connect().await?;
        call(&broker, &client, &url).await
    })?;
    println!("{body}");
    Ok(())
}

pub(crate) async fn call(
    tokens: &dyn TokenSource,
    client: &str,
    url: &str,
) -> Result<String, Box<dyn Error>> {
    let http = reqwest::Client::new();
    let token = tokens.token(client).await?;
    let mut reply = http.get(url).header(AUTHORIZATION, token.header()).send().await?;
    if reply.status() == StatusCode::UNAUTHORIZED {
        // It may have been withdrawn before its time. A newer one that is refused too is not the token's fault.
        let newer = tokens.rejected(&token).await?;
        reply = http.get(url).header(AUTHORIZATION, newer.header()).send().await?;
    }
    Ok(reply.error_for_status()?.text().await?)
}
