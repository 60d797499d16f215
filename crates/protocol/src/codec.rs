//! Messages to frames and back.

use bincode::{Decode, Encode, config};
use tokenbroker_secret::Secret;
use zeroize::Zeroize;

use crate::{MAX_FRAME, Oversize};

/// The limit is what keeps a claimed length inside a message from allocating more than a frame can hold.
const WIRE: config::Configuration<config::LittleEndian, config::Varint, config::Limit<MAX_FRAME>> =
    config::standard().with_limit::<MAX_FRAME>();

/// A message as a whole frame, length in front.
///
/// # Errors
///
/// [`EncodeError`] if the message does not fit a frame.
pub fn encode<M: Encode>(message: &M) -> Result<Secret, EncodeError> {
    let mut bytes = Vec::new();
    encode_into(message, &mut bytes)?;
    Ok(Secret::yielding(bytes))
}

/// Appends a message as a whole frame to `bytes`, which is left as it was if the message does not fit.
///
/// What was appended may be a secret: wiping it is the caller's.
///
/// # Errors
///
/// [`EncodeError`] if the message does not fit a frame.
pub fn encode_into<M: Encode>(message: &M, bytes: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = bytes.len();
    bytes.extend_from_slice(&[0; 4]);
    let encoded = append(message, bytes, start);
    if encoded.is_err() {
        bytes[start..].zeroize();
        bytes.truncate(start);
    }
    encoded
}

fn append<M: Encode>(message: &M, bytes: &mut Vec<u8>, start: usize) -> Result<(), EncodeError> {
    let written = bincode::encode_into_std_write(message, &mut *bytes, WIRE)
        .map_err(|source| EncodeError::Message { source: Box::new(source) })?;
    let length = u32::try_from(written).ok().filter(|_| written <= MAX_FRAME);
    let length = length.ok_or(Oversize { length: written })?;
    bytes[start..start + 4].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

/// The message in a frame's payload.
///
/// # Errors
///
/// [`DecodeError`] if the payload is not exactly one such message.
pub fn decode<M: Decode<()>>(payload: &[u8]) -> Result<M, DecodeError> {
    let (message, consumed) = bincode::decode_from_slice(payload, WIRE)
        .map_err(|source| DecodeError::Malformed { source: Box::new(source) })?;
    match payload.len() - consumed {
        0 => Ok(message),
        surplus => Err(DecodeError::Trailing { surplus }),
    }
}

/// Why a message can't be sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// It is longer than a frame may be.
    #[error("the message does not fit a frame")]
    Oversize(#[from] Oversize),
    /// The encoder gave up on it.
    #[error("the message can't be encoded")]
    Message {
        /// What the encoder said.
        source: Box<bincode::error::EncodeError>,
    },
}

/// Why a payload is not a message. The connection it came from is of no further use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// It is truncated, has an unknown variant, or a length beyond its end.
    #[error("the message is malformed")]
    Malformed {
        /// What the decoder said.
        source: Box<bincode::error::DecodeError>,
    },
    /// There is something after the message.
    #[error("{surplus} bytes follow the message")]
    Trailing {
        /// How many bytes.
        surplus: usize,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Command, FrameBuffer, Reply, Request};

    #[test]
    fn s07_trailing_bytes_are_a_typed_error() {
        let framed = encode(&Request { id: 1, command: Command::Ping }).unwrap();
        let mut payload = framed.expose()[4..].to_vec();
        assert!(decode::<Request>(&payload).is_ok());
        payload.push(0);
        assert!(matches!(decode::<Request>(&payload), Err(DecodeError::Trailing { surplus: 1 })));
    }

    #[test]
    fn a_message_that_does_not_fit_leaves_the_buffer_as_it_was() {
        let mut bytes = b"before".to_vec();
        let huge = Request { id: 1, command: Command::Renew { client: "x".repeat(MAX_FRAME), wait_ms: 0 } };
        assert!(encode_into(&huge, &mut bytes).is_err());
        assert_eq!(bytes, b"before");
    }

    #[test]
    fn s07_every_truncation_of_a_request_is_a_typed_error() {
        let request = Request { id: 77, command: Command::Renew { client: "signtext".into(), wait_ms: 500 } };
        let framed = encode(&request).unwrap();
        let payload = &framed.expose()[4..];
        for length in 0..payload.len() {
            assert!(decode::<Request>(&payload[..length]).is_err(), "{length} bytes");
        }
    }

    proptest! {
        #[test]
        fn s07_arbitrary_bytes_are_never_worse_than_an_error(payload in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = decode::<Request>(&payload);
            let _ = decode::<Reply>(&payload);
            let mut buffer = FrameBuffer::default();
            let space = buffer.space();
            space[..payload.len()].copy_from_slice(&payload);
            buffer.filled(payload.len());
            while let Ok(Some(_)) = buffer.next_frame() {}
        }
    }
}
