//! Which systemd units a process belongs to, read from the path of its control group.
//!
//! systemd puts the processes of a unit into a group of the unit's name, below the groups of its slices:
//! `/system.slice/signer.service`. A user's manager does the same below its own group:
//! `/user.slice/user-1000.slice/user@1000.service/app.slice/signer.service`. Whoever owns a group names what is below it, so
//! what counts is the first unit of a path, and that there is nothing before it but slices in their order.

use std::fmt;
use std::path::{Path, PathBuf};

/// The longest name of a unit, in bytes (`UNIT_NAME_MAX` of systemd).
const LONGEST: usize = 255;

/// The units that a process belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Units {
    /// The unit of the system's manager, or why there is none that counts.
    pub system: Result<String, NoUnit>,
    /// The unit of the manager of the process's own user, or why there is none that counts.
    pub user: Result<String, NoUnit>,
}

impl Units {
    /// For one and the same reason neither is known.
    pub(crate) fn unknown(reason: NoUnit) -> Self {
        Self { system: Err(reason.clone()), user: Err(reason) }
    }
}

/// Why a process counts as one in no unit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoUnit {
    /// It is in none, or in one whose name is none.
    #[error("it is in no such unit")]
    None,
    /// Its user unit is one of another user's manager.
    #[error("it is in a unit of another user's manager")]
    OfAnotherUser,
    /// A pidfd of the peer takes Linux 6.5.
    #[error("the kernel does not pin callers: that takes Linux 6.5")]
    NotPinned,
    /// There is no `/proc/PID` here for a process of another PID namespace.
    #[error("it lives in another PID namespace")]
    OtherNamespace,
    /// PID 1 is not in the group that systemd gives itself.
    #[error("PID 1 of this PID namespace is not systemd")]
    NoSystemd,
    /// `/proc/PID/cgroup` can't be read.
    #[error("its control group can't be read in /proc")]
    Unreadable,
    /// Any process of the group's owner can have itself moved into the unit.
    #[error("control group {} belongs to uid {uid}, any process of whom can enter it", .group.display())]
    Delegated {
        /// The group.
        group: PathBuf,
        /// Who owns it.
        uid: u32,
    },
    /// The file system of control groups is not to be seen.
    #[error("it can't be seen whom control group {} belongs to", .group.display())]
    OwnerUnknown {
        /// The group.
        group: PathBuf,
    },
}

impl NoUnit {
    /// What to do about it, where there is something.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::None | Self::OfAnotherUser => return None,
            Self::NotPinned => "use rules with `user` and `group`, or Linux 6.5 or later",
            Self::OtherNamespace => "use rules with `user` and `group` for callers in containers",
            Self::NoSystemd => "use rules with `user` and `group`, or run the broker on the host",
            Self::Unreadable => {
                "have /proc show the processes of others to the broker, as its own service unit does"
            }
            Self::Delegated { .. } => "remove Delegate= from the unit, or use a rule with `user`",
            Self::OwnerUnknown { .. } => {
                "mount the file system of control groups at /sys/fs/cgroup, if only to be read"
            }
        })
    }
}

/// What the path of a control group says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    /// The unit of the system's manager.
    pub(crate) system: &'a str,
    /// The unit of a user's manager, and whose.
    pub(crate) user: Option<(u32, &'a str)>,
}

impl<'a> Place<'a> {
    /// The units of a path from the root of systemd's hierarchy; `None` if it is in none.
    pub(crate) fn of(path: &'a str) -> Option<Self> {
        let (slices, system, below) = unit_in(path.strip_prefix('/')?)?;
        Some(Self { system, user: user_unit(&slices, system, below) })
    }
}

/// What a user's manager put below itself.
fn user_unit<'a>(slices: &[&str], system: &str, below: &'a str) -> Option<(u32, &'a str)> {
    let digits = system.strip_prefix("user@")?.strip_suffix(".service")?;
    let uid: u32 = digits.parse().ok()?;
    // Written as systemd writes it, and where systemd puts it.
    let is_a_manager = digits == uid.to_string() && slices == ["user.slice", &format!("user-{uid}.slice")];
    let (_, unit, _) = unit_in(below)?;
    is_a_manager.then_some((uid, unit))
}

/// The slices, the unit below them, and what is below that.
fn unit_in(path: &str) -> Option<(Vec<&str>, &str, &str)> {
    let mut slices = Vec::new();
    let mut rest = path;
    loop {
        let (escaped, below) = rest.split_once('/').unwrap_or((rest, ""));
        // systemd puts a `_` before what would be taken for a file of the kernel's.
        let name = escaped.strip_prefix('_').unwrap_or(escaped);
        if !is_name(name) {
            return None;
        }
        let Some(slice) = name.strip_suffix(".slice") else {
            let is_unit = name.ends_with(".service") || name.ends_with(".scope");
            return is_unit.then_some((slices, name, below));
        };
        // `a-b.slice` is in `a.slice`, and a slice without a dash in none.
        let above = slice.rsplit_once('-').map(|(above, _)| above);
        let is_nested = above == slices.last().and_then(|last: &&str| last.strip_suffix(".slice"));
        if !is_nested || slice.is_empty() || slice.ends_with('-') {
            return None;
        }
        slices.push(name);
        rest = below;
    }
}

/// Whether systemd could have a unit of this name: nothing in it is special to a terminal.
fn is_name(name: &str) -> bool {
    let is_of_systemd = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    name.len() <= LONGEST && name.bytes().all(is_of_systemd) && !name.starts_with(['.', '@'])
}

/// The groups from the topmost down to this one.
pub(crate) fn groups_of(path: &str) -> impl Iterator<Item = &Path> {
    let ends = path.match_indices('/').map(|(at, _)| at).skip(1).chain([path.len()]);
    ends.map(|end| Path::new(&path[..end]))
}

impl fmt::Display for Units {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.system, &self.user) {
            (Ok(system), Ok(user)) => write!(f, "unit {system}, user unit {user}"),
            (Ok(system), Err(_)) => write!(f, "unit {system}"),
            (Err(_), Ok(user)) => write!(f, "user unit {user}"),
            (Err(reason), Err(_)) => write!(f, "no unit that counts: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system(path: &str) -> Option<&str> {
        Place::of(path).map(|place| place.system)
    }

    #[test]
    fn the_first_unit_below_slices_in_their_order_is_the_systems() {
        for (path, unit) in [
            ("/init.scope", "init.scope"),
            ("/system.slice/signer.service", "signer.service"),
            ("/system.slice/system-signer.slice/signer@a\\x2db.service", "signer@a\\x2db.service"),
            ("/a.slice/a-b.slice/a-b-c.slice/signer.service", "signer.service"),
            ("/system.slice/signer.service/supervised/other.service", "signer.service"),
            ("/system.slice/signer.service/system.slice/other.service", "signer.service"),
            ("/user.slice/user-1000.slice/session-3.scope", "session-3.scope"),
            ("/system.slice/_cpu.service", "cpu.service"),
            ("/system.slice/__a.service", "_a.service"),
        ] {
            assert_eq!(system(path), Some(unit), "{path}");
        }
    }

    #[test]
    fn what_systemd_would_not_have_made_is_no_unit() {
        for path in [
            "",
            "/",
            "signer.service",
            "//signer.service",
            "/system.slice",
            "/system.slice/",
            "/system.slice/signer",
            "/docker/signer.service",
            "/system.slice/docker/signer.service",
            "/../system.slice/signer.service",
            "/system.slice/../signer.service",
            "/a-b.slice/signer.service",
            "/a.slice/c-b.slice/signer.service",
            "/a.slice/b.slice/signer.service",
            "/a.slice/a-.slice/signer.service",
            "/a.slice/a--b.slice/signer.service",
            "/.slice/signer.service",
            "/-.slice/signer.service",
            "/system.slice/.service",
            "/system.slice/@a.service",
            "/system.slice/signer.service (deleted)",
            "/system.slice/signer .service",
            "/system.slice/sign\u{1b}[2Jer.service",
            "/system.slice/sign\u{e9}r.service",
            "/system.slice/signer.socket",
        ] {
            assert_eq!(Place::of(path), None, "{path:?}");
        }
        assert_eq!(system(&format!("/{}.service", "x".repeat(248))), None);
    }

    #[test]
    fn a_users_unit_is_not_the_systems() {
        let path = "/user.slice/user-1000.slice/user@1000.service/app.slice/app-x.slice/signer.service/sub";
        let place = Place::of(path).unwrap();
        assert_eq!((place.system, place.user), ("user@1000.service", Some((1000, "signer.service"))));
        for elsewhere in [
            "/user.slice/user-1000.slice/user@1000.service",
            "/user.slice/user-1000.slice/user@1000.service/signer",
            "/user.slice/user-1000.slice/user@1000.service/app/signer.service",
            "/user.slice/user-1001.slice/user@1000.service/signer.service",
            "/user.slice/user-01000.slice/user@01000.service/signer.service",
            "/user.slice/user-1000.slice/user@+1000.service/signer.service",
            "/system.slice/user@1000.service/signer.service",
            "/system.slice/signer.service/user@1000.service/other.service",
        ] {
            assert_eq!(Place::of(elsewhere).and_then(|place| place.user), None, "{elsewhere}");
        }
    }

    #[test]
    fn every_group_above_is_looked_at() {
        let groups: Vec<_> = groups_of("/system.slice/a.service/sub").collect();
        let expected = ["/system.slice", "/system.slice/a.service", "/system.slice/a.service/sub"];
        assert_eq!(groups, expected.map(Path::new));
    }
}
