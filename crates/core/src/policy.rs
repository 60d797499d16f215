//! Who may have a token, and who may administer the broker.
//!
//! Rules name users and groups; what is compared is numbers. [`Access::resolve`] turns one into the other with
//! the host's user database, which may not be complete yet early at boot: a rule whose names are unknown permits
//! nobody, is reported, and counts once a later resolution finds them.
//!
//! `explanation` says in words what rules come to, and why.

mod explanation;

pub use self::explanation::{Condition, ExplainedRule, Explanation, Holds, Known, Subject};

use crate::config::{Principal, Rule};
use crate::narrowing::Narrowing;

/// Who asks, as the kernel says.
#[derive(Debug, Clone, Copy, Default)]
pub struct Caller<'a> {
    /// Effective user ID.
    pub uid: u32,
    /// Effective group ID.
    pub gid: u32,
    /// Supplementary group IDs, in order.
    pub groups: &'a [u32],
    /// The unit of the system's manager, if there is one that counts.
    pub unit: Option<&'a str>,
    /// The unit of the manager of the caller's own user, if there is one that counts.
    pub user_unit: Option<&'a str>,
}

/// What the kernel shows for a user or a group that has no ID in this user namespace: nobody in particular.
pub(crate) const OVERFLOW_ID: u32 = 65534;

impl Caller<'_> {
    fn is_member(&self, gid: u32) -> bool {
        gid != OVERFLOW_ID && (self.gid == gid || self.groups.binary_search(&gid).is_ok())
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
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Resolved {
    uid: Option<u32>,
    gid: Option<u32>,
    unit: Option<Box<str>>,
    user_unit: Option<Box<str>>,
    /// `None`: all that the client is configured for.
    part: Option<Box<Narrowing>>,
}

impl Resolved {
    fn holds_for(&self, caller: &Caller<'_>) -> bool {
        self.uid.is_none_or(|uid| uid == caller.uid)
            && self.gid.is_none_or(|gid| caller.is_member(gid))
            && self.unit.as_deref().is_none_or(|unit| caller.unit == Some(unit))
            && self.user_unit.as_deref().is_none_or(|unit| caller.user_unit == Some(unit))
    }

    fn permits(&self, asked: Option<&Narrowing>) -> bool {
        self.part.as_ref().is_none_or(|part| asked.is_some_and(|asked| asked.is_within(part)))
    }
}

impl Access {
    /// Only root and the daemon's own user: what holds without rules.
    pub fn own_and_root(own_uid: u32) -> Self {
        let only = |uid| Resolved { uid: Some(uid), ..Resolved::default() };
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

    /// Whether one of the rules holds for the caller and permits this part of the client's token; `None` is all of it.
    ///
    /// It never does for a caller whose user ID the kernel can't tell.
    pub fn permits(&self, caller: &Caller<'_>, asked: Option<&Narrowing>) -> bool {
        caller.uid != OVERFLOW_ID
            && self.rules.iter().any(|rule| rule.holds_for(caller) && rule.permits(asked))
    }

    /// How much of the client's token the caller may have.
    pub fn right_of(&self, caller: &Caller<'_>) -> Right {
        if caller.uid == OVERFLOW_ID {
            return Right::Nothing;
        }
        let mut right = Right::Nothing;
        for rule in self.rules.iter().filter(|rule| rule.holds_for(caller)) {
            match rule.part {
                None => return Right::Whole,
                Some(_) => right = Right::Part,
            }
        }
        right
    }
}

/// How much of a client's token a caller may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// None of it.
    Nothing,
    /// What [`Access::permits`] permits, and not all.
    Part,
    /// All that the client is configured for.
    Whole,
}

/// `None` if one of the rule's names is unknown or nobody in particular: a condition that can't be checked does
/// not hold.
fn resolve(rule: &Rule, names: &impl Names, unknown: &mut Vec<String>) -> Option<Resolved> {
    let uid = rule.user.as_ref().map(|user| number(user, |name| names.user(name), "user", unknown));
    let gid = rule.group.as_ref().map(|group| number(group, |name| names.group(name), "group", unknown));
    let resolved = Resolved {
        uid: uid.flatten(),
        gid: gid.flatten(),
        unit: rule.unit.as_deref().map(Box::from),
        user_unit: rule.user_unit.as_deref().map(Box::from),
        part: (!rule.part.is_as_configured()).then(|| Box::new(rule.part.clone())),
    };
    let complete =
        resolved.uid.is_some() == rule.user.is_some() && resolved.gid.is_some() == rule.group.is_some();
    // Validation refuses a rule without conditions, which would permit everybody, and a user's unit that could be
    // anybody's; so does this.
    let is_about_somebody = resolved.uid.is_some() || resolved.gid.is_some() || resolved.unit.is_some();
    let names_whose = resolved.user_unit.is_none() || resolved.uid.is_some();
    (complete && is_about_somebody && names_whose).then_some(resolved)
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
        Rule { user: user.map(name), group: group.map(name), ..Rule::default() }
    }

    fn caller(uid: u32, gid: u32, groups: &[u32]) -> Caller<'_> {
        Caller { uid, gid, groups, ..Caller::default() }
    }

    fn permits(access: &Access, caller: &Caller<'_>) -> bool {
        let whole = access.right_of(caller) == Right::Whole;
        assert_eq!(access.permits(caller, None), whole);
        assert_eq!(access.right_of(caller) == Right::Nothing, !whole, "no rule here is about a part");
        whole
    }

    #[test]
    fn one_rule_that_holds_is_enough_and_all_its_conditions_must() {
        let (access, unknown) =
            Access::resolve(&[rule(Some("ann"), None), rule(None, Some("signers"))], &Host);
        assert_eq!(unknown, [""; 0]);
        assert!(permits(&access, &caller(1000, 1, &[])));
        assert!(permits(&access, &caller(2000, 50, &[])), "primary group");
        assert!(permits(&access, &caller(2000, 1, &[7, 50])), "supplementary group");
        assert!(!permits(&access, &caller(2000, 1, &[7])));

        let (both, _) = Access::resolve(&[rule(Some("ann"), Some("signers"))], &Host);
        assert!(permits(&both, &caller(1000, 50, &[])));
        assert!(!permits(&both, &caller(1000, 1, &[])));
        assert!(!permits(&both, &caller(2000, 50, &[])));
    }

    #[test]
    fn s76_an_unknown_name_permits_nobody_and_is_reported() {
        let rules = [rule(Some("bob"), None), rule(Some("ann"), Some("staff")), rule(Some("ann"), None)];
        let (access, unknown) = Access::resolve(&rules, &Host);
        assert_eq!(unknown, ["user bob", "group staff"]);
        assert!(permits(&access, &caller(1000, 1, &[])), "the rule that can be resolved counts");
        assert!(!permits(&access, &caller(1001, 1, &[])));
    }

    #[test]
    fn without_rules_the_daemons_user_and_root_may() {
        let access = Access::own_and_root(990);
        assert!(permits(&access, &caller(0, 0, &[])));
        assert!(permits(&access, &caller(990, 990, &[])));
        assert!(!permits(&access, &caller(1000, 0, &[0])), "root's group is not root");
    }

    #[test]
    fn s78_a_user_without_an_id_here_is_denied_whatever_the_rules() {
        let (everybody_in_signers, _) = Access::resolve(&[rule(None, Some("signers"))], &Host);
        assert!(!permits(&everybody_in_signers, &caller(65534, 50, &[50])));
        assert!(!permits(&Access::own_and_root(65534), &caller(65534, 65534, &[])));
    }

    #[test]
    fn s78_a_rule_about_nobody_in_particular_permits_nobody_and_is_reported() {
        let by_number = Rule { group: Some(Principal::Id(65534)), ..Rule::default() };
        let rules = [rule(Some("nobody"), None), rule(Some("ann"), Some("nogroup")), by_number];
        let (access, unknown) = Access::resolve(&rules, &Host);
        let reported = ["user nobody", "group nogroup", "group 65534"]
            .map(|name| format!("{name} (its ID, 65534, stands for whoever has none here)"));
        assert_eq!(unknown, reported);
        assert_eq!(access, Access::default());
        assert!(!caller(1000, 65534, &[65534]).is_member(65534));
    }

    #[test]
    fn a_unit_is_a_condition_like_others() {
        let unit = Some("signer.service".to_owned());
        let rules = [
            Rule { unit: unit.clone(), ..rule(None, Some("signers")) },
            Rule { user_unit: unit.clone(), ..rule(Some("ann"), None) },
        ];
        let (access, _) = Access::resolve(&rules, &Host);
        let signer = Caller { unit: unit.as_deref(), ..caller(2000, 50, &[]) };
        assert!(permits(&access, &signer));
        assert!(!permits(&access, &Caller { gid: 51, ..signer }));
        for unit in [None, Some("signer.scope"), Some("a-signer.service"), Some("signer.service2")] {
            assert!(!permits(&access, &Caller { unit, ..signer }), "{unit:?}");
        }
        let of_a_user = Caller { unit: None, user_unit: unit.as_deref(), ..signer };
        assert!(!permits(&access, &of_a_user), "a user's unit is not the system's");
        let hers = Caller { uid: 1000, gid: 1, ..of_a_user };
        assert!(permits(&access, &hers));
        assert!(!permits(&access, &Caller { uid: 1001, ..hers }));
        assert!(!permits(&access, &Caller { user_unit: None, unit: unit.as_deref(), ..hers }));
    }

    #[test]
    fn a_users_unit_of_nobody_in_particular_permits_nobody() {
        let of_anybody = Rule { user_unit: Some("signer.service".into()), ..Rule::default() };
        let by_group = Rule { group: Some(Principal::Id(50)), ..of_anybody.clone() };
        assert_eq!(Access::resolve(&[of_anybody, by_group], &Host).0, Access::default());
    }

    #[test]
    fn a_part_is_permitted_to_who_asks_for_no_more() {
        let part = |scope: &str| Narrowing { scope: Some(scope.parse().unwrap()), ..Narrowing::default() };
        let rules = [
            Rule { part: part("read write"), ..rule(Some("ann"), None) },
            Rule { part: part("sign"), ..rule(Some("ann"), None) },
            rule(None, Some("signers")),
        ];
        let (access, _) = Access::resolve(&rules, &Host);
        let ann = caller(1000, 1, &[]);
        assert_eq!(access.right_of(&ann), Right::Part);
        for (asked, may) in [("read", true), ("read write", true), ("sign", true), ("read sign", false)] {
            assert_eq!(access.permits(&ann, Some(&part(asked))), may, "{asked}");
        }
        assert!(!access.permits(&ann, None), "all of it");
        assert!(!access.permits(&ann, Some(&Narrowing::default())), "all of it");
        let signer = caller(1000, 50, &[]);
        assert!(access.permits(&signer, None) && access.permits(&signer, Some(&part("read sign"))));
        assert_eq!(access.right_of(&signer), Right::Whole);
        assert_eq!(access.right_of(&caller(1001, 1, &[])), Right::Nothing);
    }
}
