//! The hierarchy of control groups in which systemd keeps its units.
//!
//! It is found once, by where PID 1 is and what is mounted. The process that asks has no say in it: of several hierarchies
//! it could choose its place in all but systemd's, and one left over by another program has everybody at its root.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use super::process::processes;
use super::unit::{NoUnit, Place, Units, groups_of};

/// Where systemd puts itself.
const OWN_GROUP: &str = "/init.scope";

/// systemd's hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    kind: Kind,
    /// The group that systemd's root is, without a slash at its end: not empty if PID 1 is seen from outside its container.
    root: String,
    /// Where it can be looked at, and which group is seen there.
    mount: Option<(PathBuf, String)>,
}

/// How a hierarchy is told from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The only one of version 2.
    Unified,
    /// The one of version 1 that has systemd's name.
    Named,
}

impl Kind {
    /// The path in a line of `/proc/PID/cgroup`, if the line is about this hierarchy.
    fn path_in(self, line: &str) -> Option<&str> {
        match self {
            Self::Unified => line.strip_prefix("0::"),
            Self::Named => line.split_once(':')?.1.strip_prefix("name=systemd:"),
        }
    }

    /// The path of the group in `/proc/PID/cgroup`.
    fn find(self, cgroup: &str) -> Option<&str> {
        cgroup.lines().find_map(|line| self.path_in(line))
    }

    /// The mount point and the group that is seen there, from a line of `/proc/PID/mountinfo`.
    fn mounted(self, line: &str) -> Option<(PathBuf, String)> {
        let (place, system) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let (group, point) = (place.next()?, place.next()?);
        let mut system = system.split(' ');
        let (name, options) = (system.next()?, system.nth(1)?);
        let is_it = match self {
            Self::Unified => name == "cgroup2",
            Self::Named => name == "cgroup" && options.split(',').any(|option| option == "name=systemd"),
        };
        // A backslash would begin an escape: nobody mounts it at such a place.
        (is_it && !point.contains('\\')).then(|| (point.into(), group.trim_end_matches('/').into()))
    }
}

impl Hierarchy {
    /// That of this host; `None` if PID 1 is not systemd, or can't be looked at.
    pub(crate) fn of_host() -> Option<&'static Self> {
        static OF_HOST: LazyLock<Option<Hierarchy>> = LazyLock::new(|| {
            let cgroup = fs::read_to_string(processes().join("1/cgroup")).ok()?;
            let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
            Hierarchy::find(&cgroup, &mounts)
        });
        OF_HOST.as_ref()
    }

    /// From the control groups of PID 1 and the mounts of this process.
    fn find(cgroup_of_pid_1: &str, mounts: &str) -> Option<Self> {
        let root = |kind: Kind| Some((kind, kind.find(cgroup_of_pid_1)?.strip_suffix(OWN_GROUP)?));
        let (kind, root) = root(Kind::Unified).or_else(|| root(Kind::Named))?;
        // One that was mounted in another namespace of control groups may show something else.
        let shows_root = |seen: &str| format!("{root}/").starts_with(&format!("{seen}/"));
        let mount = mounts.lines().filter_map(|line| kind.mounted(line)).find(|(_, seen)| shows_root(seen));
        Some(Self { kind, root: root.to_owned(), mount })
    }

    /// Whether it can be seen whom groups belong to.
    pub(crate) fn is_visible(&self) -> bool {
        let root = self.directory(Path::new("/"));
        root.is_some_and(|directory| directory.join("cgroup.procs").exists())
    }

    /// The units of a process of the user `uid`, from its `/proc/PID/cgroup`.
    pub(crate) fn units(&self, cgroup: &str, uid: u32) -> Units {
        self.units_with(cgroup, uid, |directory| Some(fs::metadata(directory).ok()?.uid()))
    }

    /// The same, with the owner of a directory as `owner` says.
    fn units_with(&self, cgroup: &str, uid: u32, owner: impl Fn(&Path) -> Option<u32>) -> Units {
        let group = self.kind.find(cgroup).and_then(|path| path.strip_prefix(self.root.as_str()));
        let Some((group, place)) = group.and_then(|group| Some((group, Place::of(group)?))) else {
            return Units::unknown(NoUnit::None);
        };
        let user = match place.user {
            Some((manager, unit)) if manager == uid => Ok(unit.to_owned()),
            Some(_) => Err(NoUnit::OfAnotherUser),
            None => Err(NoUnit::None),
        };
        Units { system: self.check_owners(group, &owner).map(|()| place.system.to_owned()), user }
    }

    /// Whether root alone can put processes into the group.
    ///
    /// systemd gives a unit with `Delegate=` to the unit's user, and moves any process of that user into it who asks for that
    /// (`AttachProcessesToUnit`). In a hierarchy of version 1 the owner of a group moves them himself.
    fn check_owners(&self, group: &str, owner: impl Fn(&Path) -> Option<u32>) -> Result<(), NoUnit> {
        for group in groups_of(group) {
            match self.directory(group).and_then(|directory| owner(&directory)) {
                Some(0) => {}
                Some(uid) => return Err(NoUnit::Delegated { group: group.into(), uid }),
                None => return Err(NoUnit::OwnerUnknown { group: group.into() }),
            }
        }
        Ok(())
    }

    /// Where a group of this hierarchy is in the file system.
    fn directory(&self, group: &Path) -> Option<PathBuf> {
        let (point, seen) = self.mount.as_ref()?;
        let path = format!("{}{}", self.root, group.display());
        let below = path.strip_prefix(seen.as_str()).filter(|below| below.starts_with('/'))?;
        Some(point.join(below.trim_matches('/')))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNER: &str = "/system.slice/signer.service";
    const MOUNTS: &str = "24 30 0:22 / /proc rw - proc proc rw\n\
         31 30 0:27 / /sys/fs/cgroup/systemd rw shared:9 - cgroup cgroup rw,xattr,name=systemd\n\
         32 30 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
         35 30 0:29 / /sys/fs/cgroup/unified ro,nosuid shared:8 - cgroup2 cgroup2 rw\n";

    #[test]
    fn of_several_mounts_the_one_that_shows_the_root_counts() {
        let outside = "20 30 0:29 /../.. /mnt/outside rw - cgroup2 cgroup2 rw\n";
        let part = "21 30 0:29 /user.slice /mnt/part rw - cgroup2 cgroup2 rw\n";
        let found = Hierarchy::find("0::/init.scope\n", &format!("{outside}{part}{MOUNTS}")).unwrap();
        assert_eq!(found, unified());
        let none = Hierarchy::find("0::/init.scope\n", &format!("{outside}{part}")).unwrap();
        assert_eq!(none.directory(Path::new("/")), None);
    }

    fn unified() -> Hierarchy {
        Hierarchy::find("0::/init.scope\n", MOUNTS).unwrap()
    }

    fn system(hierarchy: &Hierarchy, cgroup: &str) -> Result<String, NoUnit> {
        hierarchy.units_with(cgroup, 1000, |_| Some(0)).system
    }

    #[test]
    fn where_pid_1_is_decides_and_not_where_the_caller_is() {
        let unified = unified();
        // A left-over hierarchy of version 1 has everybody at its root.
        let left_over = Hierarchy::find("9:name=systemd:/\n8:cpu:/\n0::/init.scope\n", MOUNTS);
        assert_eq!(left_over, Some(unified.clone()));
        let caller = format!("9:name=systemd:/\n0::{SIGNER}\n");
        assert_eq!(system(&unified, &caller), Ok("signer.service".into()));
        // Anybody may have a hierarchy of version 1 in which he is where he likes.
        let caller = format!("9:name=systemd:{SIGNER}\n0::/user.slice/user-1000.slice/session-1.scope\n");
        assert_eq!(system(&unified, &caller), Ok("session-1.scope".into()));
        assert_eq!(system(&unified, &format!("9:name=systemd:{SIGNER}\n")), Err(NoUnit::None));

        let named = Hierarchy::find("2:cpu:/init.scope\n1:name=systemd:/init.scope\n0::/\n", MOUNTS).unwrap();
        assert_eq!(system(&named, &format!("1:name=systemd:{SIGNER}\n0::/\n")), Ok("signer.service".into()));
        assert_eq!(system(&named, &format!("2:cpu:{SIGNER}\n0::{SIGNER}\n")), Err(NoUnit::None));
    }

    #[test]
    fn without_systemd_there_is_no_hierarchy() {
        for pid_1 in ["", "0::/\n", "9:name=systemd:/\n0::/\n", "0::/docker/ab\n", "0::/init.scope/x\n"] {
            assert_eq!(Hierarchy::find(pid_1, MOUNTS), None, "{pid_1}");
        }
    }

    #[test]
    fn a_container_that_is_seen_from_outside_has_its_root_where_pid_1_is() {
        let outside = Hierarchy::find("0::/docker/ab/init.scope\n", MOUNTS).unwrap();
        assert_eq!(system(&outside, &format!("0::/docker/ab{SIGNER}")), Ok("signer.service".into()));
        assert_eq!(system(&outside, &format!("0::{SIGNER}")), Err(NoUnit::None));
        assert_eq!(system(&outside, &format!("0::/docker/abc{SIGNER}")), Err(NoUnit::None));
        let signer = outside.directory(Path::new(SIGNER));
        let expected = format!("/sys/fs/cgroup/unified/docker/ab{SIGNER}");
        assert_eq!(signer.as_deref(), Some(Path::new(&expected)));
        let mounts = "35 30 0:29 /docker/ab /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let bound = Hierarchy::find("0::/docker/ab/init.scope\n", mounts).unwrap();
        let expected = format!("/sys/fs/cgroup{SIGNER}");
        assert_eq!(bound.directory(Path::new(SIGNER)).as_deref(), Some(Path::new(&expected)));
        let mounts = "35 30 0:29 /docker/a /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let other = Hierarchy::find("0::/docker/ab/init.scope\n", mounts).unwrap();
        assert_eq!(other.directory(Path::new(SIGNER)), None, "another container's");
    }

    #[test]
    fn a_unit_whose_group_somebody_else_owns_is_no_unit() {
        let hierarchy = unified();
        let cgroup = format!("0::{SIGNER}/worker\n");
        for theirs in ["/system.slice", SIGNER, "/system.slice/signer.service/worker"] {
            let directory = format!("/sys/fs/cgroup/unified{theirs}");
            let owner = |path: &Path| Some(if path == Path::new(&directory) { 1000 } else { 0 });
            let expected = Err(NoUnit::Delegated { group: theirs.into(), uid: 1000 });
            assert_eq!(hierarchy.units_with(&cgroup, 0, owner).system, expected);
        }
        let unknown = Err(NoUnit::OwnerUnknown { group: "/system.slice".into() });
        assert_eq!(hierarchy.units_with(&cgroup, 0, |_| None).system, unknown);
        let unseen = Hierarchy::find("0::/init.scope\n", "").unwrap();
        assert_eq!(system(&unseen, &cgroup), unknown);
        assert!(!unseen.is_visible());
    }

    #[test]
    fn a_users_unit_is_known_to_that_user_alone() {
        let cgroup = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/signer.service\n";
        let owner = |path: &Path| Some(if path.ends_with("user-1000.slice") { 0 } else { 1000 });
        let hers = unified().units_with(cgroup, 1000, owner);
        assert_eq!(hers.user.as_deref(), Ok("signer.service"));
        assert!(matches!(hers.system, Err(NoUnit::Delegated { .. })));
        assert_eq!(unified().units_with(cgroup, 1001, owner).user, Err(NoUnit::OfAnotherUser));
    }
}
