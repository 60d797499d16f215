//! `get`: the current token.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use tokenbroker_client::{Token, TokenRequest};

use crate::args::{Format, Get};
use crate::exit::Error;
use crate::output::{self, json, token};
use crate::{date, duration};

pub(crate) fn run(socket: Option<&Path>, get: &Get) -> Result<(), Error> {
    // Connects when it is asked: that may be worth waiting for.
    let token = super::broker(socket).build().token_with(&request(get))?;
    let format = get.format();
    output::write(&token::render(format, &shown(&get.client, &token))?)?;
    // The object says so itself.
    if !token.min_ttl_met() && format != Format::Json {
        let left = duration::human(token.expires_in());
        output::say(&format!("warning: the token lives for {left}, which is less than was asked"));
    }
    Ok(())
}

fn request(get: &Get) -> TokenRequest {
    let mut request = TokenRequest::new(&get.client).min_ttl(get.min_ttl.unwrap_or(Duration::ZERO));
    if !get.scope.is_empty() {
        request = request.scope(get.scope.join(" "));
    }
    request = get.resource.iter().fold(request, TokenRequest::resource);
    if let Some(audience) = &get.audience {
        request = request.audience(audience);
    }
    if let Some(wait) = get.wait {
        request = request.wait(wait);
    }
    request
}

fn shown<'a>(client: &'a str, token: &'a Token) -> json::Token<'a> {
    let expires_at = token.expires_at().duration_since(UNIX_EPOCH).unwrap_or_default();
    json::Token {
        client,
        access_token: token.value(),
        token_type: token.token_type(),
        expires_in: token.expires_in().as_secs(),
        expires_at: date::rfc3339(expires_at.as_secs()),
        scope: token.scope(),
        generation: token.generation(),
        min_ttl_met: token.min_ttl_met(),
    }
}
