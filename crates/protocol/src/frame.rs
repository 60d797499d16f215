//! Cuts a byte stream into frames, without ever holding more than one frame too long.

use tokenbroker_secret::Secret;
use zeroize::{Zeroize, Zeroizing};

use crate::MAX_FRAME;

const HEADER: usize = size_of::<u32>();

/// What a read is offered at least; most replies fit in it whole.
const READ: usize = 4 * 1024;

/// The same for requests, which are shorter; thousands of callers may wait for something with such a buffer each.
const READ_OF_REQUESTS: usize = 2 * 1024;

/// Received bytes, and the frames in them. Wiped when dropped: tokens and secrets pass through it.
#[derive(Debug)]
pub struct FrameBuffer {
    bytes: Zeroizing<Vec<u8>>,
    start: usize,
    end: usize,
    /// What it has when nothing long is held.
    least: usize,
}

/// For replies.
impl Default for FrameBuffer {
    fn default() -> Self {
        Self::with(READ)
    }
}

impl FrameBuffer {
    /// For requests: takes less memory.
    pub fn for_requests() -> Self {
        Self::with(READ_OF_REQUESTS)
    }

    fn with(least: usize) -> Self {
        Self { bytes: Zeroizing::new(vec![0; least]), start: 0, end: 0, least }
    }

    /// Where to read the next bytes to; never empty. Follow with [`filled`](Self::filled).
    pub fn space(&mut self) -> &mut [u8] {
        self.shrink();
        if self.end == self.bytes.len() {
            self.bytes.copy_within(self.start..self.end, 0);
            let moved = self.end - self.start;
            self.bytes[moved..self.end].zeroize();
            (self.start, self.end) = (0, moved);
        }
        if self.end == self.bytes.len() {
            self.grow();
        }
        &mut self.bytes[self.end..]
    }

    /// Gives back what a long frame took, once nothing of it is held any more.
    pub fn shrink(&mut self) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.bytes.len() > self.least {
                // One long frame is no reason to hold so much for the life of the connection.
                self.bytes = Zeroizing::new(vec![0; self.least]);
            }
        }
    }

    /// Wipes what was taken as frames, once nothing else is held, and gives back what a long one took.
    pub fn wipe(&mut self) {
        // More than that is dropped, and wiped with it.
        if self.start == self.end && self.bytes.len() <= self.least {
            self.bytes[..self.end].zeroize();
        }
        self.shrink();
    }

    /// Says that `count` bytes were read into [`space`](Self::space).
    ///
    /// # Panics
    ///
    /// If that is more than there was space for.
    pub fn filled(&mut self, count: usize) {
        assert!(count <= self.bytes.len() - self.end, "more bytes were read than there was space for");
        self.end += count;
    }

    /// The payload of the next frame, or `None` until more bytes come.
    ///
    /// # Errors
    ///
    /// [`Oversize`] if the peer announces a payload over [`MAX_FRAME`]; the connection is of no further use.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, Oversize> {
        let Some(length) = self.announced()? else { return Ok(None) };
        let payload = self.start + HEADER..self.start + HEADER + length;
        if payload.end > self.end {
            return Ok(None);
        }
        self.start = payload.end;
        Ok(Some(&self.bytes[payload]))
    }

    /// How much memory it takes, in bytes.
    pub fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Whether bytes can be taken without growing.
    pub fn has_room(&self) -> bool {
        self.end - self.start < self.bytes.len()
    }

    /// Whether bytes of a frame that is not complete yet are held.
    pub fn is_partial(&self) -> bool {
        self.start != self.end
    }

    /// The length of the next payload, once its header is there.
    fn announced(&self) -> Result<Option<usize>, Oversize> {
        let Some(header) = self.bytes[self.start..self.end].first_chunk::<HEADER>() else { return Ok(None) };
        match u32::from_le_bytes(*header) as usize {
            length if length <= MAX_FRAME => Ok(Some(length)),
            length => Err(Oversize { length }),
        }
    }

    /// Only a frame whose header was found to be within bounds comes here, so this happens a few times at most.
    fn grow(&mut self) {
        let mut larger = Zeroizing::new(vec![0; (self.bytes.len() * 2).min(HEADER + MAX_FRAME)]);
        larger[..self.end].copy_from_slice(&self.bytes[..self.end]);
        self.bytes = larger;
    }
}

/// A payload with its length in front, ready to be written.
///
/// # Errors
///
/// [`Oversize`] if it is longer than [`MAX_FRAME`].
pub fn frame(payload: &[u8]) -> Result<Secret, Oversize> {
    let length = u32::try_from(payload.len()).ok().filter(|length| *length as usize <= MAX_FRAME);
    let length = length.ok_or(Oversize { length: payload.len() })?;
    let mut framed = Vec::with_capacity(HEADER + payload.len());
    framed.extend_from_slice(&length.to_le_bytes());
    framed.extend_from_slice(payload);
    Ok(Secret::yielding(framed))
}

/// A frame longer than the protocol allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {length} bytes is over the limit of {MAX_FRAME}")]
pub struct Oversize {
    /// The announced length in bytes.
    pub length: usize,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn receive(buffer: &mut FrameBuffer, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let space = buffer.space();
            let count = space.len().min(bytes.len());
            space[..count].copy_from_slice(&bytes[..count]);
            buffer.filled(count);
            bytes = &bytes[count..];
        }
    }

    #[test]
    fn s57_what_was_taken_is_wiped_when_nothing_else_is_held() {
        let framed = frame(b"hunter2").unwrap();
        let mut buffer = FrameBuffer::default();
        let holds = |buffer: &FrameBuffer| buffer.bytes.windows(7).any(|found| found == b"hunter2");
        receive(&mut buffer, framed.expose());
        receive(&mut buffer, &framed.expose()[..5]);
        assert_eq!(buffer.next_frame().unwrap(), Some(&b"hunter2"[..]));
        buffer.wipe();
        assert!(buffer.is_partial(), "the second is still to come");
        receive(&mut buffer, &framed.expose()[5..]);
        assert_eq!(buffer.next_frame().unwrap(), Some(&b"hunter2"[..]));
        assert!(holds(&buffer));
        buffer.wipe();
        assert!(!holds(&buffer));
        assert_eq!(buffer.next_frame(), Ok(None));
    }

    #[test]
    fn s06_an_oversize_length_is_refused_before_anything_is_allocated_for_it() {
        let mut buffer = FrameBuffer::default();
        let held = buffer.bytes.len();
        receive(&mut buffer, &u32::MAX.to_le_bytes());
        assert_eq!(buffer.next_frame(), Err(Oversize { length: u32::MAX as usize }));
        assert_eq!(buffer.bytes.len(), held);
    }

    #[test]
    fn the_largest_frame_passes_and_one_byte_more_does_not() {
        let payload = vec![7; MAX_FRAME];
        let mut buffer = FrameBuffer::default();
        let framed = frame(&payload).unwrap();
        // Fed a piece at a time: the buffer only has space once the header was looked at.
        for piece in framed.expose().chunks(1000) {
            assert_eq!(buffer.next_frame(), Ok(None));
            receive(&mut buffer, piece);
        }
        assert_eq!(buffer.next_frame(), Ok(Some(&payload[..])));
        assert!(!buffer.is_partial());
        assert!(buffer.capacity() >= MAX_FRAME);
        buffer.shrink();
        assert_eq!(buffer.capacity(), READ, "it gives back what the long frame took");
        assert_eq!(frame(&[0; MAX_FRAME + 1]), Err(Oversize { length: MAX_FRAME + 1 }));
    }

    #[test]
    fn s13_what_starts_like_http_or_tls_is_oversize() {
        for foreign in [&b"GET /v1/status HTTP/1.1\r\n"[..], &[0x16, 3, 1, 2, 0, 1, 0, 1]] {
            let mut buffer = FrameBuffer::default();
            receive(&mut buffer, foreign);
            assert!(buffer.next_frame().is_err());
        }
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in_however_they_are_cut(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 1..20),
            cut in 1..5000_usize,
        ) {
            let stream: Vec<u8> =
                payloads.iter().flat_map(|payload| frame(payload).unwrap().expose().to_vec()).collect();
            let mut buffer = FrameBuffer::default();
            let mut received = Vec::new();
            for piece in stream.chunks(cut) {
                receive(&mut buffer, piece);
                while let Some(payload) = buffer.next_frame().unwrap() {
                    received.push(payload.to_vec());
                }
            }
            prop_assert_eq!(received, payloads);
            prop_assert!(!buffer.is_partial());
        }
    }
}
