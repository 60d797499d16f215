//! The users and groups of this host, as far as its own files know them.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;

/// What /etc/passwd and /etc/group say.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    passwd: String,
    group: String,
}

/// A user who may or may not get at a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub name: String,
    pub uid: u32,
    pub groups: Vec<u32>,
}

/// What is asked of a file or directory, as the bits of a mode have it.
#[derive(Clone, Copy)]
pub(super) enum Access {
    Read = 0o4,
    Enter = 0o1,
}

impl Accounts {
    pub(super) fn of_this_host() -> Self {
        let read = |path| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Self {
            passwd: read("/etc/passwd").unwrap_or_default(),
            group: read("/etc/group").unwrap_or_default(),
        }
    }

    #[cfg(test)]
    pub(super) fn new(passwd: &str, group: &str) -> Self {
        Self { passwd: passwd.to_owned(), group: group.to_owned() }
    }

    /// The user of this name, or of this number.
    pub(super) fn find(&self, name_or_uid: &str) -> Option<Account> {
        self.users().find(|user| user.name == name_or_uid || user.uid.to_string() == name_or_uid)
    }

    /// The user with this number, who may be one that only a directory knows.
    pub(super) fn with_uid(&self, uid: u32) -> Account {
        let unknown = || Account { name: format!("uid {uid}"), uid, groups: Vec::new() };
        self.users().find(|user| user.uid == uid).unwrap_or_else(unknown)
    }

    fn users(&self) -> impl Iterator<Item = Account> {
        self.passwd.lines().filter_map(|line| {
            let [name, _, uid, gid, ..] = fields(line)[..] else { return None };
            let groups = std::iter::once(gid.parse().ok()?).chain(self.groups_of(name)).collect();
            Some(Account { name: name.to_owned(), uid: uid.parse().ok()?, groups })
        })
    }

    fn groups_of(&self, user: &str) -> impl Iterator<Item = u32> {
        self.group.lines().filter_map(move |line| {
            let [_, _, gid, members, ..] = fields(line)[..] else { return None };
            members.split(',').any(|member| member == user).then(|| gid.parse().ok())?
        })
    }
}

impl Account {
    /// Whether the mode of a file lets this user do that. The kernel looks at one of the three parts only.
    pub(super) fn may(&self, access: Access, file: &Metadata) -> bool {
        let part = match () {
            () if self.uid == 0 => return true,
            () if file.uid() == self.uid => 6,
            () if self.groups.contains(&file.gid()) => 3,
            () => 0,
        };
        file.mode() >> part & access as u32 != 0
    }
}

/// The effective user of this process.
pub(super) fn own_uid() -> Option<u32> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    // Real, effective, saved, and that of the file system.
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    ids.split_whitespace().nth(1)?.parse().ok()
}

fn fields(line: &str) -> Vec<&str> {
    line.split(':').collect()
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\nbroken\ntokenbroker:x:993:990::/var/lib:/bin/false\n";
    const GROUP: &str = "root:x:0:\nkeys:x:45:ann,tokenbroker\ntokenbroker:x:990:\n";

    #[test]
    fn a_user_has_a_name_a_number_and_groups() {
        let accounts = Accounts::new(PASSWD, GROUP);
        let broker = Account { name: "tokenbroker".into(), uid: 993, groups: vec![990, 45] };
        assert_eq!(accounts.find("tokenbroker"), Some(broker.clone()));
        assert_eq!(accounts.find("993"), Some(broker.clone()));
        assert_eq!(accounts.find("ann"), None);
        assert_eq!(accounts.with_uid(993), broker);
        assert_eq!(accounts.with_uid(4_000).name, "uid 4000");
    }

    #[test]
    fn the_first_part_of_a_mode_that_fits_decides() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let own = fs::metadata(file.path()).unwrap();
        let may = |uid, groups: &[u32], mode| {
            fs::set_permissions(file.path(), Permissions::from_mode(mode)).unwrap();
            let account = Account { name: "x".into(), uid, groups: groups.to_vec() };
            account.may(Access::Read, &fs::metadata(file.path()).unwrap())
        };
        let stranger = own.uid() + 1;
        assert!(may(stranger, &[], 0o604) && !may(stranger, &[], 0o640));
        assert!(may(stranger, &[own.gid()], 0o640) && !may(stranger, &[own.gid()], 0o604));
        assert!(may(0, &[], 0o000), "root reads everything");
    }

    #[test]
    fn this_process_has_a_user() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(own_uid(), Some(fs::metadata(file.path()).unwrap().uid()));
    }
}
