//! Just enough DER (X.690) to see what kind of key some bytes are before anything is done with them.

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;

/// Values that follow each other.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(der: &'a [u8]) -> Self {
        Self(der)
    }

    /// The content of the next value if it has this tag.
    pub(super) fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (&found, rest) = self.0.split_first()?;
        let (length, rest) = length(rest)?;
        let (content, rest) = rest.split_at_checked(length)?;
        (found == tag).then(|| {
            self.0 = rest;
            content
        })
    }

    /// What is inside the next value, a sequence.
    pub(super) fn sequence(&mut self) -> Option<Reader<'a>> {
        self.take(SEQUENCE).map(Reader)
    }

    /// A positive integer, big-endian without leading zeros.
    pub(super) fn positive(&mut self) -> Option<&'a [u8]> {
        let content = self.take(INTEGER)?;
        let leading = content.iter().take_while(|byte| **byte == 0).count();
        let negative = content.first().is_none_or(|byte| byte & 0x80 != 0);
        (!negative && leading < content.len()).then(|| &content[leading..])
    }
}

/// Short form, or up to four bytes of the long form.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let count = usize::from(first & 0x7f);
    if first < 0x80 {
        return Some((count, rest));
    }
    if !(1..=4).contains(&count) {
        return None;
    }
    let (digits, rest) = rest.split_at_checked(count)?;
    Some((digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_read_one_after_the_other() {
        let mut reader = Reader::new(&[0x30, 6, 0x02, 1, 5, 0x04, 1, 9, 0x06, 0]);
        let mut inside = reader.sequence().unwrap();
        assert_eq!(inside.positive(), Some(&[5][..]));
        assert_eq!(inside.take(INTEGER), None, "the wrong tag takes nothing");
        assert_eq!(inside.take(OCTET_STRING), Some(&[9][..]));
        assert!(inside.0.is_empty());
        assert_eq!(reader.take(OBJECT_IDENTIFIER), Some(&[][..]));
        assert!(reader.0.is_empty());
    }

    #[test]
    fn long_lengths_are_read_and_impossible_ones_refused() {
        let mut long = vec![0x04, 0x82, 0x01, 0x00];
        long.extend([7; 256]);
        assert_eq!(Reader::new(&long).take(OCTET_STRING).map(<[u8]>::len), Some(256));
        for broken in [&[0x04][..], &[0x04, 2, 1], &[0x04, 0x80, 0], &[0x04, 0x85, 0, 0, 0, 0, 1, 1]] {
            assert_eq!(Reader::new(broken).take(OCTET_STRING), None);
        }
    }

    #[test]
    fn integers_lose_their_sign_byte_and_negative_ones_are_refused() {
        let positive = |der: &'static [u8]| Reader::new(der).positive();
        assert_eq!(positive(&[2, 2, 0, 0x80]), Some(&[0x80][..]));
        assert_eq!(positive(&[2, 1, 0x80]), None);
        assert_eq!(positive(&[2, 1, 0]), None);
        assert_eq!(positive(&[2, 0]), None);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut reader = Reader::new(&bytes);
            while reader.positive().is_some() || reader.sequence().is_some() {}
        }
    }
}
