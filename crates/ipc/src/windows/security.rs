//! Who may connect to a pipe.

use std::io;

use interprocess::os::windows::ToWtf16;
use interprocess::os::windows::security_descriptor::SecurityDescriptor;

use super::pipe::CONNECT;
use super::{Sid, own_sid};

/// The security descriptor for what `mode` says of a Unix socket: 0600 or 0666.
///
/// # Errors
///
/// [`InvalidInput`](io::ErrorKind::InvalidInput) for any other mode: nothing that it could mean is so on Windows.
pub(super) fn descriptor(mode: u32) -> io::Result<SecurityDescriptor> {
    let text = text(&own_sid()?, mode)?;
    SecurityDescriptor::deserialize(&text.to_wtf_16().map_err(io::Error::other)?)
}

/// In the security descriptor string format. The owner is named: by it callers tell whose pipe it is, and what an
/// administrator makes would otherwise belong to all of them. The system and administrators may do everything, as
/// root may on Unix.
///
/// There must be no group: interprocess would copy it over the owner.
fn text(owner: &Sid, mode: u32) -> io::Result<String> {
    let others = match mode {
        0o600 => String::new(),
        0o666 => format!("(A;;{CONNECT:#x};;;WD)"),
        _ => {
            let message = "a pipe is for its user alone (0600) or for everybody (0666)";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
    };
    Ok(format!("O:{owner}D:P(A;;FA;;;{owner})(A;;FA;;;SY)(A;;FA;;;BA){others}"))
}

#[cfg(test)]
mod tests {
    use interprocess::os::windows::security_descriptor::AsSecurityDescriptorExt;

    use super::*;

    /// Owner and discretionary list.
    const SELECTED: u32 = 1 | 4;

    fn round_trip(mode: u32) -> String {
        descriptor(mode).unwrap().serialize(SELECTED, |text| text.to_string_lossy()).unwrap()
    }

    #[test]
    fn s02_only_the_mode_for_everybody_lets_others_in_and_none_lets_them_serve() {
        let owner = own_sid().unwrap();
        let own = format!("O:{owner}D:P(A;;FA;;;{owner})(A;;FA;;;SY)(A;;FA;;;BA)");
        assert_eq!(text(&owner, 0o600).unwrap(), own);
        assert_eq!(text(&owner, 0o666).unwrap(), format!("{own}(A;;0x12019b;;;WD)"));
        assert!(!round_trip(0o600).contains("WD"), "{}", round_trip(0o600));
        assert!(round_trip(0o666).contains("(A;;0x12019b;;;WD)"), "{}", round_trip(0o666));
        for refused in [0, 0o660, 0o606, 0o777] {
            assert_eq!(descriptor(refused).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }
}
