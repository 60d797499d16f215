//! What administrators should know about rules that name units: where none can hold, and which units run anybody's commands.

use std::collections::BTreeSet;

use tokenbroker_core::config::{Config, Rule};
use tokenbroker_ipc::{NoUnit, check_units};

/// Something about rules that somebody should know, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Warning {
    pub(crate) finding: String,
    pub(crate) remedy: String,
}

/// What there is to say about the rules of this configuration on this host.
pub(crate) fn warnings(config: &Config) -> Vec<Warning> {
    warnings_where(config, check_units())
}

fn warnings_where(config: &Config, checked: Result<(), NoUnit>) -> Vec<Warning> {
    let rules = || config.clients.values().flat_map(|client| &client.allow).chain(&config.daemon.admin);
    let mut warnings = Vec::new();
    let names_a_unit = |rule: &Rule| rule.unit.is_some() || rule.user_unit.is_some();
    if let Some(reason) = checked.err().filter(|_| rules().any(names_a_unit)) {
        warnings.push(Warning {
            finding: format!("no rule with `unit` or `user_unit` holds for anybody: {reason}"),
            remedy: reason.hint().unwrap_or("use rules with `user` and `group`").into(),
        });
    }
    let named: BTreeSet<&str> = rules().filter_map(|rule| rule.unit.as_deref()).collect();
    warnings.extend(named.into_iter().filter_map(|unit| {
        let whose = whose_commands(unit)?;
        Some(Warning {
            finding: format!("a rule names {unit}, which runs the commands of {whose}"),
            remedy: "name a unit that runs one program, or add `user` to the rule".into(),
        })
    }));
    warnings
}

/// Whose commands a unit runs that is there to run other people's.
fn whose_commands(unit: &str) -> Option<&'static str> {
    let (stem, _) = unit.rsplit_once('.')?;
    Some(match stem.split_once('@').map_or(stem, |(template, _)| template) {
        "cron" | "crond" | "cronie" | "anacron" | "atd" => "every user with a crontab or a job",
        "ssh" | "sshd" => "whoever logs in, where no session is made for that",
        "user" => "a user, in units that the user makes",
        session if session.starts_with("session-") => "whoever has logged in",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use tokenbroker_core::config::{NoFiles, Source, parse};

    use super::*;

    fn config(rules: &str) -> Config {
        let text = format!("[daemon]\nadmin = [{rules}]\n");
        parse(&[Source { path: "c.toml".into(), text }], &NoFiles).unwrap()
    }

    #[test]
    fn s75_where_no_unit_rule_can_hold_that_is_said_if_there_is_one() {
        let units = config("{ unit = \"signer.service\" }, { user = 1, user_unit = \"a.service\" }");
        let warnings = warnings_where(&units, Err(NoUnit::NotPinned));
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].finding.ends_with("that takes Linux 6.5"), "{warnings:?}");
        assert_eq!(warnings[0].remedy, "use rules with `user` and `group`, or Linux 6.5 or later");
        assert_eq!(warnings_where(&units, Ok(())), []);
        assert_eq!(warnings_where(&config("{ user = 1 }"), Err(NoUnit::NotPinned)), []);
    }

    #[test]
    fn units_that_run_anybodys_commands_are_named_once() {
        let rules = "{ unit = \"cron.service\" }, { unit = \"cron.service\", group = 7 }, \
                     { unit = \"sshd@1-2.service\" }, { unit = \"session-1.scope\" }, { unit = \"user@7.service\" }, \
                     { unit = \"signer.service\" }, { unit = \"cronos.service\" }";
        let found = warnings_where(&config(rules), Ok(()));
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(
            found[0].finding.starts_with("a rule names cron.service, which runs the commands of every user")
        );
    }
}
