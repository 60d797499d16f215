//! JSON from a server, read without mercy: UTF-8, one object, no key twice at any depth, bounded nesting.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Why a body can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// It is a web page.
    #[error("it is a web page")]
    WebPage,
    /// It is not JSON in UTF-8, not an object, or nested too deeply.
    #[error("it is not a JSON object")]
    NotAnObject,
    /// Two readers could see two different things in it.
    #[error("it holds a JSON key twice")]
    DuplicateKey,
    /// Something in it is not of the type it should be.
    #[error("a value in it has the wrong JSON type")]
    WrongType,
}

/// Reads an object into `T`, which takes the members it knows.
///
/// The body is read twice: `T` can't see duplicates among the members it doesn't know.
pub(crate) fn object<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, Unreadable> {
    let text = std::str::from_utf8(body).map_err(|_| Unreadable::NotAnObject)?;
    if !text.trim_ascii_start().starts_with('{') {
        return Err(Unreadable::NotAnObject);
    }
    serde_json::from_str::<Checked>(text).map_err(|error| match error.is_data() {
        true => Unreadable::DuplicateKey, // the only thing that Checked refuses by itself
        false => Unreadable::NotAnObject,
    })?;
    serde_json::from_str(text).map_err(|_| Unreadable::WrongType)
}

/// Any JSON value in which no object has a key twice. Unlike `IgnoredAny` it counts how deep it is.
struct Checked;

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CheckedVisitor)
    }
}

struct CheckedVisitor;

impl<'de> Visitor<'de> for CheckedVisitor {
    type Value = Checked;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Checked, A::Error> {
        let mut keys = BTreeSet::new();
        while let Some((key, Checked)) = members.next_entry::<String, Checked>()? {
            if !keys.insert(key) {
                return Err(A::Error::custom("a key comes twice"));
            }
        }
        Ok(Checked)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Checked, A::Error> {
        while elements.next_element::<Checked>()?.is_some() {}
        Ok(Checked)
    }

    fn visit_str<E>(self, _: &str) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_unit<E>(self) -> Result<Checked, E> {
        Ok(Checked)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Wanted {
        name: Option<String>,
    }

    fn read(body: impl AsRef<[u8]>) -> Result<Option<String>, Unreadable> {
        object::<Wanted>(body.as_ref()).map(|wanted| wanted.name)
    }

    #[test]
    fn every_kind_of_value_may_stand_beside_what_is_wanted() {
        let body = r#" {"name":"x","a":[1,-2,3.5,true,null,"\u00e9",{"b":{}}],"c":"\/"} "#;
        assert_eq!(read(body), Ok(Some("x".to_owned())));
    }

    #[test]
    fn s37_a_key_that_comes_twice_is_refused_at_any_depth() {
        for body in [
            r#"{"name":"x","name":"x"}"#,
            r#"{"name":"x","other":1,"other":2}"#,
            r#"{"name":"x","n\u0061me":"y"}"#,
            r#"{"name":"x","list":[{"deep":{"a":1,"a":1}}]}"#,
        ] {
            assert_eq!(read(body), Err(Unreadable::DuplicateKey), "{body}");
        }
    }

    #[test]
    fn s37_deep_nesting_is_refused() {
        let nested = |depth| format!(r#"{{"name":"x","list":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert_eq!(read(nested(100)), Ok(Some("x".to_owned())));
        assert_eq!(read(nested(200)), Err(Unreadable::NotAnObject));
        assert_eq!(read(nested(400_000)), Err(Unreadable::NotAnObject));
    }

    #[test]
    fn s37_bad_utf_8_is_refused_even_where_nobody_looks() {
        assert_eq!(read(b"{\"name\":\"x\",\"other\":\"\xff\"}"), Err(Unreadable::NotAnObject));
        assert_eq!(read("\u{feff}{\"name\":\"x\"}"), Err(Unreadable::NotAnObject), "a byte order mark");
    }

    #[test]
    fn anything_but_one_object_is_refused() {
        for body in
            ["", "null", r#""name""#, r#"["x"]"#, "{", r#"{"name":"x"}{}"#, r#"{"name":NaN}"#, "<html>"]
        {
            assert_eq!(read(body), Err(Unreadable::NotAnObject), "{body}");
        }
        assert_eq!(read(r#"{"name":7}"#), Err(Unreadable::WrongType));
    }

    proptest! {
        #[test]
        fn s37_arbitrary_bytes_are_never_worse_than_an_error(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(body);
        }

        #[test]
        fn s37_almost_json_is_never_worse_than_an_error(body in r#"\{("(a|name)":(1|-1e99|"x"|\[|\{|\}|\]|null),?){0,9}\}?"#) {
            let _ = read(body);
        }
    }
}
