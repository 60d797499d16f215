//! Who may have what, and why, in words.

use std::fmt::Write;

use tokenbroker_client::protocol::{Holds, Policy};

use crate::output::words;

/// A line that says what it comes to, and one for each rule with its conditions below.
pub(crate) fn render(policy: &Policy) -> String {
    let Policy { client, uid, pid, unit, user_unit, .. } = policy;
    let mut text = match pid {
        Some(pid) => format!("process {pid} of uid {uid}"),
        None => format!("uid {uid}"),
    };
    for (kind, unit) in [("unit", unit), ("user unit", user_unit)] {
        if let Some(unit) = unit {
            let _never_fails = write!(text, ", {kind} {unit}");
        }
    }
    let may = match (policy.whole, policy.some) {
        (Holds::Yes, _) => "may have the token",
        (_, Holds::Yes) => "may have a part of the token",
        (_, Holds::Depends) => "may have it or not: that depends on the process",
        (_, Holds::No) => "may not have the token",
    };
    let mut text = format!("{client}: {text} {may}\n");
    for rule in &policy.rules {
        let _never_fails = writeln!(text, "{:9}{}", words::holds(rule.holds), rule.rule);
        for condition in &rule.conditions {
            let _never_fails = writeln!(text, "{:9}{:9}{}", "", words::holds(condition.holds), condition.why);
        }
        if let Some(part) = &rule.part {
            let _never_fails = writeln!(text, "{:9}only {part}", "");
        }
    }
    if policy.more_rules > 0 {
        let _never_fails = writeln!(text, "and {} more rules", policy.more_rules);
    }
    for note in &policy.notes {
        let _never_fails = writeln!(text, "note: {note}");
    }
    text
}

#[cfg(test)]
mod tests {
    use tokenbroker_client::protocol::{PolicyCondition, PolicyRule};

    use super::*;

    #[test]
    fn it_says_what_it_comes_to_and_why() {
        let condition = |holds, why: &str| PolicyCondition { holds, why: why.into() };
        let policy = Policy {
            client: "signtext".into(),
            uid: 1000,
            pid: Some(7),
            unit: Some("signer.service".into()),
            user_unit: None,
            whole: Holds::No,
            some: Holds::Yes,
            rules: vec![
                PolicyRule {
                    rule: "{ user = \"ann\", scope = \"read\" }".into(),
                    holds: Holds::Yes,
                    part: Some("scope \"read\"".into()),
                    conditions: vec![condition(Holds::Yes, "it is user \"ann\" (1000)")],
                },
                PolicyRule {
                    rule: "{ group = 50 }".into(),
                    holds: Holds::No,
                    part: None,
                    conditions: vec![condition(Holds::No, "it is not in group 50")],
                },
            ],
            more_rules: 2,
            notes: vec!["n".into()],
        };
        assert_eq!(
            render(&policy),
            "\
signtext: process 7 of uid 1000, unit signer.service may have a part of the token
yes      { user = \"ann\", scope = \"read\" }
         yes      it is user \"ann\" (1000)
         only scope \"read\"
no       { group = 50 }
         no       it is not in group 50
and 2 more rules
note: n
"
        );
        let open = Policy { some: Holds::Depends, rules: Vec::new(), pid: None, unit: None, ..policy };
        assert!(
            render(&open).starts_with("signtext: uid 1000 may have it or not: that depends on the process\n")
        );
    }
}
