//! What is in a query or a form: each parameter once, but for `resource` (RFC 6749 section 3.2, RFC 8707 section 2).

use std::borrow::Cow;
use std::time::Duration;

use tokenbroker_protocol::GetToken;
use url::form_urlencoded;

use super::refusal::Refusal;

/// The parameters of a request, with what is empty left out: it counts as absent.
pub(super) struct Parameters<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Parameters<'a> {
    /// Reads `application/x-www-form-urlencoded`.
    pub(super) fn parse(encoded: &'a [u8]) -> Result<Self, Refusal> {
        let mut parameters: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::new();
        for (name, value) in form_urlencoded::parse(encoded) {
            // Sorting would be quicker for many, and nobody has reason to send many.
            if parameters.len() == MAX {
                return Err(Refusal::invalid_request("there are too many parameters"));
            }
            if name != "resource" && parameters.iter().any(|(known, _)| *known == name) {
                return Err(Refusal::invalid_request(&format!("the parameter {name} is there twice")));
            }
            parameters.push((name, value));
        }
        parameters.retain(|(_, value)| !value.is_empty());
        Ok(Self(parameters))
    }

    /// The value of a parameter.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.values(name).next()
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| *known == name).map(|(_, value)| &**value)
    }

    /// The first parameter that is none of these.
    pub(super) fn other_than(&self, names: &[&str]) -> Option<&str> {
        self.0.iter().map(|(name, _)| &**name).find(|name| !names.contains(name))
    }

    /// What a client is asked for.
    pub(super) fn get_token(&self, client: &str) -> Result<GetToken, Refusal> {
        Ok(GetToken {
            min_ttl_ms: self.milliseconds("min_ttl")?.unwrap_or(0),
            wait_ms: self.milliseconds("wait")?,
            ..self.scope_and_target(client)
        })
    }

    /// What a client is asked for, by the parameters that OAuth has.
    pub(super) fn scope_and_target(&self, client: &str) -> GetToken {
        GetToken {
            client: client.to_owned(),
            scope: self.value("scope").map(str::to_owned),
            resource: self.values("resource").map(str::to_owned).collect(),
            audience: self.value("audience").map(str::to_owned),
            ..GetToken::default()
        }
    }

    fn milliseconds(&self, name: &str) -> Result<Option<u64>, Refusal> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let duration = duration(value).ok_or_else(|| {
            let expected =
                format!("{name} is a number of seconds, or one with a unit, as in 500ms, 60s, 5m or 2h");
            Refusal::invalid_request(&expected)
        })?;
        Ok(Some(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// How many parameters a request has at most.
const MAX: usize = 200;

/// A whole number, of seconds unless it has a unit.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let milliseconds = match unit {
        "ms" => Some(number),
        "" | "s" => number.checked_mul(1_000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        _ => None,
    };
    milliseconds.map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(query: &str) -> Result<GetToken, Refusal> {
        Parameters::parse(query.as_bytes())?.get_token("app")
    }

    #[test]
    fn everything_that_can_be_asked_for_is_taken() {
        let asked =
            get("scope=api%3Aread+api:write&resource=urn:b&resource=urn:a&audience=x&min_ttl=60s&wait=1");
        assert_eq!(
            asked.unwrap(),
            GetToken {
                client: "app".into(),
                scope: Some("api:read api:write".into()),
                resource: vec!["urn:b".into(), "urn:a".into()],
                audience: Some("x".into()),
                min_ttl_ms: 60_000,
                wait_ms: Some(1000),
            }
        );
    }

    #[test]
    fn what_is_empty_is_absent() {
        let nothing = GetToken { client: "app".into(), ..GetToken::default() };
        assert_eq!(get("").unwrap(), nothing);
        assert_eq!(get("scope=&resource=&audience&min_ttl=&wait").unwrap(), nothing);
    }

    #[test]
    fn a_parameter_is_there_once() {
        assert!(get("scope=a&resource=a&scope=b").is_err());
        assert!(get("scope=&scope=b").is_err());
        assert!(get(&"resource=a&".repeat(MAX)).is_ok());
        assert!(get(&"resource=a&".repeat(MAX + 1)).is_err());
    }

    #[test]
    fn durations_are_whole_numbers_with_or_without_a_unit() {
        for (text, milliseconds) in
            [("60", 60_000), ("60s", 60_000), ("500ms", 500), ("5m", 300_000), ("2h", 7_200_000), ("0", 0)]
        {
            assert_eq!(duration(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in [
            "",
            "s",
            "1.5s",
            "-1",
            "+1",
            " 1",
            "1 s",
            "1S",
            "1d",
            "1h30m",
            "\u{661}",
            "18446744073709551615h",
        ] {
            assert_eq!(duration(text), None, "{text:?}");
        }
    }
}
