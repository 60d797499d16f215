//! `[issuers.NAME]`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokenbroker_oauth::{self as oauth, BasicEncoding, PlainHttp};

use super::duration::{DAY, MILLISECOND, MINUTE, SECOND};
use super::errors::Mistake;
use super::merge::Value;
use super::names::{NAME_RULE, is_name, nearest};
use super::table::Table;
use super::values::{boolean, choice, duration, fraction, path_beside, text, url, whole};
use super::{AssertionAudience, CheckFile, EndpointSource, Issuer, presets};

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

pub(super) fn read_all(issuers: Table<'_, '_>, check_ca_file: &CheckFile<'_>) -> Issuers {
    let read = |(name, table): (String, Table<'_, '_>)| {
        (name.clone(), read(name, table, check_ca_file).map(Arc::new))
    };
    Issuers(issuers.named_tables().into_iter().map(read).collect())
}

fn read(name: String, mut table: Table<'_, '_>, check_ca_file: &CheckFile<'_>) -> Option<Issuer> {
    if !is_name(&name) {
        table.report(Mistake::new("an issuer can't have this name").with_hint(NAME_RULE));
    }
    let issuer = read_keys(name, &mut table, check_ca_file);
    table.finish();
    issuer
}

fn read_keys(name: String, table: &mut Table<'_, '_>, check_ca_file: &CheckFile<'_>) -> Option<Issuer> {
    let preset = table.read("preset", presets::read).map(|(preset, settings)| {
        table.fill_in(settings);
        preset.name
    });
    let plain_http = match table.read("allow_plain_http", boolean) {
        Some(true) => PlainHttp::LoopbackOnly,
        Some(false) | None => PlainHttp::Refused,
    };
    let endpoint = endpoint(table, plain_http, preset);
    let lifetime = || duration(SECOND..=30 * DAY);
    let max_lifetime = table.read("max_lifetime", lifetime()).unwrap_or(DAY);
    let default_lifetime = table.read("default_lifetime", lifetime()).unwrap_or(5 * MINUTE);
    let encodings = [("form", Some(BasicEncoding::Form)), ("raw", Some(BasicEncoding::Raw))];
    table.not_supported_yet(["proxy", "allow_link_local", "tenant"]);
    Some(Issuer {
        name,
        preset,
        plain_http,
        assertion_audience: table.read("assertion_audience", audience).unwrap_or(AssertionAudience::Issuer),
        assertion_typ: table.read("assertion_typ", text).unwrap_or_else(|| ASSERTION_TYP.into()),
        basic_encoding: table.read("basic_encoding", choice(&encodings)).unwrap_or_default(),
        ca_file: table.read("ca_file", |value| ca_file(value, check_ca_file)),
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

fn ca_file(value: Value<'_>, check: &CheckFile<'_>) -> Result<PathBuf, Mistake> {
    let path = path_beside(value)?;
    match check(&path) {
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
