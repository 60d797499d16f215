//! Calls a protected resource with a client that presents tokens by itself:
//! `cargo run -p tokenbroker-client --features reqwest --example reqwest_client -- CLIENT URL`.

use std::error::Error;

use tokenbroker_client::reqwest::Client;
use tokenbroker_client::{Broker, TokenSource};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(client), Some(url)) = (arguments.next(), arguments.next()) else {
        return Err("usage: reqwest_client CLIENT URL".into());
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let body = runtime.block_on(async {
        let broker = Broker::connect().await?;
        call(broker, &client, &url).await
    })?;
    println!("{body}");
    Ok(())
}

pub(crate) async fn call(
    tokens: impl TokenSource + 'static,
    client: &str,
    url: &str,
) -> Result<String, Box<dyn Error>> {
    let http = reqwest::Client::new();
    let resource = Client::new(http.clone(), tokens, client);
    let reply = resource.send(http.post(url).body("a document")).await?;
    Ok(reply.error_for_status()?.text().await?)
}
