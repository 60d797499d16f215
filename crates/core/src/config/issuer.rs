//! `[issuers.NAME]`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokenbroker_oauth::{self as oauth, BasicEncoding, PlainHttp};
use url::{Host, Url};

use super::duration::{DAY, MILLISECOND, MINUTE, SECOND};
use super::errors::Mistake;
use super::merge::Value;
use super::names::{NAME_RULE, is_name, nearest};
use super::table::Table;
use super::values::{boolean, choice, duration, fraction, path_beside, text, url, whole};
use super::{AssertionAudience, EndpointSource, Issuer, Proxy, ReadFiles, presets, proxy};
use crate::addresses;

/// RFC 10070.
const ASSERTION_TYP: &str = "client-authentication+jwt";

/// Leaves a quarter of the lifetime to sit out an outage.
const RENEW_AT: f64 = 0.75;

/// All issuers that are named; those with mistakes by their names only.
pub(super) struct Issuers(BTreeMap<String, Option<Arc<Issuer>>>);

impl Issuers {
    /// The issuer that a value names. `None` if it is there but has mistakes of its own, already reported.
    pub(super) fn find(&self, value: Value<'_>) -> Result<Option<Arc<Issuer>>, Mistake> {
        let name = text(value)?;
        match self.0.get(&name) {
            Some(issuer) => Ok(issuer.clone()),
            None => Err(Mistake::new("unknown issuer").with_hint(self.remedy(&name))),
        }
    }

    /// The issuers without mistakes.
    pub(super) fn valid(self) -> BTreeMap<String, Arc<Issuer>> {
        self.0.into_iter().filter_map(|(name, issuer)| Some((name, issuer?))).collect()
    }

    fn remedy(&self, name: &str) -> String {
        match (presets::find(name), nearest(name, self.0.keys().map(String::as_str))) {
            (Some(preset), _) => format!("add [issuers.{0}] with preset = \"{0}\"", preset.name),
            (None, Some(nearest)) => {
                format!("did you mean `{nearest}`? otherwise add an [issuers.NAME] table for it")
            }
            (None, None) => "add an [issuers.NAME] table for it".into(),
        }
    }
}

pub(super) fn read_all(issuers: Table<'_, '_>, files: &dyn ReadFiles) -> Issuers {
    let read =
        |(name, table): (String, Table<'_, '_>)| (name.clone(), read(name, table, files).map(Arc::new));
    Issuers(issuers.named_tables().map(read).collect())
}

fn read(name: String, mut table: Table<'_, '_>, files: &dyn ReadFiles) -> Option<Issuer> {
    if !is_name(&name) {
        table.report(Mistake::new("an issuer can't have this name").with_hint(NAME_RULE));
    }
    let issuer = read_keys(name, &mut table, files);
    table.finish();
    issuer
}

fn read_keys(name: String, table: &mut Table<'_, '_>, files: &dyn ReadFiles) -> Option<Issuer> {
    let tenant = table.read("tenant", presets::tenant);
    let of_preset = table.has("tenant").then_some(tenant.as_deref());
    let preset = table.read("preset", |value| presets::read(value, of_preset)).map(|(preset, settings)| {
        table.fill_in(settings);
        preset
    });
    // Of a preset with a mistake it is not known.
    let takes_one = preset.map_or(table.has("preset"), |preset| preset.tenant.is_some());
    if of_preset.is_some() && !takes_one {
        let mistake = Mistake::new("only some presets have tenants");
        table
            .report_at("tenant", mistake.with_hint("remove it; `tokenbroker presets` lists those that have"));
    }
    let preset = preset.map(|preset| preset.name);
    let plain_http = match table.read("allow_plain_http", boolean) {
        Some(true) => PlainHttp::LoopbackOnly,
        Some(false) | None => PlainHttp::Refused,
    };
    let endpoint = endpoint(table, plain_http, preset);
    let proxy = table.read("proxy", proxy::read).unwrap_or_default();
    let allow_link_local = table.read("allow_link_local", boolean);
    if let Some(endpoint) = &endpoint {
        // A mistake in `allow_link_local` must not be followed by others.
        let allowed = allow_link_local.unwrap_or_else(|| table.has("allow_link_local"));
        check_addresses(table, endpoint, &proxy, allowed);
        check_proxy(table, endpoint, &proxy);
    }
    let lifetime = || duration(SECOND..=30 * DAY);
    let max_lifetime = table.read("max_lifetime", lifetime()).unwrap_or(DAY);
    let default_lifetime = table.read("default_lifetime", lifetime()).unwrap_or(5 * MINUTE);
    let encodings = [("form", Some(BasicEncoding::Form)), ("raw", Some(BasicEncoding::Raw))];
    Some(Issuer {
        name,
        preset,
        plain_http,
        assertion_audience: table.read("assertion_audience", audience).unwrap_or(AssertionAudience::Issuer),
        assertion_typ: table.read("assertion_typ", text).unwrap_or_else(|| ASSERTION_TYP.into()),
        basic_encoding: table.read("basic_encoding", choice(&encodings)).unwrap_or_default(),
        ca_file: table.read("ca_file", |value| ca_file(value, files)),
        proxy,
        allow_link_local: allow_link_local.unwrap_or(false),
        timeout: table.read("timeout", duration(100 * MILLISECOND..=5 * MINUTE)).unwrap_or(10 * SECOND),
        max_in_flight: table.read("max_in_flight", whole(1..=1_000)).unwrap_or(8) as usize,
        max_per_second: table.read("max_per_second", whole(0..=100_000)).unwrap_or(20),
        renew_at: table.read("renew_at", renew_at).unwrap_or(RENEW_AT),
        default_lifetime: default_lifetime.min(max_lifetime),
        max_lifetime,
        // Last, since a mistake here ends the reading.
        endpoint: endpoint?,
    })
}

fn endpoint(
    table: &mut Table<'_, '_>,
    plain_http: PlainHttp,
    preset: Option<&'static str>,
) -> Option<EndpointSource> {
    let issuer = table.read("issuer", |value| {
        let issuer = url(oauth::Issuer::parse, plain_http)(value)?;
        refuse_other_presets(&issuer, preset)?;
        Ok(issuer)
    });
    let endpoint = table.read("token_endpoint", url(oauth::Endpoint::parse, plain_http));
    if !["preset", "issuer", "token_endpoint"].into_iter().any(|key| table.has(key)) {
        table.report(
            Mistake::new("an issuer needs `preset`, `issuer` or `token_endpoint`")
                .with_hint("with `issuer` the token endpoint is discovered"),
        );
    }
    // One with a mistake must not pass for one that is absent: what is checked against it would be misled.
    if table.has("issuer") != issuer.is_some() || table.has("token_endpoint") != endpoint.is_some() {
        return None;
    }
    match endpoint {
        Some(endpoint) => Some(EndpointSource::Named { endpoint, issuer }),
        None => issuer.map(EndpointSource::Discover),
    }
}

/// A preset stands for one environment, and nothing of one is good for another.
fn refuse_other_presets(issuer: &oauth::Issuer, preset: Option<&'static str>) -> Result<(), Mistake> {
    match (preset, presets::of_issuer(issuer)) {
        (Some(preset), Some(other)) if other.name != preset => Err(Mistake::new(format!(
            "this is the issuer of preset = \"{}\"",
            other.name
        ))
        .with_hint(format!(
            "set that preset, or remove `issuer` to stay with \"{preset}\"; client IDs of one are unknown to \
                 the other"
        ))),
        _ => Ok(()),
    }
}

/// Addresses that are written out. What names resolve to is checked when they are used.
fn check_addresses(table: &Table<'_, '_>, endpoint: &EndpointSource, proxy: &Proxy, allowed: bool) {
    let target = match endpoint {
        EndpointSource::Named { endpoint, .. } => ("token_endpoint", Some(endpoint.url().clone())),
        EndpointSource::Discover(issuer) => ("issuer", Url::parse(issuer.as_str()).ok()),
    };
    let proxy = match proxy {
        Proxy::Url(url) => Some(url.clone()),
        Proxy::None | Proxy::Environment => None,
    };
    for (key, url) in [target, ("proxy", proxy)] {
        let address = match url.as_ref().and_then(Url::host) {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(_)) | None => continue,
        };
        if let Some(unfit) = addresses::refused(address, allowed) {
            let mistake = Mistake::new(format!("no request is sent to this address: it is {unfit}"));
            table.report_at(
                key,
                match unfit.can_be_allowed() {
                    true => mistake.with_hint("if that is where it has to go, set allow_link_local = true"),
                    false => mistake.with_hint("for a server on this host write 127.0.0.1 or [::1]"),
                },
            );
        }
    }
}

/// Beyond this host a secret would be in plain sight, and nobody else can reach this host's loopback.
fn check_proxy(table: &Table<'_, '_>, endpoint: &EndpointSource, proxy: &Proxy) {
    let is_plain = match endpoint {
        EndpointSource::Named { endpoint, .. } => endpoint.url().scheme() == "http",
        EndpointSource::Discover(issuer) => issuer.as_str().starts_with("http:"),
    };
    if is_plain && matches!(proxy, Proxy::Url(_)) {
        let mistake = Mistake::new("a server that is asked by plain http is never asked through a proxy");
        table.report_at("proxy", mistake.with_hint("remove `proxy`, or use the server's https:// URL"));
    }
}

fn ca_file(value: Value<'_>, files: &dyn ReadFiles) -> Result<PathBuf, Mistake> {
    let path = path_beside(value)?;
    match files.check_ca_file(&path) {
        Ok(()) => Ok(path),
        Err(problem) => Err(Mistake::new(format!("the file can't be used: {problem}")).with_hint(
            "it holds the certificates of the CA in PEM; a relative path counts from this file's directory",
        )),
    }
}

fn audience(value: Value<'_>) -> Result<AssertionAudience, Mistake> {
    Ok(match text(value)?.as_str() {
        "issuer" => AssertionAudience::Issuer,
        "token-endpoint" => AssertionAudience::TokenEndpoint,
        other => AssertionAudience::Other(other.to_owned()),
    })
}

/// When a token is renewed, as a fraction of its lifetime. Outside these limits every token would be wasted or
/// every hiccup an outage.
pub(super) fn renew_at(value: Value<'_>) -> Result<f64, Mistake> {
    fraction(0.1..=0.95)(value)
}
