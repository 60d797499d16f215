//! What is between this host and an authorization server.
//!
//! Only https goes through a proxy, as a tunnel that it can't look into: plain http is for servers on this host.

use std::ffi::OsString;

use reqwest::{NoProxy, Url};
use tokenbroker_core::config::{self, Issuer};
use tokenbroker_core::engine::TransportFailure;

use super::{failure, resolver};

/// A proxy to be used. What it is called is without credentials.
pub(super) struct Via {
    pub(super) proxy: reqwest::Proxy,
    pub(super) called: String,
}

/// The proxy of an issuer, if it has one. The environment is asked only if the configuration says so.
///
/// # Errors
///
/// If what names one can't be used. To go without would not be what was asked for.
pub(super) fn find(
    issuer: &Issuer,
    variable: fn(&'static str) -> Option<OsString>,
) -> Result<Option<Via>, TransportFailure> {
    let (url, exempt) = match &issuer.proxy {
        config::Proxy::None => return Ok(None),
        config::Proxy::Url(url) => (url.clone(), None),
        config::Proxy::Environment => match of_environment(variable)? {
            Some(url) => (url, exempt(variable)),
            None => return Ok(None),
        },
    };
    resolver::check_literal(&url, issuer)?;
    let called = called(&url);
    let proxy = reqwest::Proxy::https(url)
        .map_err(|_| failure::network(format!("the proxy {called} can't be used")))?
        .no_proxy(exempt);
    Ok(Some(Via { proxy, called }))
}

fn of_environment(variable: fn(&'static str) -> Option<OsString>) -> Result<Option<Url>, TransportFailure> {
    let names = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let set = names.into_iter().find_map(|name| {
        let value = variable(name)?;
        (!value.is_empty()).then_some((name, value))
    });
    let Some((name, value)) = set else { return Ok(None) };
    let url = value.to_str().and_then(|text| match text.contains("://") {
        true => Url::parse(text).ok(),
        false => Url::parse(&format!("http://{text}")).ok(),
    });
    match url.filter(|url| url.scheme() == "http") {
        Some(url) => Ok(Some(url)),
        // The value is not repeated: it can hold a password.
        None => Err(TransportFailure {
            hint: Some("the daemon talks to a proxy by http, whatever it asks for through it".into()),
            ..failure::network(format!(
                "{name} in the daemon's environment is no URL such as http://proxy.example:3128"
            ))
        }),
    }
}

/// The hosts that are reached without the proxy.
fn exempt(variable: fn(&'static str) -> Option<OsString>) -> Option<NoProxy> {
    let list = variable("NO_PROXY").or_else(|| variable("no_proxy"))?;
    NoProxy::from_string(&list.to_string_lossy())
}

/// A proxy in words.
pub(super) fn called(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    format!("{host}:{}", url.port_or_known_default().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::super::tests::issuer;
    use super::*;

    /// Every variable there is.
    fn everything(name: &'static str) -> Option<OsString> {
        Some(match name {
            "HTTPS_PROXY" => "http://user:hunter2@proxy.example:3128".into(),
            "NO_PROXY" => "exempt.example".into(),
            _ => panic!("{name} does not count"),
        })
    }

    fn called(issuer: &Issuer, variable: fn(&'static str) -> Option<OsString>) -> Option<String> {
        find(issuer, variable).unwrap().map(|via| via.called)
    }

    #[test]
    fn s44_the_environment_counts_only_where_it_is_enabled() {
        let unasked = |name: &'static str| -> Option<OsString> { panic!("{name} was asked for") };
        assert_eq!(called(&issuer(""), unasked), None);
        assert_eq!(
            called(&issuer("proxy = \"http://other.example\""), unasked).as_deref(),
            Some("other.example:80")
        );
        let of_environment = issuer("proxy = \"environment\"");
        assert_eq!(
            called(&of_environment, everything).as_deref(),
            Some("proxy.example:3128"),
            "and no password"
        );
        assert_eq!(called(&of_environment, |_| None), None);
    }

    #[test]
    fn s44_the_variables_are_the_usual_ones() {
        let issuer = issuer("proxy = \"environment\"");
        let lower = |name| (name == "https_proxy").then(|| "lower.example:8080".into());
        assert_eq!(called(&issuer, lower).as_deref(), Some("lower.example:8080"), "http is meant");
        let all = |name: &str| match name {
            "HTTPS_PROXY" => Some(OsString::new()),
            "ALL_PROXY" => Some("http://all.example/".into()),
            _ => None,
        };
        assert_eq!(called(&issuer, all).as_deref(), Some("all.example:80"), "an empty one is none");
        assert_eq!(called(&issuer, |name| (name == "HTTP_PROXY").then(|| "http://no.example".into())), None);
    }

    #[test]
    fn s44_a_variable_that_can_not_be_used_is_not_passed_over() {
        let issuer = issuer("proxy = \"environment\"");
        for variable in [
            (|name| (name == "HTTPS_PROXY").then(|| "socks5://user:hunter2@proxy.example".into()))
                as fn(&'static str) -> Option<OsString>,
            |name| (name == "HTTPS_PROXY").then(|| "https://user:hunter2@proxy.example".into()),
            |name| (name == "HTTPS_PROXY").then(|| "http://".into()),
        ] {
            let failure = find(&issuer, variable).err().unwrap();
            assert!(
                failure.message.starts_with("HTTPS_PROXY in the daemon's environment is no URL"),
                "{failure:?}"
            );
            assert!(!format!("{failure:?}").contains("hunter2"), "{failure:?}");
        }
    }

    #[test]
    fn s45_a_proxy_at_a_link_local_address_is_refused_like_a_server() {
        let proxy: fn(&'static str) -> Option<OsString> = |_| Some("http://169.254.1.1:3128".into());
        let failure = find(&issuer("proxy = \"environment\""), proxy).err().unwrap();
        assert_eq!(failure.message, "no request is sent to 169.254.1.1: it is link-local");
        let allowed = issuer("proxy = \"environment\"\nallow_link_local = true");
        assert_eq!(called(&allowed, proxy).as_deref(), Some("169.254.1.1:3128"));
    }
}
