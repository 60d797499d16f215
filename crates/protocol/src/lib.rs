//! The native wire of tokenbroker: messages, failure codes, bounded framing and versions.
//!
//! A connection is a stream of frames, each a little-endian `u32` length and that many bytes, at most
//! [`MAX_FRAME`]. The first frame in each direction is a [`hello`], whose layout never changes; every later one
//! is a [`Request`] or a [`Reply`] in bincode's standard configuration, consumed to the last byte.
//!
//! Messages evolve by version: a released struct is frozen, an enum grows at its end, and the golden vectors in
//! `tests/golden.rs` hold every message to its bytes. This crate does no I/O and knows no async.

mod codec;
mod failure;
mod frame;
pub mod hello;
mod message;

pub use codec::{DecodeError, EncodeError, decode, encode, encode_into};
pub use failure::{Failure, FailureCode, Party};
pub use frame::{FrameBuffer, Oversize, frame};
pub use message::{
    CertificateForm, Check, Command, Credential, CredentialKind, CredentialStatus, GetToken, Holds,
    KeyAlgorithm, LastError, Moved, NextCredential, Outcomes, Policy, PolicyCondition, PolicyRule, Preset,
    PublicKey, Rejected, Renewed, Reply, Request, Response, Standing, State, Status, StatusPage, Store,
    Storing, Token, TokenReply, Verdict, Whom,
};

/// The id of the last reply on a connection that the daemon closes for a reason of its own, such as a quota.
pub const CONNECTION: u32 = 0;

/// The longest payload of a frame, in bytes. A longer one is refused before any of it is read.
pub const MAX_FRAME: usize = 64 * 1024;

/// The longest [`Status::explanation`], in bytes of all its lines together.
pub const MAX_EXPLANATION: usize = 16 * 1024;

/// The longest access token that is carried, in bytes.
pub const MAX_TOKEN: usize = 32 * 1024;
