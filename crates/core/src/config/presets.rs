//! Authorization servers that the broker knows by name.
//!
//! A preset is what would otherwise be written into `[issuers.NAME]`; what is written there goes before it.

use tokenbroker_oauth::Issuer;
use toml::de::DeTable;

use super::errors::Mistake;
use super::merge::{self, Entries, Value};
use super::names::suggestion;

/// The settings of a known authorization server.
pub(super) struct Preset {
    pub(super) name: &'static str,
    /// As in the configuration's `[issuers.NAME]`.
    settings: &'static str,
}

/// To add one: an entry, with its source.
pub(super) const PRESETS: &[Preset] = &[
    // Nets eID Broker (Signaturgruppen Broker), from its public technical reference: production. The token
    // endpoint comes from the discovery document. A client ID is known in one of the environments only.
    Preset { name: "signaturgruppen", settings: r#"issuer = "https://netseidbroker.dk/op""# },
    // The same, pre-production.
    Preset { name: "signaturgruppen-pp", settings: r#"issuer = "https://pp.netseidbroker.dk/op""# },
];

/// The preset that a value names, and its settings; they count as written where the value is.
pub(super) fn read<'s>(value: Value<'s>) -> Result<(&'static Preset, Entries<'s>), Mistake> {
    let place = value.place;
    let name: String = value.to("a string")?;
    let preset = find(&name).ok_or_else(|| {
        let names: Vec<_> = PRESETS.iter().map(|preset| preset.name).collect();
        Mistake::new("unknown preset").with_hint(suggestion(&name, &names))
    })?;
    // A test sees to it that every preset is valid TOML.
    let (settings, _) = DeTable::parse_recoverable(preset.settings);
    Ok((preset, merge::entries(settings.into_inner(), &|_| place)))
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
    use crate::config::{EndpointSource, Source, parse};

    #[test]
    fn every_preset_alone_makes_an_issuer() {
        for preset in PRESETS {
            assert!(DeTable::parse(preset.settings).is_ok(), "{}", preset.name);
            let text = format!("[issuers.it]\npreset = \"{}\"", preset.name);
            let config = parse(&[Source { path: "c.toml".into(), text }], &|_| Ok(())).unwrap();
            let issuer = &config.issuers["it"];
            assert_eq!(issuer.preset, Some(preset.name));
            assert!(matches!(issuer.endpoint, EndpointSource::Discover(_)));
        }
    }
}
