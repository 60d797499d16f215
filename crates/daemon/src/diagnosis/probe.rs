//! Names and connections, one step at a time: what an exchange does in one go and can fail for in one word.

use std::net::SocketAddr;
use std::time::Duration;

use tokenbroker_core::addresses;
use tokenbroker_core::config::{Issuer, Proxy};
use tokio::net::TcpStream;
use url::Url;

use super::Report;
use crate::clock;

/// Looks a server up and connects to it. `false` if that is not possible.
pub(super) async fn reach(report: &mut Report, issuer: &Issuer, url: &Url) -> bool {
    let (via, target) = match &issuer.proxy {
        Proxy::Url(proxy) => (" (the proxy)", proxy.clone()),
        Proxy::Environment => {
            report.good(
                "resolve",
                "left to the proxy that the daemon's environment names, if it names one for this host",
            );
            return true;
        }
        Proxy::None => ("", url.clone()),
    };
    let host = target.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = target.port_or_known_default().unwrap_or(443);
    let Some(found) = resolve(report, issuer, &host, via, port).await else { return false };
    connect(report, issuer, &host, &found).await
}

async fn resolve(
    report: &mut Report,
    issuer: &Issuer,
    host: &str,
    via: &str,
    port: u16,
) -> Option<Vec<SocketAddr>> {
    let looked_up = tokio::time::timeout(issuer.timeout, tokio::net::lookup_host((host, port))).await;
    let addresses: Vec<SocketAddr> = match looked_up {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(error)) => {
            let remedy = format!(
                "check the name in [issuers.{}], and the DNS of this host (resolvectl query {host})",
                issuer.name
            );
            report.bad("resolve", format!("{host}{via} can't be looked up: {error}"), Some(remedy));
            return None;
        }
        Err(_) => {
            let remedy = format!(
                "the DNS servers of this host don't answer: see resolvectl status, try resolvectl query {host}"
            );
            report.bad(
                "resolve",
                format!("{host}{via} was not looked up within {:?}", issuer.timeout),
                Some(remedy),
            );
            return None;
        }
    };
    let (fit, unfit): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| addresses::refused(address.ip(), issuer.allow_link_local).is_none());
    let shown = |addresses: &[SocketAddr]| {
        let addresses: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
        addresses.join(", ")
    };
    if fit.is_empty() {
        let remedy = format!(
            "no request is sent to such an address; if that is where it has to go, set allow_link_local = true for [issuers.{}]",
            issuer.name
        );
        report.bad("resolve", format!("{host}{via} is {}", shown(&unfit)), Some(remedy));
        return None;
    }
    report.good("resolve", format!("{host}{via} is {}", shown(&fit)));
    Some(fit)
}

async fn connect(report: &mut Report, issuer: &Issuer, host: &str, addresses: &[SocketAddr]) -> bool {
    let each = (issuer.timeout / u32::try_from(addresses.len()).unwrap_or(1)).max(Duration::from_secs(1));
    let mut problems = Vec::new();
    for address in addresses {
        let begun = clock::moment();
        match tokio::time::timeout(each, TcpStream::connect(address)).await {
            Ok(Ok(_)) => {
                let took = clock::moment().since(begun).as_millis();
                report.good("connect", format!("{address} takes connections, after {took} ms"));
                return true;
            }
            Ok(Err(error)) => problems.push(format!("{address}: {error}")),
            Err(_) => problems.push(format!("{address}: no answer within {each:?}")),
        }
    }
    let remedy = format!(
        "see whether {host} is up, and whether a firewall is in between; if there is a proxy, name it as proxy of [issuers.{}]",
        issuer.name
    );
    report.bad("connect", format!("nothing can be connected to: {}", problems.join("; ")), Some(remedy));
    false
}
