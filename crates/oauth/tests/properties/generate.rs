//! What servers send: good, odd, and broken.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::json::{Json, Style};

pub(crate) fn style() -> impl Strategy<Value = Style> {
    prop::collection::vec(any::<u8>(), 0..40).prop_map(Style::new)
}

/// Any JSON value without a key twice, with letters from everywhere.
pub(crate) fn value() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        any::<i64>().prop_map(Json::number),
        any::<u64>().prop_map(Json::number),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,2})?".prop_map(Json::Number),
        any::<String>().prop_map(Json::Text),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Json::Array),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

/// Members that no server should send and no client should mind.
pub(crate) fn unknown_members() -> impl Strategy<Value = Vec<(String, Json)>> {
    let members = prop::collection::btree_map("x_[a-z\"\\\\é]{1,6}", value(), 0..4);
    members.prop_map(|members| members.into_iter().collect())
}

/// Values that stand in replies, rightly or wrongly.
fn odd_value() -> impl Strategy<Value = Json> {
    prop_oneof![
        4 => select(vec![
            "canary", "Bearer", "bearer", "DPoP", "read", "read write", "admin canary", "", "invalid_client",
            "server_error", "use_dpop_nonce", "canary\n", "3600", "3600.5", "-1", "0", "1e3", "1.2.3", ".", "ü",
        ])
        .prop_map(Json::text),
        3 => select(vec![
            "3600", "3600.9", "0", "-5", "0.5", "1e3", "1E-3", "1e300", "99999999999999999999", "-0", "1e400",
        ])
        .prop_map(Json::number),
        1 => select(vec!["read", "write", "canary", "read write", "\u{7}"]).prop_map(|word| {
            Json::Array(vec![Json::text("read"), Json::text(word)])
        }),
        1 => value(),
    ]
}

/// Objects whose members have the names that matter, and any values.
pub(crate) fn odd_reply() -> impl Strategy<Value = Json> {
    let names =
        vec!["access_token", "token_type", "expires_in", "scope", "error", "error_description", "canary"];
    let member = (select(names).prop_map(str::to_owned), odd_value());
    prop::collection::vec(member, 0..6).prop_map(Json::Object)
}

/// A good reply, as many servers write it.
pub(crate) fn good_reply() -> impl Strategy<Value = Json> {
    let token = "[A-Za-z0-9._~+/=|!:-]{1,60}".prop_map(Json::Text);
    let token_type = select(vec!["Bearer", "bearer", "BEARER", "bEaReR"]).prop_map(Json::text);
    let lifetime = prop_oneof![
        (1_u32..100_000).prop_map(Json::number),
        (1_u32..100_000).prop_map(|seconds| Json::Text(seconds.to_string())),
        (1_u32..100_000).prop_map(|seconds| Json::Number(format!("{seconds}.75"))),
    ];
    let scope = select(vec!["read", "write", "read write", "write read read"]).prop_map(Json::text);
    let further = (
        prop::option::of(lifetime.prop_map(|value| ("expires_in".to_owned(), value))),
        prop::option::of(scope.prop_map(|value| ("scope".to_owned(), value))),
        unknown_members(),
    );
    let members = (token, token_type, further).prop_map(|(token, token_type, (lifetime, scope, unknown))| {
        let required = [("access_token".to_owned(), token), ("token_type".to_owned(), token_type)];
        required.into_iter().chain(lifetime).chain(scope).chain(unknown).collect::<Vec<_>>()
    });
    members.prop_shuffle().prop_map(Json::Object)
}

/// Good and odd replies in any spelling, some of them damaged, and plain rubbish.
pub(crate) fn body() -> impl Strategy<Value = Vec<u8>> {
    let written = (prop_oneof![good_reply(), odd_reply()], style())
        .prop_map(|(reply, mut style)| reply.write(&mut style).into_bytes())
        .boxed();
    prop_oneof![
        4 => written.clone(),
        4 => (written, prop::collection::vec(damage(), 1..4)).prop_map(|(body, damages)| {
            damages.iter().fold(body, |body, damage| damage.to(body))
        }),
        1 => (value(), style()).prop_map(|(value, mut style)| value.write(&mut style).into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..200),
        1 => "<html>[ -~]{0,40}".prop_map(String::into_bytes),
    ]
}

/// What a broken server, proxy or line does to bytes.
#[derive(Debug, Clone)]
pub(crate) enum Damage {
    Truncate(Index),
    Replace(Index, u8),
    Insert(Index, u8),
    Delete(Index),
    /// Says a part twice.
    Stutter(Index, Index),
}

pub(crate) fn damage() -> impl Strategy<Value = Damage> {
    let byte = || prop_oneof![any::<u8>(), select(b"\"\\{}[]:,.eE+-0 19\n\0\xff\xc3".as_slice())];
    prop_oneof![
        1 => any::<Index>().prop_map(Damage::Truncate),
        3 => (any::<Index>(), byte()).prop_map(|(at, byte)| Damage::Replace(at, byte)),
        3 => (any::<Index>(), byte()).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        2 => any::<Index>().prop_map(Damage::Delete),
        2 => any::<(Index, Index)>().prop_map(|(from, to)| Damage::Stutter(from, to)),
    ]
}

impl Damage {
    pub(crate) fn to(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        if bytes.is_empty() {
            return bytes;
        }
        match self {
            Self::Truncate(at) => bytes.truncate(at.index(bytes.len())),
            Self::Replace(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Self::Insert(at, byte) => bytes.insert(at.index(bytes.len()), *byte),
            Self::Delete(at) => {
                bytes.remove(at.index(bytes.len()));
            }
            Self::Stutter(from, to) => {
                let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
                let part = bytes[from.min(to)..from.max(to)].to_vec();
                bytes.splice(from.max(to)..from.max(to), part);
            }
        }
        bytes
    }
}
