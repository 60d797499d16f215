//! Secrets on the wire: encoded as the plain bytes or text they hold, wiped on both sides.

use bincode::de::{BorrowDecoder, Decoder};
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{BorrowDecode, Decode, Encode};

use crate::{Secret, SecretString};

impl Encode for Secret {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.expose().encode(encoder)
    }
}

impl<C> Decode<C> for Secret {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        // Messages and tokens. What is a credential among it gets its place when it is put into a store.
        Vec::<u8>::decode(decoder).map(Self::yielding)
    }
}

impl<'de, C> BorrowDecode<'de, C> for Secret {
    fn borrow_decode<D: BorrowDecoder<'de, Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Self::decode(decoder)
    }
}

impl Encode for SecretString {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.expose().encode(encoder)
    }
}

impl<C> Decode<C> for SecretString {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Secret::decode(decoder)?.into_text().map_err(|_| DecodeError::Other("text is not valid UTF-8"))
    }
}

impl<'de, C> BorrowDecode<'de, C> for SecretString {
    fn borrow_decode<D: BorrowDecoder<'de, Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Self::decode(decoder)
    }
}
