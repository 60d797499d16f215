//! Security identifiers.

use std::fmt;
use std::str::FromStr;

/// As many as Windows takes.
const MOST_SUB_AUTHORITIES: usize = 15;

/// The only revision there is.
const REVISION: u8 = 1;

/// The authority of Windows itself, whose SIDs begin with `S-1-5`.
const NT_AUTHORITY: u64 = 5;

/// What Windows knows a user, a group or a service by. Shown as `S-1-5-18`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Sid {
    /// 48 bits.
    authority: u64,
    sub_authorities: Vec<u32>,
}

impl Sid {
    /// Reads one as it is in memory (\[MS-DTYP\] 2.4.2.2), to the last byte.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&[REVISION, count, ref authority @ ..], rest) = bytes.split_first_chunk::<8>()? else {
            return None;
        };
        let count = usize::from(count);
        if count > MOST_SUB_AUTHORITIES || rest.len() != count * 4 {
            return None;
        }
        let authority = authority.iter().fold(0, |authority, byte| authority << 8 | u64::from(*byte));
        let (sub_authorities, _) = rest.as_chunks::<4>();
        Some(Self {
            authority,
            sub_authorities: sub_authorities.iter().copied().map(u32::from_le_bytes).collect(),
        })
    }

    /// Whether it is the system itself, as which services may run.
    pub(super) fn is_system(&self) -> bool {
        self.is_nt(&[18])
    }

    /// Whether it is the group of this host's administrators, to whom belongs what they make with their full rights.
    pub(super) fn is_administrators(&self) -> bool {
        self.is_nt(&[32, 544])
    }

    fn is_nt(&self, sub_authorities: &[u32]) -> bool {
        self.authority == NT_AUTHORITY && self.sub_authorities == sub_authorities
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S-{REVISION}-")?;
        match u32::try_from(self.authority) {
            Ok(authority) => write!(f, "{authority}")?,
            Err(_) => write!(f, "{:#014x}", self.authority)?,
        }
        self.sub_authorities.iter().try_for_each(|sub_authority| write!(f, "-{sub_authority}"))
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a SID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a SID such as S-1-5-18")]
pub struct NotASid;

impl FromStr for Sid {
    type Err = NotASid;

    fn from_str(text: &str) -> Result<Self, NotASid> {
        let mut parts = text.strip_prefix("S-1-").ok_or(NotASid)?.split('-');
        let authority = parts.next().ok_or(NotASid)?;
        let authority = match authority.strip_prefix("0x") {
            Some(digits) if digits.len() == 12 => u64::from_str_radix(digits, 16).ok(),
            Some(_) => None,
            None => number(authority).map(u64::from),
        };
        let sub_authorities = parts.map(number).collect::<Option<Vec<_>>>().ok_or(NotASid)?;
        if sub_authorities.len() > MOST_SUB_AUTHORITIES {
            return Err(NotASid);
        }
        Ok(Self { authority: authority.ok_or(NotASid)?, sub_authorities })
    }
}

/// Digits alone; `parse` would take a sign.
fn number(digits: &str) -> Option<u32> {
    digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_text_are_the_same_sid() {
        let administrators = [1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0];
        let sid = Sid::from_bytes(&administrators).unwrap();
        assert_eq!(sid.to_string(), "S-1-5-32-544");
        assert!(sid.is_administrators() && !sid.is_system());
        for text in ["S-1-5-18", "S-1-0", "S-1-5-21-4294967295-2-3-1001", "S-1-0x123456789abc-7"] {
            assert_eq!(text.parse::<Sid>().unwrap().to_string(), text);
        }
        assert!("S-1-5-18".parse::<Sid>().unwrap().is_system());
    }

    #[test]
    fn what_is_not_whole_is_none() {
        let one = [1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0];
        assert!(Sid::from_bytes(&one).is_some());
        assert_eq!(Sid::from_bytes(&one[..11]), None);
        assert_eq!(Sid::from_bytes(&[&one[..], &[0]].concat()), None);
        assert_eq!(Sid::from_bytes(&[&[2], &one[1..]].concat()), None);
        assert_eq!(Sid::from_bytes(&[&[1, 16, 0, 0, 0, 0, 0, 5][..], &[0; 64]].concat()), None);
        for text in ["", "S-1", "S-1-", "S-2-5-18", "S-1-5-", "S-1-5-+1", "S-1-5-4294967296", "S-1-0x5-1"] {
            assert_eq!(text.parse::<Sid>(), Err(NotASid), "{text}");
        }
    }
}
