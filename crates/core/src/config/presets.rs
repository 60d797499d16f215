//! Authorization servers that the broker knows by name.
//!
//! A preset is what would otherwise be written into `[issuers.NAME]`; what is written there goes before it.

use std::borrow::Cow;

use tokenbroker_oauth::Issuer;
use toml::de::{DeTable, DeValue};

use super::errors::Mistake;
use super::merge::{self, Entries, Value};
use super::names::suggestion;
use super::source::Place;

/// The settings of a known authorization server.
#[derive(Debug)]
pub struct Preset {
    /// What `preset` of an issuer names it by.
    pub name: &'static str,
    /// Whose authorization server it is.
    pub title: &'static str,
    /// What `tenant` of an issuer has to say, in words, if it has to.
    pub tenant: Option<&'static str>,
    /// As in the configuration's `[issuers.NAME]`. `{tenant}` stands for what `tenant` says.
    pub settings: &'static str,
}

/// To add one: an entry, with its source.
pub const PRESETS: &[Preset] = &[
    // Nets eID Broker (Signaturgruppen Broker), from its public technical reference: production. The token
    // endpoint comes from the discovery document. A client ID is known in one of the environments only.
    Preset {
        name: "signaturgruppen",
        title: "Signaturgruppen Broker (Nets eID Broker), production",
        tenant: None,
        settings: r#"issuer = "https://netseidbroker.dk/op""#,
    },
    // The same, pre-production.
    Preset {
        name: "signaturgruppen-pp",
        title: "Signaturgruppen Broker (Nets eID Broker), pre-production",
        tenant: None,
        settings: r#"issuer = "https://pp.netseidbroker.dk/op""#,
    },
    // Keycloak, "Securing applications and services", OpenID Connect: a realm is an issuer of its own, and publishes its
    // metadata.
    Preset {
        name: "keycloak",
        title: "Keycloak",
        tenant: Some("host and realm, as in sso.example.com/realms/acme"),
        settings: r#"issuer = "https://{tenant}""#,
    },
    // Microsoft identity platform, "OAuth 2.0 client credentials flow", and "certificate credentials" for the assertion's
    // audience and type. The endpoint is named: for a tenant that is given by a domain, the metadata has another issuer.
    Preset {
        name: "entra-id",
        title: "Microsoft Entra ID, global cloud; with secrets, since it finds keys by their certificates",
        tenant: Some("directory (tenant) ID, or a domain of the directory"),
        settings: "token_endpoint = \"https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token\"\n\
                   assertion_audience = \"token-endpoint\"\nassertion_typ = \"JWT\"",
    },
    // Auth0, "Call your API using the client credentials flow": the issuer of a tenant ends with a slash. It wants an
    // `audience` with every token request. "Authenticate with Private Key JWT": the audience of an assertion is that issuer,
    // with the slash.
    Preset {
        name: "auth0",
        title: "Auth0; its clients need an `audience`",
        tenant: Some("domain, as in acme.eu.auth0.com"),
        settings: r#"issuer = "https://{tenant}/""#,
    },
    // Okta, "Client authentication methods": the audience of an assertion is the token endpoint.
    Preset {
        name: "okta",
        title: "Okta",
        tenant: Some("domain and authorization server, as in acme.okta.com/oauth2/default"),
        settings: "issuer = \"https://{tenant}\"\nassertion_audience = \"token-endpoint\"",
    },
    // Duende IdentityServer, "Discovery endpoint": the issuer is where it is hosted; and "Client assertions": that is an
    // assertion's audience, and not the token endpoint.
    Preset {
        name: "duende-identityserver",
        title: "Duende IdentityServer",
        tenant: Some("host and path, as in identity.example.com"),
        settings: r#"issuer = "https://{tenant}""#,
    },
];

/// The preset that a value names, and its settings for a tenant; they count as written where the value is.
///
/// `tenant` is `None` where there is none, and `Some(None)` where it has a mistake of its own.
pub(super) fn read<'s>(
    value: Value<'s>,
    tenant: Option<Option<&str>>,
) -> Result<(&'static Preset, Entries<'s>), Mistake> {
    let place = value.place;
    let name: String = value.to("a string")?;
    let preset = find(&name).ok_or_else(|| {
        let names: Vec<_> = PRESETS.iter().map(|preset| preset.name).collect();
        Mistake::new("unknown preset").with_hint(suggestion(&name, &names))
    })?;
    if let (Some(is), None) = (preset.tenant, tenant) {
        let mistake = Mistake::new(format!("preset \"{}\" needs a `tenant`", preset.name));
        return Err(mistake.with_hint(format!("add `tenant` to the issuer: {is}")));
    }
    Ok((preset, settings(preset, tenant.flatten(), &|_| place)))
}

fn settings<'s>(
    preset: &'static Preset,
    tenant: Option<&str>,
    place: &dyn Fn(usize) -> Place<'s>,
) -> Entries<'s> {
    // A test sees to it that every preset is valid TOML.
    let (settings, _) = DeTable::parse_recoverable(preset.settings);
    // A tenant with a mistake leaves nothing to report of what would be made of it.
    let is_whole = |value: &DeValue<'_>| tenant.is_some() || !is_of_tenant(value);
    let settings = settings.into_inner().into_iter().filter(|(_, value)| is_whole(value.get_ref()));
    let mut settings: DeTable<'_> = settings.collect();
    for (_, value) in settings.iter_mut() {
        if let (DeValue::String(text), Some(tenant)) = (value.get_mut(), tenant) {
            *text = Cow::Owned(text.replace(TENANT, tenant));
        }
    }
    merge::entries(settings, place)
}

/// What stands for the tenant.
const TENANT: &str = "{tenant}";

fn is_of_tenant(value: &DeValue<'_>) -> bool {
    value.as_str().is_some_and(|text| text.contains(TENANT))
}

/// What can be a tenant: a part of a URL, which it neither ends nor turns into another one.
///
/// # Errors
///
/// If it is something else.
pub(super) fn tenant(value: Value<'_>) -> Result<String, Mistake> {
    let tenant: String = value.to("a string")?;
    let is_plain = |part: &str| {
        part.bytes().any(|byte| byte.is_ascii_alphanumeric())
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':'))
    };
    if tenant.split('/').all(is_plain) {
        return Ok(tenant);
    }
    Err(Mistake::new("a tenant is a name, or a host with a path: letters, digits and `-._~:/`")
        .with_hint("leave https:// out, and a slash at the end"))
}

/// The preset of a name.
pub(super) fn find(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

/// The preset whose issuer this is.
pub(super) fn of_issuer(issuer: &Issuer) -> Option<&'static Preset> {
    let same = |text: &str| text.trim_end_matches('/') == issuer.as_str().trim_end_matches('/');
    PRESETS.iter().find(|preset| {
        let (settings, _) = DeTable::parse_recoverable(preset.settings);
        settings.get_ref().get("issuer").and_then(|issuer| issuer.get_ref().as_str()).is_some_and(same)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AssertionAudience, EndpointSource, NoFiles, Source, parse};

    fn issuer(keys: &str) -> crate::config::Issuer {
        let text = format!("[issuers.it]\n{keys}");
        let config = parse(&[Source { path: "c.toml".into(), text }], &NoFiles).unwrap();
        crate::config::Issuer::clone(&config.issuers["it"])
    }

    #[test]
    fn every_preset_makes_an_issuer_with_its_tenant_at_most() {
        for preset in PRESETS {
            assert!(DeTable::parse(preset.settings).is_ok(), "{}", preset.name);
            assert_eq!(preset.tenant.is_some(), preset.settings.contains(TENANT), "{}", preset.name);
            let tenant = if preset.tenant.is_some() { "tenant = \"acme.example/it\"" } else { "" };
            let issuer = issuer(&format!("preset = \"{}\"\n{tenant}", preset.name));
            assert_eq!(issuer.preset, Some(preset.name));
        }
    }

    #[test]
    fn a_tenant_comes_to_its_place() {
        let entra = issuer("preset = \"entra-id\"\ntenant = \"contoso.onmicrosoft.com\"");
        let EndpointSource::Named { endpoint, issuer: None } = &entra.endpoint else {
            panic!("{:?}", entra.endpoint)
        };
        assert_eq!(
            endpoint.as_str(),
            "https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2/v2.0/token"
        );
        assert_eq!(entra.assertion_audience, AssertionAudience::TokenEndpoint);
        let okta = issuer("tenant = \"acme.okta.com/oauth2/default\"\npreset = \"okta\"");
        let EndpointSource::Discover(discovered) = &okta.endpoint else { panic!("{:?}", okta.endpoint) };
        assert_eq!(discovered.as_str(), "https://acme.okta.com/oauth2/default");
    }

    #[test]
    fn what_is_written_goes_before_a_preset() {
        let own = "preset = \"okta\"\ntenant = \"acme.okta.com\"\nassertion_audience = \"issuer\"";
        assert_eq!(issuer(own).assertion_audience, AssertionAudience::Issuer);
    }
}
