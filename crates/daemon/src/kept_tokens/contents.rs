//! What is in the file, and what its times mean when it is read.

use std::time::Duration;

use bincode::enc::EncoderImpl;
use bincode::enc::write::SizeWriter;
use bincode::{Decode, Encode, config};
use tokenbroker_core::config::ClientName;
use tokenbroker_core::engine::KeptToken;
use tokenbroker_core::narrowing::Narrowing;
use tokenbroker_core::time::Moment;
use tokenbroker_oauth::{AccessToken, Scope};
use tokenbroker_secret::{Secret, SecretString};
use zeroize::Zeroizing;

use super::{MAX_LENGTH, Miss};
use crate::clock::Reading;

/// The limit is what keeps a claimed length from allocating more than a file can hold.
const FORM: config::Configuration<config::LittleEndian, config::Varint, config::Limit<MAX_LENGTH>> =
    config::standard().with_limit::<MAX_LENGTH>();

/// Everything that is encrypted, as it is read.
#[derive(Debug, Decode)]
pub(super) struct Contents {
    /// When it was written: nanoseconds since boot, and since 1970 (UTC).
    written: u64,
    written_wall: u64,
    tokens: Vec<Token>,
}

#[derive(Debug, Encode, Decode)]
struct Token {
    client: String,
    binding: String,
    credential: String,
    narrowed_scope: Option<String>,
    narrowed_resource: Vec<String>,
    narrowed_audience: Option<String>,
    access_token: SecretString,
    scope: Option<String>,
    /// In nanoseconds since the same boot.
    expires: u64,
    /// In nanoseconds.
    lifetime: u64,
}

impl Contents {
    /// As many of the tokens as fit, the first ones, encoded; and how many don't fit.
    ///
    /// What is written of each is made when it is written: of very many there would be much.
    pub(super) fn encode(
        tokens: impl ExactSizeIterator<Item = KeptToken> + Clone,
        now: &Reading,
        limit: usize,
    ) -> Option<(Secret, usize)> {
        let (mut fitting, mut length, mut allocated) = (0, 0, 0);
        for token in tokens.clone() {
            let encoded = encoded_length(&Token::of(token))?;
            // The decoder counts what it allocates, too.
            allocated += encoded + size_of::<Token>();
            if allocated > limit {
                break;
            }
            fitting += 1;
            length += encoded;
        }
        let left_out = tokens.len() - fitting;
        let head = (now.boot.as_nanos(), nanos(now.wall), fitting as u64);
        // All in one allocation of the right size: growing would leave copies behind.
        let mut bytes = Zeroizing::new(vec![0; encoded_length(&head)? + length]);
        let mut written = bincode::encode_into_slice(head, &mut bytes, FORM).ok()?;
        for token in tokens.take(fitting) {
            written += bincode::encode_into_slice(Token::of(token), &mut bytes[written..], FORM).ok()?;
        }
        Some((Secret::yielding(std::mem::take(&mut *bytes)), left_out))
    }

    /// `None` unless it is exactly such contents.
    pub(super) fn decode(bytes: &Secret) -> Option<Self> {
        let (contents, read) = bincode::decode_from_slice(bytes.expose(), FORM).ok()?;
        (read == bytes.len()).then_some(contents)
    }

    /// The tokens that have not expired, with their times on the clock of this boot.
    pub(super) fn into_tokens(self, boot_id: &[u8], now: &Reading) -> Result<Vec<KeptToken>, Miss> {
        let same_boot = now.boot_id.is_some_and(|now| now == *boot_id);
        // How long ago it was written: after another boot only the wall clock can tell.
        let (written, now_then) = if same_boot {
            (self.written, now.boot.as_nanos())
        } else {
            (self.written_wall, nanos(now.wall))
        };
        let age = now_then.checked_sub(written).ok_or(Miss::ClockSetBack)?;
        let mut tokens = Vec::with_capacity(self.tokens.len());
        for token in self.tokens {
            // What was left when it was written, less the age: never more than there was.
            let left = token.expires.saturating_sub(self.written).saturating_sub(age);
            if left > 0 {
                let expires = Moment::from_nanos(now.boot.as_nanos().saturating_add(left));
                tokens.push(token.into_kept(expires, same_boot).ok_or(Miss::Damaged)?);
            }
        }
        Ok(tokens)
    }
}

impl Token {
    fn of(token: KeptToken) -> Self {
        Self {
            client: token.client.as_str().to_owned(),
            binding: token.binding,
            credential: token.credential.to_string(),
            narrowed_scope: token.narrowing.scope.as_ref().map(Scope::to_string),
            narrowed_resource: token.narrowing.resource.into_iter().collect(),
            narrowed_audience: token.narrowing.audience,
            access_token: token.access_token.secret().clone(),
            scope: token.scope,
            expires: token.expires.as_nanos(),
            lifetime: nanos(token.lifetime),
        }
    }

    /// `None` if a part of it is not what it should be.
    fn into_kept(self, expires: Moment, same_boot: bool) -> Option<KeptToken> {
        let scope = self.narrowed_scope.map(|scope| Scope::parse(&scope)).transpose().ok()?;
        let narrowing = Narrowing {
            scope,
            resource: self.narrowed_resource.into_iter().collect(),
            audience: self.narrowed_audience,
        };
        Some(KeptToken {
            client: ClientName::new(&self.client)?,
            binding: self.binding,
            credential: self.credential.into(),
            narrowing,
            access_token: AccessToken::parse(self.access_token).ok()?,
            scope: self.scope,
            expires,
            lifetime: Duration::from_nanos(self.lifetime),
            same_boot,
        })
    }
}

fn encoded_length(value: &impl Encode) -> Option<usize> {
    let mut length = EncoderImpl::new(SizeWriter::default(), FORM);
    value.encode(&mut length).ok()?;
    Some(length.into_writer().bytes_written)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
