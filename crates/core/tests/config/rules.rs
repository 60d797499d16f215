//! Rules about units, and about a part of what a client is configured for.

use tokenbroker_core::config::{Principal, Rule};
use tokenbroker_core::narrowing::Narrowing;

use crate::{CLIENT, ISSUER, parse_text};

/// The rules of a client with these settings.
fn rules(settings: &str, allow: &str) -> Result<Vec<Rule>, String> {
    let text = format!("{ISSUER}{CLIENT}{settings}allow = [{allow}]\n");
    match parse_text(&text) {
        Ok(config) => Ok(config.clients["c"].allow.clone()),
        Err(errors) => Err(errors.to_string()),
    }
}

#[expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]
fn rule(settings: &str, rule: &str) -> Rule {
    rules(settings, rule).unwrap().remove(0)
}

#[expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]
fn mistake(settings: &str, rule: &str) -> String {
    rules(settings, rule).unwrap_err()
}

#[test]
fn a_rule_can_name_units() {
    for name in ["signer.service", "signer@a\\x2db.service", "session-1.scope", "a:b_c.d.service"] {
        let of_the_system = rule("", &format!("{{ unit = '{name}' }}"));
        assert_eq!(of_the_system, Rule { unit: Some(name.into()), ..Rule::default() });
    }
    let of_a_user = rule("", "{ user_unit = \"x.service\", user = \"ann\" }");
    let ann = Some(Principal::Name("ann".into()));
    assert_eq!(of_a_user, Rule { user: ann, user_unit: Some("x.service".into()), ..Rule::default() });
    let admin =
        parse_text("[daemon]\nadmin = [{ unit = \"deploy.service\", group = 7 }]\n").unwrap().daemon.admin;
    let deploy = Some("deploy.service".to_owned());
    assert_eq!(admin, [Rule { group: Some(Principal::Id(7)), unit: deploy, ..Rule::default() }]);
}

#[test]
fn what_is_no_unit_with_processes_is_refused() {
    let expected =
        "c.toml:7:19: `clients.c.allow.unit`: expected the name of a unit such as \"signer.service\"\nhint: ";
    for (name, hint) in [
        ("signer", "the name of a unit ends in .service or .scope: add that"),
        ("signer.socket", "processes are in units whose names end in .service or .scope"),
        ("signer.Service", "processes are in units whose names end in .service or .scope"),
        ("system.slice", "processes are in units whose names end in .service or .scope"),
        ("signer@.service", "name an instance of the template, as in \"signer@one.service\""),
        ("my signer.service", "`systemd-escape` gives what other characters are in its name"),
        ("sign\u{e9}r.service", "`systemd-escape` gives what other characters are in its name"),
        ("a/b.service", "`systemd-escape` gives what other characters are in its name"),
        (".service", "`systemd-escape` gives what other characters are in its name"),
    ] {
        assert_eq!(mistake("", &format!("{{ unit = \"{name}\" }}")), format!("{expected}{hint}"), "{name}");
    }
}

#[test]
fn a_users_unit_needs_the_user() {
    assert_eq!(
        mistake("", "{ user_unit = \"x.service\", group = \"signers\" }"),
        "c.toml:7:12: `clients.c.allow.user_unit`: every user can have a unit of this name: say whose it is\n\
         hint: add `user` to the rule, as in user = \"ann\""
    );
}

#[test]
fn a_rule_can_permit_a_part() {
    let settings = "scope = \"read write sign\"\nresource = [\"urn:a\", \"urn:b\"]\n";
    let part = rule(settings, "{ user = 1, scope = [\"write\", \"read\"], resource = \"urn:b\" }").part;
    let expected = Narrowing {
        scope: Some("read write".parse().unwrap()),
        resource: ["urn:b".to_owned()].into(),
        audience: None,
    };
    assert_eq!(part, expected);
    let whole = "{ user = 1, scope = \"sign write read\", resource = [\"urn:b\", \"urn:a\"] }";
    assert!(rule(settings, whole).part.is_as_configured(), "all of it is no part");
}

#[test]
fn a_rule_permits_no_more_than_the_client_has() {
    for (settings, key, words) in [
        (
            "scope = \"read\"\n",
            "scope = \"read write\"",
            "a rule can't permit more than `scope` of the client has",
        ),
        ("", "scope = \"read\"", "the client has no `scope` to permit a part of"),
        (
            "resource = \"urn:a\"\n",
            "resource = \"urn:b\"",
            "a rule can't permit more than `resource` of the client has",
        ),
        ("", "resource = \"urn:b\"", "a rule can't permit more than `resource` of the client has"),
        ("resource = \"urn:a\"\n", "resource = []", "an empty list permits nothing"),
    ] {
        let said = mistake(settings, &format!("{{ user = 1, {key} }}"));
        assert!(said.contains(words) && said.contains("\nhint: "), "{said}");
        assert_eq!(said.lines().count(), 2, "{said}");
    }
    assert_eq!(
        mistake("", "{ scope = \"read\" }").lines().next(),
        Some("c.toml:7:10: a rule needs a condition: `user`, `group` or `unit`")
    );
}

#[test]
fn a_mistake_in_what_the_client_has_is_told_once() {
    let said = mistake("scope = 7\nresource = 7\n", "{ user = 1, scope = \"read\", resource = \"urn:a\" }");
    assert_eq!(said.lines().filter(|line| line.starts_with("c.toml")).count(), 2, "{said}");
}

#[test]
fn administrators_have_no_parts() {
    let said = parse_text("[daemon]\nadmin = [{ user = 1, scope = \"read\" }]\n").unwrap_err().to_string();
    assert_eq!(
        said,
        "c.toml:2:22: unknown key `scope` in [daemon.admin]\nhint: known here: group, unit, user, user_unit"
    );
}
