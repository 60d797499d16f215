//! Which addresses a request may go to.
//!
//! Names are resolved here, for one client and one connection at a time, and the addresses that come out are the ones
//! that are connected to: nothing can change between the check and the use.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokenbroker_core::addresses::{self, Unfit};
use tokenbroker_core::config::Issuer;
use tokenbroker_core::engine::TransportFailure;

use super::failure;

/// Checks the host of a URL if it is an address. Resolvers are asked for names only.
pub(super) fn check_literal(url: &Url, issuer: &Issuer) -> Result<(), TransportFailure> {
    let host = url.host_str().unwrap_or_default();
    // IPv6 addresses are in brackets. How else an address can be written was undone by the parser.
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    match address.ok().and_then(|address| addresses::refused(address, issuer.allow_link_local)) {
        Some(unfit) => Err(failure::refused_address(host, unfit, issuer)),
        None => Ok(()),
    }
}

/// Resolves names as the host does, and leaves out what is no authorization server's.
pub(super) struct Resolver {
    look_up: fn(Name) -> LookUp,
    allow_link_local: bool,
}

/// Beside the event loop: the host's resolver blocks.
pub(super) type LookUp = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

impl Resolver {
    pub(super) fn new(issuer: &Issuer) -> Self {
        Self::looking_up(of_host, issuer)
    }

    pub(super) fn looking_up(look_up: fn(Name) -> LookUp, issuer: &Issuer) -> Self {
        Self { look_up, allow_link_local: issuer.allow_link_local }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (shown, allow_link_local) = (name.as_str().to_owned(), self.allow_link_local);
        let look_up = (self.look_up)(name);
        Box::pin(async move {
            let addresses = permitted(shown, look_up.await?, allow_link_local)?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

fn of_host(name: Name) -> LookUp {
    Box::pin(async move { Ok(tokio::net::lookup_host((name.as_str(), 0)).await?.collect()) })
}

/// The addresses of a name that a request may go to.
fn permitted(
    name: String,
    mut addresses: Vec<SocketAddr>,
    allow_link_local: bool,
) -> Result<Vec<SocketAddr>, RefusedName> {
    let mut refused = None;
    addresses.retain(|address| match addresses::refused(address.ip(), allow_link_local) {
        Some(unfit) => {
            refused.get_or_insert((address.ip(), unfit));
            false
        }
        None => true,
    });
    match refused {
        Some((address, unfit)) if addresses.is_empty() => Err(RefusedName { name, address, unfit }),
        _ => Ok(addresses),
    }
}

/// A name has no address that a request may go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RefusedName {
    name: String,
    address: IpAddr,
    pub(super) unfit: Unfit,
}

impl fmt::Display for RefusedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} resolves to {}, which is {}", self.name, self.address, self.unfit)
    }
}

impl std::error::Error for RefusedName {}

#[cfg(test)]
mod tests {
    use reqwest::Client;

    use super::super::failure::{Exchange, Fault};
    use super::super::tests::issuer;
    use super::*;

    const LINK_LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(169, 254, 169, 254));

    fn at(address: &str) -> SocketAddr {
        SocketAddr::new(address.parse().unwrap(), 0)
    }

    fn check(addresses: &[&str], allow: bool) -> Result<Vec<SocketAddr>, RefusedName> {
        permitted("as.example".into(), addresses.iter().map(|address| at(address)).collect(), allow)
    }

    #[test]
    fn s45_what_a_name_resolves_to_is_left_out_if_no_server_is_there() {
        assert_eq!(check(&["192.0.2.1", "2001:db8::1"], false).unwrap().len(), 2);
        assert_eq!(check(&["169.254.169.254", "192.0.2.1", "fe80::1"], false), Ok(vec![at("192.0.2.1")]));
        let refused = check(&["169.254.169.254", "fe80::1"], false).unwrap_err();
        assert_eq!(refused.to_string(), "as.example resolves to 169.254.169.254, which is link-local");
        assert_eq!(check(&["169.254.169.254"], true), Ok(vec![at("169.254.169.254")]));
        assert!(check(&["0.0.0.0"], true).is_err());
        assert_eq!(check(&[], false), Ok(vec![]), "which is the resolver's to explain");
    }

    #[test]
    fn s45_an_address_in_a_url_is_checked_in_every_way_to_write_it() {
        let issuer = issuer("");
        for host in [
            "169.254.169.254",
            "169.254.169.254.",
            "2852039166",
            "0xa9fea9fe",
            "0251.0376.0251.0376",
            "169.254.43518",
            "[fe80::1]",
            "[::ffff:169.254.169.254]",
            "[::ffff:a9fe:a9fe]",
            "[64:ff9b::a9fe:a9fe]",
            "\u{ff11}69.254.169.254",
        ] {
            let url = Url::parse(&format!("https://{host}/token")).unwrap();
            let failure = check_literal(&url, &issuer).unwrap_err();
            assert!(failure.message.starts_with("no request is sent to "), "{failure:?}");
            assert!(failure.message.ends_with(": it is link-local"), "{failure:?}");
            assert!(failure.hint.unwrap().contains("allow_link_local = true for [issuers.as]"));
        }
        for host in ["127.0.0.1", "[::1]", "as.example", "169.254.169.254.example", "[2001:db8::1]"] {
            let url = Url::parse(&format!("https://{host}/token")).unwrap();
            assert_eq!(check_literal(&url, &issuer), Ok(()), "{host}");
        }
    }

    /// Through the HTTP client, whose errors the words are made from.
    #[tokio::test]
    async fn s45_a_name_that_resolves_to_a_metadata_service_is_named_with_it() {
        let look_up: fn(Name) -> LookUp = |_| Box::pin(async { Ok(vec![SocketAddr::new(LINK_LOCAL, 0)]) });
        let client = Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .dns_resolver(Resolver::looking_up(look_up, &issuer("")))
            .build()
            .unwrap();
        let error = client.post("http://as.example/token").send().await.unwrap_err();
        let words = Exchange { issuer: &issuer(""), host: "as.example" };
        let failure = words.failure(Fault::from(error), None);
        assert_eq!(
            failure.message,
            "can't connect to as.example: as.example resolves to 169.254.169.254, which is link-local"
        );
        assert_eq!(
            failure.hint.as_deref(),
            Some("if that is where it has to go, set allow_link_local = true for [issuers.as]")
        );
    }
}
