//! Who may have what, and why, in words for administrators.
//!
//! It says of every rule and every condition whether it holds. What counts is [`Access`](super::Access): a test holds the
//! two together.

use std::fmt;

use super::{Caller, Names, OVERFLOW_ID};
use crate::config::{Principal, Rule};
use crate::narrowing::Narrowing;

/// Whom it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Effective user ID.
    pub uid: u32,
    /// Effective group ID.
    pub gid: u32,
    /// Supplementary group IDs, in order.
    pub groups: Vec<u32>,
    /// The unit of the system's manager.
    pub unit: Known,
    /// The unit of the manager of its own user.
    pub user_unit: Known,
}

/// What is known of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// Its name.
    Is(String),
    /// There is none that counts, and why.
    No(String),
    /// Each process of the user may be in another.
    Depends,
}

/// Whether something holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holds {
    /// It does not.
    No,
    /// For some processes of the user it may.
    Depends,
    /// It does.
    Yes,
}

/// What the rules come to for somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Whether all of the client's token is permitted.
    pub whole: Holds,
    /// Whether at least a part of it is.
    pub some: Holds,
    /// Each rule, in the order of the configuration.
    pub rules: Vec<ExplainedRule>,
}

/// A rule and what it comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainedRule {
    /// The rule as in the configuration, without what a terminal would act on.
    pub rule: String,
    /// Whether all its conditions hold.
    pub holds: Holds,
    /// The part of the client's token that it permits, if it is not all of it.
    pub part: Option<String>,
    /// Each condition, in the order of the configuration's documentation.
    pub conditions: Vec<Condition>,
}

/// A condition of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Whether it holds.
    pub holds: Holds,
    /// Why, in words.
    pub why: String,
}

impl Explanation {
    /// What the rules of a client come to; without rules, what holds then.
    pub fn of(rules: &[Rule], own_uid: u32, names: &impl Names, subject: &Subject) -> Self {
        let rules: Vec<ExplainedRule> = if rules.is_empty() {
            vec![without_rules("root", 0, subject), without_rules("the daemon's own user", own_uid, subject)]
        } else {
            rules.iter().map(|rule| subject.explain(rule, names)).collect()
        };
        let best = |rules: &mut dyn Iterator<Item = &ExplainedRule>| {
            rules.map(|rule| rule.holds).max().filter(|_| !subject.is_nobody()).unwrap_or(Holds::No)
        };
        Self {
            whole: best(&mut rules.iter().filter(|rule| rule.part.is_none())),
            some: best(&mut rules.iter()),
            rules,
        }
    }
}

impl Subject {
    /// Whether the kernel can't tell who it is: then nothing is permitted, whatever the rules.
    pub fn is_nobody(&self) -> bool {
        self.uid == OVERFLOW_ID
    }

    fn caller(&self) -> Caller<'_> {
        Caller { uid: self.uid, gid: self.gid, groups: &self.groups, unit: None, user_unit: None }
    }

    fn explain(&self, rule: &Rule, names: &impl Names) -> ExplainedRule {
        let user = rule.user.as_ref().map(|user| {
            let id = Id::of(user, |name| names.user(name), "user");
            id.condition(|uid| self.uid == uid, |is| format!("it is {}{}", not(is), id))
        });
        let group = rule.group.as_ref().map(|group| {
            let id = Id::of(group, |name| names.group(name), "group");
            id.condition(|gid| self.caller().is_member(gid), |is| format!("it is {}in {}", not(is), id))
        });
        let unit = rule.unit.as_deref().map(|unit| self.unit.condition(unit, "unit"));
        let user_unit = rule.user_unit.as_deref().map(|unit| self.user_unit.condition(unit, "user unit"));
        let conditions: Vec<Condition> = [user, group, unit, user_unit].into_iter().flatten().collect();
        ExplainedRule {
            rule: Written(rule).to_string(),
            holds: conditions.iter().map(|condition| condition.holds).min().unwrap_or(Holds::No),
            part: (!rule.part.is_as_configured()).then(|| rule.part.to_string()),
            conditions,
        }
    }
}

fn not(is: bool) -> &'static str {
    if is { "" } else { "not " }
}

fn without_rules(who: &str, uid: u32, subject: &Subject) -> ExplainedRule {
    let holds = if subject.uid == uid && !subject.is_nobody() { Holds::Yes } else { Holds::No };
    let why = format!("it is {}{who} (uid {uid})", not(holds == Holds::Yes));
    ExplainedRule {
        rule: format!("{who}: there is no `allow`"),
        holds,
        part: None,
        conditions: vec![Condition { holds, why }],
    }
}

/// A user or a group of a rule, looked up.
struct Id<'a> {
    kind: &'static str,
    /// The name in the rule; `None` if that has a number.
    name: Option<&'a str>,
    number: Option<u32>,
}

impl<'a> Id<'a> {
    fn of(principal: &'a Principal, look_up: impl Fn(&str) -> Option<u32>, kind: &'static str) -> Self {
        match principal {
            Principal::Id(id) => Self { kind, name: None, number: Some(*id) },
            Principal::Name(name) => Self { kind, name: Some(name), number: look_up(name) },
        }
    }

    fn condition(&self, holds: impl Fn(u32) -> bool, why: impl Fn(bool) -> String) -> Condition {
        let why_not = match self.number {
            Some(OVERFLOW_ID) => format!("{self} stands for whoever has no ID on this host"),
            Some(number) => {
                let holds = holds(number);
                return Condition { holds: if holds { Holds::Yes } else { Holds::No }, why: why(holds) };
            }
            None => format!("{self} is not known on this host"),
        };
        Condition { holds: Holds::No, why: why_not }
    }
}

impl fmt::Display for Id<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind)?;
        match (self.name, self.number) {
            (Some(name), Some(number)) => write!(f, " {name:?} ({number})"),
            (Some(name), None) => write!(f, " {name:?}"),
            (None, number) => write!(f, " {}", number.unwrap_or(OVERFLOW_ID)),
        }
    }
}

impl Known {
    fn condition(&self, wanted: &str, kind: &str) -> Condition {
        let (holds, why) = match self {
            Self::Is(name) if name == wanted => (Holds::Yes, format!("its {kind} is {wanted}")),
            Self::Is(name) => (Holds::No, format!("its {kind} is {name}, not {wanted}")),
            Self::No(reason) => (Holds::No, format!("it does not count as in {kind} {wanted}: {reason}")),
            Self::Depends => {
                (Holds::Depends, format!("it holds for processes whose {kind} is {wanted}; ask with --pid"))
            }
        };
        Condition { holds, why }
    }
}

/// A rule as it is written in the configuration.
struct Written<'a>(&'a Rule);

impl fmt::Display for Written<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rule { user, group, unit, user_unit, part } = self.0;
        let Narrowing { scope, resource, audience: _ } = part;
        let principal = |principal: &Principal| match principal {
            Principal::Name(name) => format!("{name:?}"),
            Principal::Id(id) => id.to_string(),
        };
        let quoted = |text: &String| format!("{text:?}");
        let resource = (!resource.is_empty()).then_some(resource);
        let list = |texts: &std::collections::BTreeSet<String>| {
            format!("[{}]", texts.iter().map(quoted).collect::<Vec<_>>().join(", "))
        };
        let entries = [
            ("user", user.as_ref().map(principal)),
            ("group", group.as_ref().map(principal)),
            ("unit", unit.as_ref().map(quoted)),
            ("user_unit", user_unit.as_ref().map(quoted)),
            ("scope", scope.as_ref().map(|scope| quoted(&scope.to_string()))),
            ("resource", resource.map(list)),
        ];
        let entries = entries.into_iter().filter_map(|(key, value)| Some(format!("{key} = {}", value?)));
        write!(f, "{{ {} }}", entries.collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Access, Right};
    use super::*;

    struct Host;

    impl Names for Host {
        fn user(&self, name: &str) -> Option<u32> {
            [("ann", 1000), ("nobody", 65534)]
                .into_iter()
                .find_map(|(known, id)| (known == name).then_some(id))
        }

        fn group(&self, name: &str) -> Option<u32> {
            (name == "signers").then_some(50)
        }
    }

    fn ann() -> Subject {
        Subject {
            uid: 1000,
            gid: 1,
            groups: vec![7, 50],
            unit: Known::Is("signer.service".into()),
            user_unit: Known::No("it is in no such unit".into()),
        }
    }

    fn name(name: &str) -> Option<Principal> {
        Some(Principal::Name(name.into()))
    }

    fn explain(rule: Rule, subject: &Subject) -> ExplainedRule {
        Explanation::of(&[rule], 990, &Host, subject).rules.remove(0)
    }

    fn why(rule: Rule, subject: &Subject) -> Vec<(Holds, String)> {
        let conditions = explain(rule, subject).conditions;
        conditions.into_iter().map(|condition| (condition.holds, condition.why)).collect()
    }

    #[test]
    fn every_condition_is_explained() {
        let rule = Rule {
            user: name("ann"),
            group: Some(Principal::Id(51)),
            unit: Some("signer.service".into()),
            user_unit: Some("signer.service".into()),
            ..Rule::default()
        };
        let explained = explain(rule.clone(), &ann());
        assert_eq!(explained.holds, Holds::No);
        assert_eq!(
            explained.rule,
            "{ user = \"ann\", group = 51, unit = \"signer.service\", user_unit = \"signer.service\" }"
        );
        let expected = [
            (Holds::Yes, "it is user \"ann\" (1000)"),
            (Holds::No, "it is not in group 51"),
            (Holds::Yes, "its unit is signer.service"),
            (Holds::No, "it does not count as in user unit signer.service: it is in no such unit"),
        ];
        assert_eq!(why(rule, &ann()), expected.map(|(holds, why)| (holds, why.to_owned())));
    }

    #[test]
    fn s76_a_name_that_is_not_known_is_said_to_be() {
        let said = |rule| why(rule, &ann()).remove(0);
        let bob = Rule { user: name("bob"), ..Rule::default() };
        assert_eq!(said(bob), (Holds::No, "user \"bob\" is not known on this host".into()));
        let nobody = Rule { user: name("nobody"), ..Rule::default() };
        let expected = "user \"nobody\" (65534) stands for whoever has no ID on this host";
        assert_eq!(said(nobody), (Holds::No, expected.into()));
    }

    #[test]
    fn of_a_user_a_unit_is_open() {
        let rule = Rule { user: name("ann"), unit: Some("signer.service".into()), ..Rule::default() };
        let subject = Subject { unit: Known::Depends, ..ann() };
        let explanation = Explanation::of(std::slice::from_ref(&rule), 990, &Host, &subject);
        assert_eq!((explanation.whole, explanation.some), (Holds::Depends, Holds::Depends));
        let other = Subject { uid: 1001, ..subject };
        assert_eq!(Explanation::of(&[rule], 990, &Host, &other).some, Holds::No);
    }

    #[test]
    fn nothing_that_a_terminal_acts_on_is_said() {
        let rule = Rule { user: name("a\u{1b}[2J\u{202e}"), ..Rule::default() };
        let explained = explain(rule, &ann());
        for said in [&explained.rule, &explained.conditions[0].why] {
            assert!(!said.contains(['\u{1b}', '\u{202e}']), "{said:?}");
        }
    }

    #[test]
    fn what_is_explained_is_what_counts() {
        let part: Narrowing = Narrowing { scope: Some("read".parse().unwrap()), ..Narrowing::default() };
        let unit = || Some("signer.service".to_owned());
        let conditions = [
            Rule { user: name("ann"), ..Rule::default() },
            Rule { user: name("bob"), ..Rule::default() },
            Rule { user: name("nobody"), ..Rule::default() },
            Rule { group: name("signers"), ..Rule::default() },
            Rule { group: Some(Principal::Id(7)), unit: unit(), ..Rule::default() },
            Rule { unit: unit(), part: part.clone(), ..Rule::default() },
            Rule { user: name("ann"), user_unit: unit(), ..Rule::default() },
            Rule { user: Some(Principal::Id(0)), part: part.clone(), ..Rule::default() },
        ];
        let units =
            [Known::Is("signer.service".into()), Known::Is("other.service".into()), Known::No("x".into())];
        let mut seen = std::collections::HashSet::new();
        for chosen in 0_u32..1 << conditions.len() {
            let chosen = |index: usize| chosen & (1 << index) != 0;
            let rules: Vec<Rule> = (0..conditions.len())
                .filter(|index| chosen(*index))
                .map(|index| conditions[index].clone())
                .collect();
            let access = match rules.is_empty() {
                true => Access::own_and_root(990),
                false => Access::resolve(&rules, &Host).0,
            };
            for (uid, groups) in
                [(0, vec![]), (1000, vec![7]), (990, vec![50]), (1001, vec![7, 50]), (65534, vec![50])]
            {
                for (unit, user_unit) in
                    units.iter().flat_map(|unit| units.iter().map(move |user| (unit, user)))
                {
                    let (unit, user_unit) = (unit.clone(), user_unit.clone());
                    let subject = Subject { uid, gid: 1, groups: groups.clone(), unit, user_unit };
                    let name = |known: &Known| match known {
                        Known::Is(name) => Some(name.clone()),
                        _ => None,
                    };
                    let (unit, user_unit) = (name(&subject.unit), name(&subject.user_unit));
                    let caller =
                        Caller { unit: unit.as_deref(), user_unit: user_unit.as_deref(), ..subject.caller() };
                    let explanation = Explanation::of(&rules, 990, &Host, &subject);
                    let expected = match (explanation.whole, explanation.some) {
                        (Holds::Yes, _) => Right::Whole,
                        (_, Holds::Yes) => Right::Part,
                        _ => Right::Nothing,
                    };
                    assert_eq!(access.right_of(&caller), expected, "{rules:?} {subject:?}");
                    seen.insert((explanation.whole, explanation.some));
                }
            }
        }
        assert_eq!(seen.len(), 3, "nothing, a part and all of it came up");
    }
}
