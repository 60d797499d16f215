//! Says for how long a client's token may be used, without a runtime:
//! `cargo run -p tokenbroker-client --example lifetime -- CLIENT`.

use std::time::Duration;

use tokenbroker_client::blocking::Broker;
use tokenbroker_client::{Error, TokenRequest};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = std::env::args().nth(1).ok_or("usage: lifetime CLIENT")?;
    println!("{}", describe(&Broker::connect()?, &client));
    Ok(())
}

pub(crate) fn describe(broker: &Broker, client: &str) -> String {
    let request = TokenRequest::new(client).min_ttl(Duration::from_secs(30)).wait(Duration::from_secs(5));
    match broker.token_with(&request) {
        Ok(token) => format!("{client}: {} s left", token.expires_in().as_secs()),
        Err(Error::Failed(failure)) => format!("{client}: {}", failure.message),
        Err(error) => format!("{error} ({})", error.hint().unwrap_or("no remedy is known")),
    }
}
