//! How a value that is no table is read: the right type of TOML first, through serde, then what the key demands.
//!
//! A mistake here says what was expected and at most which type of TOML was found. serde's own words are never
//! used, because they repeat the value.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use tokenbroker_oauth::{PlainHttp, UrlError};
use toml::Spanned;
use toml::de::ValueDeserializer;

use super::duration;
use super::errors::Mistake;
use super::merge::Value;
use super::names::nearest;

impl<'s> Value<'s> {
    /// The value as a type of TOML; `expected` says in words which.
    pub(super) fn to<T: Deserialize<'s>>(self, expected: &str) -> Result<T, Mistake> {
        let unexpected = self.unexpected(expected);
        T::deserialize(ValueDeserializer::from(Spanned::new(0..0, self.content))).map_err(|_| unexpected)
    }

    /// Another type was expected.
    pub(super) fn unexpected(&self, expected: &str) -> Mistake {
        let found = self.content.type_str();
        let article = if found.starts_with(['a', 'i']) { "an" } else { "a" };
        Mistake::new(format!("expected {expected}, found {article} {found}"))
    }
}

/// Any text but the empty one.
pub(super) fn text(value: Value<'_>) -> Result<String, Mistake> {
    let text: String = value.to("a string")?;
    if text.is_empty() { Err(Mistake::new("expected a string that is not empty")) } else { Ok(text) }
}

/// One text or an array of texts, none of them empty.
pub(super) fn texts(value: Value<'_>) -> Result<Vec<String>, Mistake> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }

    let texts = match value.to("a string or an array of strings")? {
        OneOrMany::One(text) => vec![text],
        OneOrMany::Many(texts) => texts,
    };
    match texts.iter().any(String::is_empty) {
        true => Err(Mistake::new("expected strings that are not empty")),
        false => Ok(texts),
    }
}

pub(super) fn boolean(value: Value<'_>) -> Result<bool, Mistake> {
    value.to("true or false")
}

/// A whole number within limits.
pub(super) fn whole(range: RangeInclusive<u32>) -> impl Fn(Value<'_>) -> Result<u32, Mistake> {
    move |value| {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        let number: i128 = value.to(&expected)?;
        let within = u32::try_from(number).ok().filter(|number| range.contains(number));
        within.ok_or_else(|| Mistake::new(format!("expected {expected}")))
    }
}

/// A fraction within limits.
pub(super) fn fraction(range: RangeInclusive<f64>) -> impl Fn(Value<'_>) -> Result<f64, Mistake> {
    move |value| {
        let expected = format!("a number from {} to {}", range.start(), range.end());
        let number: f64 = value.to(&expected)?;
        if range.contains(&number) { Ok(number) } else { Err(Mistake::new(format!("expected {expected}"))) }
    }
}

/// A duration within limits.
pub(super) fn duration(range: RangeInclusive<Duration>) -> impl Fn(Value<'_>) -> Result<Duration, Mistake> {
    move |value| {
        let text: String = value.to("a duration such as \"10s\" or \"1h30m\"")?;
        let duration = duration::parse(&text).ok_or_else(|| {
            Mistake::new("expected a duration such as \"10s\" or \"1h30m\"")
                .with_hint("the units are d, h, m, s and ms, the longer before the shorter")
        })?;
        if range.contains(&duration) {
            return Ok(duration);
        }
        let (least, most) = (duration::shown(*range.start()), duration::shown(*range.end()));
        Err(Mistake::new(format!("expected a duration from {least} to {most}")))
    }
}

/// A path from the root: the daemon's working directory means nothing to it.
pub(super) fn absolute_path(value: Value<'_>) -> Result<PathBuf, Mistake> {
    let path = PathBuf::from(text(value)?);
    if path.is_absolute() { Ok(path) } else { Err(Mistake::new("expected an absolute path")) }
}

/// A path from the root or from the directory of the file that has it.
pub(super) fn path_beside(value: Value<'_>) -> Result<PathBuf, Mistake> {
    let directory = value.place.path().parent().unwrap_or(Path::new(""));
    Ok(directory.join(text(value)?))
}

/// A URL, as `parse` of the `oauth` type has it.
pub(super) fn url<T>(
    parse: impl Fn(&str, PlainHttp) -> Result<T, UrlError>,
    plain_http: PlainHttp,
) -> impl Fn(Value<'_>) -> Result<T, Mistake> {
    move |value| {
        let text: String = value.to("a URL such as \"https://host/path\"")?;
        parse(&text, plain_http).map_err(|error| {
            // What is wrong even where plain http is allowed is worth more than that it is not.
            let error = parse(&text, PlainHttp::LoopbackOnly).err().unwrap_or(error);
            let mistake = Mistake::new(error.to_string());
            match error {
                UrlError::PlainHttp => {
                    mistake.with_hint("for tests on this host there is allow_plain_http = true")
                }
                UrlError::PlainHttpBeyondLoopback => mistake.with_hint("use the server's https:// URL"),
                _ => mistake,
            }
        })
    }
}

/// One of a few words. A word that comes with `None` is planned for later.
pub(super) fn choice<T: Copy>(words: &[(&str, Option<T>)]) -> impl Fn(Value<'_>) -> Result<T, Mistake> {
    choice_but(words, |_| None)
}

/// The same, where some words deserve a mistake of their own.
pub(super) fn choice_but<T: Copy>(
    words: &[(&str, Option<T>)],
    refuse: impl Fn(&str) -> Option<Mistake>,
) -> impl Fn(Value<'_>) -> Result<T, Mistake> {
    move |value| {
        let text: String = value.to("a string")?;
        if let Some(mistake) = refuse(&text) {
            return Err(mistake);
        }
        let supported: Vec<_> =
            words.iter().filter(|(_, word)| word.is_some()).map(|(name, _)| *name).collect();
        let expected = format!("one of {}", supported.join(", "));
        match words.iter().find(|(name, _)| *name == text) {
            Some((_, Some(meaning))) => Ok(*meaning),
            Some((name, None)) => {
                Err(Mistake::new(format!("\"{name}\" is not supported yet"))
                    .with_hint(format!("set {expected}")))
            }
            None => Err(match nearest(&text, supported) {
                Some(nearest) => Mistake::new(format!("expected {expected}"))
                    .with_hint(format!("did you mean \"{nearest}\"?")),
                None => Mistake::new(format!("expected {expected}")),
            }),
        }
    }
}
