//! Every message of version 1 as the bytes that it is on the wire.
//!
//! A released struct is frozen and an enum grows at its end: a vector here may be added, never changed. They are
//! spaced by field, and were written down from the layout, not copied from the encoder: numbers over 250 are `fb`
//! and two bytes, `fc` and four, `fd` and eight, the lowest first; a signed one is written as twice
//! its value, a negative one as twice its magnitude less one; text is its length and UTF-8; an option is `00` or `01`
//! and the value; a list is its length and the items; an enum is the place of its variant.
#![expect(clippy::unwrap_used, reason = "the helpers of tests may panic, too")]

use std::fmt::{Debug, Write};

use tokenbroker_protocol::{
    CertificateForm, Check, Command, Credential, CredentialKind, CredentialStatus, DecodeError, Failure,
    FailureCode, GetToken, Holds, KeyAlgorithm, LastError, Moved, NextCredential, Outcomes, Party, Policy,
    PolicyCondition, PolicyRule, Preset, PublicKey, Rejected, Renewed, Reply, Request, Response, Standing,
    State, Status, StatusPage, Store, Storing, Token, Verdict, Whom, decode, encode,
};

/// Encodes to exactly these bytes, and these bytes decode to it.
fn golden<M>(message: &M, vector: &str)
where
    M: bincode::Encode + bincode::Decode<()> + PartialEq + Debug,
{
    let framed = encode(message).unwrap();
    let (length, payload) = framed.expose().split_first_chunk().unwrap();
    assert_eq!(u32::from_le_bytes(*length) as usize, payload.len());
    assert_eq!(hex(payload), vector.replace(' ', ""), "{message:?}");
    assert_eq!(&decode::<M>(&bytes(vector)).unwrap(), message);
}

/// Each value is the variant at its place, and there are no more.
fn golden_variants<M>(variants: &[M])
where
    M: bincode::Encode + bincode::Decode<()> + PartialEq + Debug,
{
    for (place, variant) in variants.iter().enumerate() {
        golden(variant, &format!("{place:02x}"));
    }
    no_variant::<M>(u8::try_from(variants.len()).unwrap());
}

/// Fails when an enum has grown past `place`: the new variant needs a vector.
fn no_variant<M: bincode::Decode<()> + Debug>(place: u8) {
    let Err(DecodeError::Malformed { source }) = decode::<M>(&[place]) else {
        panic!("{place} has no vector")
    };
    assert!(matches!(*source, bincode::error::DecodeError::UnexpectedVariant { .. }), "{place}: {source:?}");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn bytes(vector: &str) -> Vec<u8> {
    let digits = vector.replace(' ', "");
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn request(id: u32, command: Command, vector: &str) {
    golden(&Request { id, command }, vector);
}

fn reply(response: Response, vector: &str) {
    golden(&Reply { id: 1, response }, vector);
}

#[test]
fn frames_have_their_length_in_front() {
    let framed = encode(&Request { id: 1, command: Command::Ping }).unwrap();
    assert_eq!(hex(framed.expose()), "020000000100");
}

#[test]
fn requests_that_everybody_may_make() {
    request(1, Command::Ping, "01 00");
    request(
        250,
        Command::GetToken(GetToken { client: "a".into(), ..GetToken::default() }),
        "fa 01 0161 00 00 00 00 00",
    );
    request(
        251,
        Command::GetToken(GetToken {
            client: "signtext".into(),
            scope: Some("a b".into()),
            resource: vec!["r1".into(), "r2".into()],
            audience: Some("aud".into()),
            min_ttl_ms: 60_000,
            wait_ms: Some(10_000),
        }),
        "fbfb00 01 087369676e74657874 0103612062 02027231027232 0103617564 fb60ea 01fb1027",
    );
    request(u32::MAX, Command::Status { client: None, after: None }, "fcffffffff 02 00 00");
    request(1, Command::Status { client: Some("a".into()), after: Some("b".into()) }, "01 02 010161 010162");
    request(
        1,
        Command::Rejected(Rejected { handle: (2 << 32) | 1, generation: 7, wait_ms: Some(10_000) }),
        "01 0c fd0100000002000000 07 01fb1027",
    );
    request(1, Command::Rejected(Rejected::default()), "01 0c 00 00 00");
    request(
        1,
        Command::Subscribe(GetToken { client: "a".into(), scope: Some("b".into()), ..GetToken::default() }),
        "01 0d 0161 010162 00 00 00 00",
    );
    request(2, Command::Cancel { id: 251 }, "02 0e fbfb00");
    request(2, Command::Presets, "02 0f");
}

#[test]
fn requests_of_administrators() {
    let client = || "a".to_owned();
    request(1, Command::Renew { client: client(), wait_ms: 70_000 }, "01 03 0161 fc70110100");
    request(1, Command::Reload, "01 04");
    let storing = Storing::default();
    let next = Storing { as_next: true, expires: Some(1_801_353_600) };
    let secret = || "p+:%".into();
    request(
        1,
        Command::SecretSet { client: client(), secret: secret(), storing },
        "01 05 0161 04702b3a25 00 00",
    );
    request(
        1,
        Command::SecretSet { client: client(), secret: secret(), storing: next },
        "01 05 0161 04702b3a25 01 01fc80795e6b",
    );
    request(1, Command::CredentialList { client: None }, "01 06 00");
    request(1, Command::CredentialList { client: Some(client()) }, "01 06 010161");
    request(1, Command::CredentialRemove { client: client(), next_only: false }, "01 07 0161 00");
    request(1, Command::CredentialRemove { client: client(), next_only: true }, "01 07 0161 01");
    request(
        1,
        Command::KeyGenerate {
            client: client(),
            algorithm: Some(KeyAlgorithm::Rs256),
            bits: Some(3072),
            kid: Some("k".into()),
            storing: Storing { as_next: true, expires: None },
        },
        "01 08 0161 0100 01fb000c 01016b 01 00",
    );
    request(
        1,
        Command::KeyGenerate { client: client(), algorithm: None, bits: None, kid: None, storing },
        "01 08 0161 00 00 00 00 00",
    );
    request(
        1,
        Command::KeyImport {
            client: client(),
            algorithm: Some(KeyAlgorithm::Es256),
            pem: [0x00, 0xff][..].into(),
            kid: None,
            storing,
        },
        "01 09 0161 0102 0200ff 00 00 00",
    );
    request(1, Command::KeyPublic { client: client() }, "01 0a 0161");
    request(1, Command::KeyRetire { client: client(), kid: "k".into() }, "01 0b 0161 016b");
    request(1, Command::CredentialsMove { to: Store::EncryptedFile }, "01 10 01");
    request(
        1,
        Command::KeyCertificate {
            client: client(),
            kid: Some("k".into()),
            common_name: Some("n".into()),
            form: CertificateForm::SelfSigned { days: 365 },
        },
        "01 11 0161 01016b 01016e 01fb6d01",
    );
    request(
        1,
        Command::KeyCertificate {
            client: client(),
            kid: None,
            common_name: None,
            form: CertificateForm::Request,
        },
        "01 11 0161 00 00 00",
    );
    request(1, Command::Test { client: client() }, "01 12 0161");
    request(1, Command::Doctor, "01 13");
    request(1, Command::PolicyExplain { client: client(), whom: Whom::Process(300) }, "01 14 0161 00 fb2c01");
    request(
        1,
        Command::PolicyExplain { client: client(), whom: Whom::User("u".into()) },
        "01 14 0161 01 0175",
    );
    no_variant::<Command>(0x15);
    no_variant::<Whom>(0x02);
    no_variant::<CertificateForm>(0x02);
}

#[test]
fn done_and_failed() {
    reply(Response::Done, "01 00");
    let failure = Failure {
        code: FailureCode::NoToken,
        fixed_by: Some(Party::Server),
        message: "no".into(),
        hint: Some("wait".into()),
        next_try_in_ms: Some(1500),
    };
    reply(Response::Failed(failure), "01 01 02 0102 026e6f 010477616974 01fbdc05");
    reply(Response::Failed(Failure::new(FailureCode::Cancelled, "c")), "01 01 0c 00 0163 00 00");
    reply(Response::Withdrawn, "01 07");
    let preset =
        Preset { name: "k".into(), title: "T".into(), tenant: Some("h".into()), settings: "s".into() };
    reply(Response::Presets(vec![preset]), "01 08 01 016b 0154 010168 0173");
}

#[test]
fn tokens() {
    let full = Token {
        access_token: "eyJ".into(),
        token_type: "Bearer".into(),
        expires_in_ms: 3_600_000,
        serve_for_ms: 3_595_000,
        answered_at_ms: 300,
        expires_at_ms: 1_800_000_000_000,
        scope: Some("a b".into()),
        generation: 7,
        min_ttl_met: true,
        handle: 9,
    };
    let vector =
        "01 02 0365794a 06426561726572 fc80ee3600 fcf8da3600 fb2c01 fd00505c18a3010000 0103612062 07 01 09";
    reply(Response::Token(full), vector);
    let least = Token {
        access_token: "t".into(),
        token_type: "Bearer".into(),
        expires_in_ms: 0,
        serve_for_ms: 0,
        answered_at_ms: 0,
        expires_at_ms: 0,
        scope: None,
        generation: 1,
        min_ttl_met: false,
        handle: 0,
    };
    reply(Response::Token(least), "01 02 0174 06426561726572 00 00 00 00 00 01 00 00");
}

#[test]
fn states_of_clients() {
    reply(Response::Status(StatusPage::default()), "01 03 00 00 00");
    let status = Status {
        client: "a".into(),
        issuer: "pp".into(),
        state: State::Degraded,
        renewing: true,
        queued: true,
        expires_in_ms: Some(100),
        renew_in_ms: Some(200),
        generation: 3,
        token_requests: 4,
        outcomes: Outcomes { issued: 6, transient: 7, credential: 8, request: 9 },
        gets: 5,
        gets_from_cache: 10,
        waiting: 11,
        narrowed: 12,
        last_error: Some(LastError { code: "tls".into(), message: "no".into(), next_try_in_ms: Some(250) }),
        credential: Some(CredentialStatus {
            store: Store::EncryptedFile,
            kind: CredentialKind::PrivateKey,
            version: "v1".into(),
            expires: Some(4),
        }),
        next_credential: Some(NextCredential {
            credential: CredentialStatus {
                store: Store::OsKeyring,
                kind: CredentialKind::Secret,
                version: "v2".into(),
                expires: None,
            },
            refused: Some(LastError { code: "c".into(), message: "m".into(), next_try_in_ms: None }),
        }),
        certificate_expires: Some(-2),
        clock_offset: Some(-300),
        explanation: vec!["b".into(), "cd".into()],
    };
    reply(
        Response::Status(StatusPage { clients: vec![status], more: true, notes: vec!["n".into()] }),
        "01 03 01 0161 027070 02 01 01 0164 01c8 03 04 06070809 05 0a 0b 0c 0103746c73026e6f01fa 01010102763101 04 \
         01 0000027632 00 01 0163 016d 00 0103 01fb5702 020162026364 01 01016e",
    );
}

#[test]
fn outcomes_of_administration() {
    reply(Response::Renewed(Renewed { generation: 8, expires_in_ms: 300 }), "01 04 08 fb2c01");
    let secret = Credential {
        client: "a".into(),
        version: "v1".into(),
        store: Store::OsKeyring,
        kind: CredentialKind::Secret,
        standing: Standing::Next,
        kid: None,
        algorithm: None,
        created: None,
        expires: Some(2),
    };
    let key = Credential {
        client: "a".into(),
        version: "v2".into(),
        store: Store::EncryptedFile,
        kind: CredentialKind::PrivateKey,
        standing: Standing::Current,
        kid: Some("k".into()),
        algorithm: Some(KeyAlgorithm::Ps256),
        created: Some(1_700_000_000),
        expires: None,
    };
    reply(
        Response::Credentials(vec![secret, key]),
        "01 05 02 0161 027631 00 00 01 00 00 00 0102 0161 027632 01 01 00 01016b 0101 01fc00f15365 00",
    );
    let public = PublicKey {
        standing: Standing::Previous,
        kid: "k".into(),
        algorithm: KeyAlgorithm::Es256,
        pem: "P".into(),
        jwk: "{}".into(),
    };
    reply(Response::PublicKeys(vec![public]), "01 06 01 02 016b 02 0150 027b7d");
    let moved = Moved {
        from: Store::EncryptedFile,
        to: Store::OsKeyring,
        credentials: 3,
        left_behind: vec!["x".into()],
        configured: Some(Store::EncryptedFile),
    };
    reply(Response::Moved(moved), "01 09 01 00 03 01 0178 0101");
    reply(Response::Certificate("P".into()), "01 0a 0150");
    let check =
        Check { subject: "s".into(), verdict: Verdict::Bad, finding: "f".into(), remedy: Some("r".into()) };
    reply(Response::Checks(vec![check]), "01 0b 01 0173 03 0166 010172");
    let condition = PolicyCondition { holds: Holds::Depends, why: "w".into() };
    let rule = PolicyRule {
        rule: "r".into(),
        holds: Holds::No,
        part: Some("p".into()),
        conditions: vec![condition],
    };
    let policy = Policy {
        client: "a".into(),
        uid: 1000,
        pid: Some(7),
        unit: Some("u".into()),
        user_unit: None,
        whole: Holds::No,
        some: Holds::Yes,
        rules: vec![rule],
        more_rules: 3,
        notes: vec!["n".into()],
    };
    reply(
        Response::Policy(policy),
        "01 0c 0161 fbe803 0107 010175 00 00 02 01 0172 00 010170 01 01 0177 03 01 016e",
    );
    no_variant::<Response>(0x0d);
}

#[test]
fn the_places_of_variants() {
    use FailureCode::{
        Blocked, Cancelled, Denied, Internal, InvalidRequest, NoToken, Refused, ShuttingDown, TokenTooLarge,
        TooMuch, UnknownClient, UnknownHandle,
    };
    golden_variants(&[
        Denied,
        UnknownClient,
        NoToken,
        Blocked,
        InvalidRequest,
        Refused,
        FailureCode::KeyStore,
        TokenTooLarge,
        ShuttingDown,
        Internal,
        UnknownHandle,
        TooMuch,
        Cancelled,
    ]);
    golden_variants(&[Party::Caller, Party::Operator, Party::Server]);
    golden_variants(&[State::Pending, State::Warm, State::Degraded, State::Unavailable, State::Blocked]);
    golden_variants(&[Store::OsKeyring, Store::EncryptedFile, Store::SystemdCredentials]);
    golden_variants(&[Standing::Current, Standing::Next, Standing::Previous]);
    golden_variants(&[Verdict::Good, Verdict::Skipped, Verdict::Warning, Verdict::Bad]);
    golden_variants(&[Holds::No, Holds::Depends, Holds::Yes]);
    golden_variants(&[CredentialKind::Secret, CredentialKind::PrivateKey]);
    golden_variants(&[
        KeyAlgorithm::Rs256,
        KeyAlgorithm::Ps256,
        KeyAlgorithm::Es256,
        KeyAlgorithm::EdDsa,
        KeyAlgorithm::Rs384,
        KeyAlgorithm::Rs512,
        KeyAlgorithm::Ps384,
        KeyAlgorithm::Ps512,
        KeyAlgorithm::Es384,
        KeyAlgorithm::Es512,
    ]);
}
