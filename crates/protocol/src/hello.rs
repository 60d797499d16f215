//! The first frame in each direction: which versions of the protocol the two sides speak.
//!
//! The layout never changes, so that any two versions can at least tell each other that they don't fit.
//! All numbers are little-endian.
//!
//! | caller's hello | bytes | daemon's hello | bytes |
//! |---|---|---|---|
//! | magic `TKBR` | 4 | magic `TKBR` | 4 |
//! | lowest version | 2 | chosen version, 0 if none fits | 2 |
//! | highest version | 2 | instance id | 16 |

const MAGIC: [u8; 4] = *b"TKBR";

/// The oldest version this build speaks.
pub const LOWEST: u16 = 1;

/// The newest version this build speaks.
pub const HIGHEST: u16 = 1;

/// What a caller says first: the range of versions it speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallerHello {
    /// The oldest version it speaks.
    pub lowest: u16,
    /// The newest version it speaks.
    pub highest: u16,
}

impl CallerHello {
    /// Payload length in bytes.
    pub const LENGTH: usize = 8;

    /// What this build says.
    pub const OURS: Self = Self { lowest: LOWEST, highest: HIGHEST };

    /// The payload.
    pub fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&self.lowest.to_le_bytes());
        bytes[6..].copy_from_slice(&self.highest.to_le_bytes());
        bytes
    }

    /// Reads a payload.
    ///
    /// # Errors
    ///
    /// [`NotAHello`] if the length or the magic differs.
    pub fn parse(payload: &[u8]) -> Result<Self, NotAHello> {
        let body = payload.strip_prefix(&MAGIC).ok_or(NotAHello)?;
        let [a, b, c, d] = *<&[u8; 4]>::try_from(body).map_err(|_| NotAHello)?;
        Ok(Self { lowest: u16::from_le_bytes([a, b]), highest: u16::from_le_bytes([c, d]) })
    }

    /// The newest version that both this build and the caller speak, if there is one.
    pub fn choose(self) -> Option<u16> {
        let version = self.highest.min(HIGHEST);
        (version >= self.lowest.max(LOWEST)).then_some(version)
    }
}

/// What the daemon answers: the version to speak, and which daemon this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DaemonHello {
    /// The version to speak; `None` if there is none in common.
    pub version: Option<u16>,
    /// Random for each start of the daemon. Generations and handles are comparable only within one instance.
    pub instance: [u8; 16],
}

impl DaemonHello {
    /// Payload length in bytes.
    pub const LENGTH: usize = 22;

    /// The payload.
    pub fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&self.version.unwrap_or(0).to_le_bytes());
        bytes[6..].copy_from_slice(&self.instance);
        bytes
    }

    /// Reads a payload.
    ///
    /// # Errors
    ///
    /// [`NotAHello`] if the length or the magic differs.
    pub fn parse(payload: &[u8]) -> Result<Self, NotAHello> {
        let body = payload.strip_prefix(&MAGIC).ok_or(NotAHello)?;
        let (version, instance) = body.split_first_chunk::<2>().ok_or(NotAHello)?;
        let instance = instance.try_into().map_err(|_| NotAHello)?;
        Ok(Self { version: Some(u16::from_le_bytes(*version)).filter(|version| *version != 0), instance })
    }
}

/// The peer speaks something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the peer does not speak the tokenbroker protocol")]
pub struct NotAHello;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s68_the_newest_common_version_is_chosen() {
        let choice = |lowest, highest| CallerHello { lowest, highest }.choose();
        assert_eq!(choice(LOWEST, HIGHEST), Some(HIGHEST));
        assert_eq!(choice(LOWEST, HIGHEST + 3), Some(HIGHEST), "a newer caller");
        assert_eq!(choice(0, LOWEST), Some(LOWEST), "an older caller");
        assert_eq!(choice(HIGHEST + 1, HIGHEST + 3), None, "too new");
        assert_eq!(choice(0, LOWEST - 1), None, "too old");
        assert_eq!(choice(HIGHEST, LOWEST - 1), None, "an empty range");
    }

    #[test]
    fn the_layout_is_frozen() {
        assert_eq!(CallerHello { lowest: 1, highest: 0x0203 }.to_bytes(), *b"TKBR\x01\x00\x03\x02");
        let hello = DaemonHello { version: Some(1), instance: *b"0123456789abcdef" };
        assert_eq!(hello.to_bytes(), *b"TKBR\x01\x000123456789abcdef");
        assert_eq!(DaemonHello::parse(&hello.to_bytes()), Ok(hello));
        assert_eq!(
            CallerHello::parse(b"TKBR\x01\x00\x03\x02"),
            Ok(CallerHello { lowest: 1, highest: 0x0203 })
        );
    }

    #[test]
    fn anything_else_is_refused() {
        for payload in
            [&b""[..], b"TKBR", b"TKBR\x01\x00\x01", b"TKBR\x01\x00\x01\x00\x00", b"SSHA\x01\x00\x01\x00"]
        {
            assert_eq!(CallerHello::parse(payload), Err(NotAHello));
        }
        assert_eq!(DaemonHello::parse(b"TKBR\x01\x00too short"), Err(NotAHello));
        assert_eq!(DaemonHello::parse(&[0; DaemonHello::LENGTH]), Err(NotAHello));
    }
}
