//! Who may have a token, and who may administer the broker.
//!
//! Rules name users and groups; what is compared is numbers. [`Access::resolve`] turns one into the other with
//! the host's user database, which may not be complete yet early at boot: a rule whose names are unknown permits
//! nobody, is reported, and counts once a later resolution finds them.

use crate::config::{Principal, Rule};

/// Who asks, as the kernel says.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// Effective user ID.
    pub uid: u32,
    /// Effective group ID.
    pub gid: u32,
    /// Supplementary group IDs.
    pub groups: &'a [u32],
}

/// What the kernel shows for a user or a group that has no ID in this user namespace: nobody in particular.
pub(crate) const OVERFLOW_ID: u32 = 65534;

impl Caller<'_> {
    fn is_member(&self, gid: u32) -> bool {
        gid != OVERFLOW_ID && (self.gid == gid || self.groups.contains(&gid))
    }
}

/// The host's user database.
pub trait Names {
    /// The ID of the user with this name, if it is known now.
    fn user(&self, name: &str) -> Option<u32>;

    /// The ID of the group with this name, if it is known now.
    fn group(&self, name: &str) -> Option<u32>;
}

/// The callers that a set of rules permits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    rules: Vec<Resolved>,
}

/// A rule in numbers; every condition that is there must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Resolved {
    uid: Option<u32>,
    gid: Option<u32>,
}

impl Access {
    /// Only root and the daemon's own user: what holds without rules.
    pub fn own_and_root(own_uid: u32) -> Self {
        let only = |uid| Resolved { uid: Some(uid), gid: None };
        Self { rules: vec![only(0), only(own_uid)] }
    }

    /// The rules in numbers, and the names that are not known now or stand for nobody in particular.
    pub fn resolve(rules: &[Rule], names: &impl Names) -> (Self, Vec<String>) {
        let mut unknown = Vec::new();
        let rules = rules.iter().filter_map(|rule| resolve(rule, names, &mut unknown)).collect();
        (Self { rules }, unknown)
    }

    /// These and those.
    pub fn and(mut self, other: Self) -> Self {
        self.rules.extend(other.rules);
        self
    }

    /// Whether one of the rules holds for the caller. It never does for one whose user ID the kernel can't tell.
    pub fn permits(&self, caller: &Caller<'_>) -> bool {
        caller.uid != OVERFLOW_ID
            && self.rules.iter().any(|rule| {
                rule.uid.is_none_or(|uid| uid == caller.uid)
                    && rule.gid.is_none_or(|gid| caller.is_member(gid))
            })
    }
}

/// `None` if one of the rule's names is unknown or nobody in particular: a condition that can't be checked does
/// not hold.
fn resolve(rule: &Rule, names: &impl Names, unknown: &mut Vec<String>) -> Option<Resolved> {
    let uid = rule.user.as_ref().map(|user| number(user, |name| names.user(name), "user", unknown));
    let gid = rule.group.as_ref().map(|group| number(group, |name| names.group(name), "group", unknown));
    let resolved = Resolved { uid: uid.flatten(), gid: gid.flatten() };
    let complete =
        resolved.uid.is_some() == rule.user.is_some() && resolved.gid.is_some() == rule.group.is_some();
    // Validation refuses a rule without conditions, which would permit everybody; so does this.
    (complete && (resolved.uid.is_some() || resolved.gid.is_some())).then_some(resolved)
}

fn number(
    principal: &Principal,
    look_up: impl Fn(&str) -> Option<u32>,
    kind: &str,
    unknown: &mut Vec<String>,
) -> Option<u32> {
    let (id, name) = match principal {
        Principal::Id(id) => (Some(*id), id.to_string()),
        Principal::Name(name) => (look_up(name), name.clone()),
    };
    match id {
        None => unknown.push(format!("{kind} {name}")),
        Some(OVERFLOW_ID) => {
            unknown.push(format!("{kind} {name} (its ID, {OVERFLOW_ID}, stands for whoever has none here)"));
        }
        Some(_) => {}
    }
    id.filter(|id| *id != OVERFLOW_ID)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Host;

    impl Names for Host {
        fn user(&self, name: &str) -> Option<u32> {
            [("ann", 1000), ("nobody", 65534)]
                .into_iter()
                .find_map(|(known, id)| (known == name).then_some(id))
        }

        fn group(&self, name: &str) -> Option<u32> {
            [("signers", 50), ("nogroup", 65534)]
                .into_iter()
                .find_map(|(known, id)| (known == name).then_some(id))
        }
    }

    fn rule(user: Option<&str>, group: Option<&str>) -> Rule {
        let name = |name: &str| Principal::Name(name.into());
        Rule { user: user.map(name), group: group.map(name) }
    }

    fn caller(uid: u32, gid: u32, groups: &[u32]) -> Caller<'_> {
        Caller { uid, gid, groups }
    }

    #[test]
    fn one_rule_that_holds_is_enough_and_all_its_conditions_must() {
        let (access, unknown) =
            Access::resolve(&[rule(Some("ann"), None), rule(None, Some("signers"))], &Host);
        assert_eq!(unknown, [""; 0]);
        assert!(access.permits(&caller(1000, 1, &[])));
        assert!(access.permits(&caller(2000, 50, &[])), "primary group");
        assert!(access.permits(&caller(2000, 1, &[7, 50])), "supplementary group");
        assert!(!access.permits(&caller(2000, 1, &[7])));

        let (both, _) = Access::resolve(&[rule(Some("ann"), Some("signers"))], &Host);
        assert!(both.permits(&caller(1000, 50, &[])));
        assert!(!both.permits(&caller(1000, 1, &[])));
        assert!(!both.permits(&caller(2000, 50, &[])));
    }

    #[test]
    fn s76_an_unknown_name_permits_nobody_and_is_reported() {
        let rules = [rule(Some("bob"), None), rule(Some("ann"), Some("staff")), rule(Some("ann"), None)];
        let (access, unknown) = Access::resolve(&rules, &Host);
        assert_eq!(unknown, ["user bob", "group staff"]);
        assert!(access.permits(&caller(1000, 1, &[])), "the rule that can be resolved counts");
        assert!(!access.permits(&caller(1001, 1, &[])));
    }

    #[test]
    fn without_rules_the_daemons_user_and_root_may() {
        let access = Access::own_and_root(990);
        assert!(access.permits(&caller(0, 0, &[])));
        assert!(access.permits(&caller(990, 990, &[])));
        assert!(!access.permits(&caller(1000, 0, &[0])), "root's group is not root");
    }

    #[test]
    fn s78_a_user_without_an_id_here_is_denied_whatever_the_rules() {
        let (everybody_in_signers, _) = Access::resolve(&[rule(None, Some("signers"))], &Host);
        assert!(!everybody_in_signers.permits(&caller(65534, 50, &[50])));
        assert!(!Access::own_and_root(65534).permits(&caller(65534, 65534, &[])));
    }

    #[test]
    fn s78_a_rule_about_nobody_in_particular_permits_nobody_and_is_reported() {
        let by_number = Rule { user: None, group: Some(Principal::Id(65534)) };
        let rules = [rule(Some("nobody"), None), rule(Some("ann"), Some("nogroup")), by_number];
        let (access, unknown) = Access::resolve(&rules, &Host);
        let reported = ["user nobody", "group nogroup", "group 65534"]
            .map(|name| format!("{name} (its ID, 65534, stands for whoever has none here)"));
        assert_eq!(unknown, reported);
        assert_eq!(access, Access::default());
        assert!(!caller(1000, 65534, &[65534]).is_member(65534));
    }
}
