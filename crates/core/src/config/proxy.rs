//! `proxy` of `[issuers.NAME]`.

use url::Url;

use super::Proxy;
use super::errors::Mistake;
use super::merge::Value;
use super::values::text;

const EXPECTED: &str = "expected \"environment\" or a URL such as \"http://proxy.example:3128\"";

pub(super) fn read(value: Value<'_>) -> Result<Proxy, Mistake> {
    match text(value)?.as_str() {
        "environment" => Ok(Proxy::Environment),
        text => url(text).map(Proxy::Url),
    }
}

/// Nothing but a host and a port: whatever else a URL can have, a proxy would not see.
fn url(text: &str) -> Result<Url, Mistake> {
    // The parser would repair them.
    if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
        return Err(Mistake::new(EXPECTED));
    }
    if text.contains('@') {
        return Err(Mistake::new("a user name or password must not be in the configuration")
            .with_hint("set proxy = \"environment\", and HTTPS_PROXY in the daemon's environment"));
    }
    if text.starts_with("https:") {
        return Err(Mistake::new("a proxy is talked to by http").with_hint(
            "write http://: through the proxy goes TLS from here to the server, which the proxy can't look into",
        ));
    }
    let url = Url::parse(text).map_err(|_| Mistake::new(EXPECTED))?;
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if text.starts_with("http://") && is_bare { Ok(url) } else { Err(Mistake::new(EXPECTED)) }
}
