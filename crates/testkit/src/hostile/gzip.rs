//! Just enough gzip (RFC 1952) to make what a decoder must not fall for: few bytes that become very many.

/// The bits of a deflate stream, least significant first (RFC 1951 section 3.1.1).
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

/// `start`, followed by one byte very often: about 160 bytes for each that is in the result.
///
/// One block with the fixed codes of RFC 1951 section 3.2.6: `start` as literals, then the longest matches there are
/// (258 bytes), each at distance one.
pub fn bomb(start: &[u8], filling: u8, at_least: usize) -> Vec<u8> {
    let matches = at_least.div_ceil(258);
    let mut bits = Bits { bytes: vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff], used: 8 };
    bits.put(1, 1); // the last block
    bits.put(0b01, 2); // with the fixed codes
    for byte in start.iter().chain([&filling]) {
        bits.put_literal(*byte);
    }
    for _ in 0..matches {
        bits.put_code(0b1100_0101, 8); // length 258
        bits.put_code(0, 5); // distance 1
    }
    bits.put_code(0, 7); // the end of the block
    let mut checksum = Checksum::new();
    let length = start.len() + 1 + matches * 258;
    start.iter().for_each(|byte| checksum.add(*byte));
    (start.len()..length).for_each(|_| checksum.add(filling));
    let mut gzip = bits.bytes;
    gzip.extend_from_slice(&checksum.value().to_le_bytes());
    gzip.extend_from_slice(&(length as u32).to_le_bytes());
    gzip
}

impl Bits {
    /// A number, its least significant bit first.
    fn put(&mut self, number: u32, count: u32) {
        for bit in (0..count).map(|place| number >> place & 1) {
            if self.used == 8 {
                self.bytes.push(0);
                self.used = 0;
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= (bit as u8) << self.used;
            }
            self.used += 1;
        }
    }

    /// A Huffman code, its most significant bit first.
    fn put_code(&mut self, code: u32, count: u32) {
        self.put(code.reverse_bits() >> (32 - count), count);
    }

    fn put_literal(&mut self, byte: u8) {
        match u32::from(byte) {
            low @ 0..=143 => self.put_code(0b0011_0000 + low, 8),
            high => self.put_code(0b1_1001_0000 + high - 144, 9),
        }
    }
}

/// CRC-32, bit by bit.
struct Checksum(u32);

impl Checksum {
    fn new() -> Self {
        Self(u32::MAX)
    }

    fn add(&mut self, byte: u8) {
        self.0 ^= u32::from(byte);
        for _ in 0..8 {
            self.0 = (self.0 >> 1) ^ (0xedb8_8320 * (self.0 & 1));
        }
    }

    fn value(&self) -> u32 {
        !self.0
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::process::Command;

    use super::*;

    #[test]
    fn gzip_itself_unpacks_the_bomb() {
        if !crate::require_or_skip("gzip", crate::programs(&["gzip"])) {
            return;
        }
        let start = "{\"a\":\"\u{fc}\u{ff}\"}".as_bytes();
        let bomb = bomb(start, b' ', 3 * 1024 * 1024);
        assert!(bomb.len() < 21_000, "{} bytes", bomb.len());
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &bomb).unwrap();
        let output =
            Command::new("gzip").arg("-dc").stdin(File::open(file.path()).unwrap()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout.len() >= 3 * 1024 * 1024 && output.stdout.starts_with(start));
        assert!(output.stdout[start.len()..].iter().all(|byte| *byte == b' '));
    }
}
