//! Where the bytes of a secret are: in the process's locked memory if it has some with room left, else on the heap.

use zeroize::{Zeroize, Zeroizing};

#[cfg(feature = "locked")]
use crate::locked::{self, Spilled};
#[cfg(feature = "locked")]
use crate::slab::Block;

/// Which secrets come first where locked memory gets scarce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Rank {
    /// What nobody can give again: credentials, keys.
    #[default]
    Credential,
    /// What can be had anew or passes through: it leaves the last of it to the others.
    Yielding,
}

/// Bytes that never move and are wiped when dropped.
#[derive(Default)]
pub(crate) struct Storage {
    place: Place,
    rank: Rank,
}

enum Place {
    Heap(Zeroizing<Box<[u8]>>),
    /// On the heap, for want of room.
    #[cfg(feature = "locked")]
    Spilled(Zeroizing<Box<[u8]>>, #[expect(dead_code, reason = "it counts until it is dropped")] Spilled),
    #[cfg(feature = "locked")]
    Slab(Block),
}

impl Storage {
    /// Takes the bytes over; where they are copied, the original is wiped.
    pub(crate) fn new(mut bytes: Vec<u8>, rank: Rank) -> Self {
        #[cfg(feature = "locked")]
        if locked::is_installed() {
            let storage = Self::copy(&bytes, rank);
            bytes.zeroize();
            return storage;
        }
        if bytes.len() == bytes.capacity() {
            return Self { place: Place::Heap(Zeroizing::new(bytes.into_boxed_slice())), rank };
        }
        let exact = bytes.as_slice().into();
        bytes.zeroize();
        Self { place: Place::Heap(Zeroizing::new(exact)), rank }
    }

    /// A copy.
    pub(crate) fn copy(bytes: &[u8], rank: Rank) -> Self {
        #[cfg(feature = "locked")]
        if let Some(slab) = locked::slab().filter(|_| !bytes.is_empty()) {
            let place = match slab.hold(bytes, rank) {
                Some(block) => Place::Slab(block),
                None => Place::Spilled(Zeroizing::new(bytes.into()), Spilled::count(bytes.len())),
            };
            return Self { place, rank };
        }
        Self { place: Place::Heap(Zeroizing::new(bytes.into())), rank }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.place {
            Place::Heap(bytes) => bytes,
            #[cfg(feature = "locked")]
            Place::Spilled(bytes, _) => bytes,
            #[cfg(feature = "locked")]
            Place::Slab(block) => block.bytes(),
        }
    }

    /// The same bytes with the lower rank, in another place if that one was taken from what is left to the higher.
    pub(crate) fn into_yielding(mut self) -> Self {
        #[cfg(feature = "locked")]
        if self.rank == Rank::Credential && matches!(self.place, Place::Slab(_)) {
            return Self::copy(self.bytes(), Rank::Yielding);
        }
        self.rank = Rank::Yielding;
        self
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::Heap(Zeroizing::default())
    }
}

impl Clone for Storage {
    fn clone(&self) -> Self {
        Self::copy(self.bytes(), self.rank)
    }
}
