//! What `test` and `doctor` have looked at, as lines for people: each with its verdict, and at the end what to change.

use tokenbroker_client::protocol::{Check, Verdict};

/// As wide as the terminals of most people, and a page of paper.
const WIDTH: usize = 80;

/// Where the words after the verdict begin.
const INDENT: usize = 6;

/// A subject that is longer has its finding pushed to the right.
const LONGEST_SUBJECT: usize = 20;

/// A line for each check, or more where it does not fit, and what to do about it on its own lines. The last line is the
/// most urgent of that, or that all is well.
pub(crate) fn render(checks: &[Check]) -> String {
    let subjects = checks.iter().map(|check| check.subject.chars().count());
    let column = subjects.filter(|length| *length <= LONGEST_SUBJECT).max().unwrap_or(0);
    let mut text = String::new();
    for check in checks {
        let mark = mark(check.verdict);
        let start = format!("{mark:INDENT$}{:column$}  ", check.subject);
        wrap(&mut text, &start, INDENT + column + 2, &check.finding);
        if let Some(remedy) = &check.remedy {
            let start = format!("{:INDENT$}what to do: ", "");
            wrap(&mut text, &start, start.len(), remedy);
        }
    }
    text.push('\n');
    text.push_str(&conclusion(checks));
    text.push('\n');
    text
}

/// Whether something does not work.
pub(crate) fn is_bad(checks: &[Check]) -> bool {
    checks.iter().any(|check| check.verdict == Verdict::Bad)
}

fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Good => "ok",
        Verdict::Skipped => "-",
        Verdict::Warning => "warn",
        Verdict::Bad => "FAIL",
    }
}

fn conclusion(checks: &[Check]) -> String {
    let of = |verdict| checks.iter().filter(move |check| check.verdict == verdict);
    let remedy = of(Verdict::Bad).find_map(|check| check.remedy.as_deref());
    let said = match (remedy, of(Verdict::Bad).next(), of(Verdict::Warning).count()) {
        (Some(remedy), ..) => format!("what to change: {remedy}"),
        (None, Some(bad), _) => format!("what is wrong: {}: {}", bad.subject, bad.finding),
        (None, None, 0) => "all is well".to_owned(),
        (None, None, 1) => "it works; there is one warning".to_owned(),
        (None, None, warnings) => format!("it works; there are {warnings} warnings"),
    };
    // One line, whatever came from elsewhere.
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Appends `words` after `start`; what does not fit goes on below, from `column` on.
fn wrap(text: &mut String, start: &str, column: usize, words: &str) {
    let mut used = start.chars().count();
    text.push_str(start);
    for (index, word) in pieces(words).enumerate() {
        let length = word.chars().count();
        if index > 0 {
            if used + 1 + length > WIDTH {
                text.push_str(&format!("\n{:column$}", ""));
                used = column;
            } else {
                text.push(' ');
                used += 1;
            }
        }
        text.push_str(word);
        used += length;
    }
    text.push('\n');
}

/// The words; what stands in backticks is one, so that a command can be copied in one piece.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut in_command = false;
    // One backtick alone begins nothing.
    let paired = text.matches('`').count().is_multiple_of(2);
    text.split(move |character: char| {
        in_command ^= paired && character == '`';
        character.is_whitespace() && !in_command
    })
    .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(verdict: Verdict, subject: &str, finding: &str, remedy: Option<&str>) -> Check {
        Check { subject: subject.into(), verdict, finding: finding.into(), remedy: remedy.map(str::to_owned) }
    }

    #[test]
    fn each_check_is_a_line_and_the_last_line_says_what_to_change() {
        let checks = [
            check(Verdict::Good, "resolve", "as.example is 192.0.2.7", None),
            check(
                Verdict::Warning,
                "clock",
                "it is 40 s behind the server's",
                Some("run `chronyc makestep`"),
            ),
            check(
                Verdict::Bad,
                "authenticate",
                "the authorization server refused the client's credential (invalid_client), which it has accepted before",
                Some("store the secret that is registered there: `tokenbroker secret set signtext`"),
            ),
            check(Verdict::Skipped, "token", "there is none to look at", None),
        ];
        assert_eq!(
            render(&checks),
            "\
ok    resolve       as.example is 192.0.2.7
warn  clock         it is 40 s behind the server's
      what to do: run `chronyc makestep`
FAIL  authenticate  the authorization server refused the client's credential
                    (invalid_client), which it has accepted before
      what to do: store the secret that is registered there:
                  `tokenbroker secret set signtext`
-     token         there is none to look at

what to change: store the secret that is registered there: `tokenbroker secret set signtext`
"
        );
        assert!(is_bad(&checks));
    }

    #[test]
    fn where_nothing_is_bad_the_last_line_says_so() {
        let last = |checks: &[Check]| render(checks).lines().last().unwrap().to_owned();
        let good = check(Verdict::Good, "a", "b", None);
        let warning = check(Verdict::Warning, "a", "b", Some("c"));
        assert_eq!(last(&[]), "all is well");
        assert_eq!(last(&[good.clone(), check(Verdict::Skipped, "a", "b", None)]), "all is well");
        assert_eq!(last(&[good.clone(), warning.clone()]), "it works; there is one warning");
        assert_eq!(last(&[warning.clone(), warning.clone()]), "it works; there are 2 warnings");
        assert!(!is_bad(&[good, warning]));
    }

    #[test]
    fn the_first_remedy_of_what_is_bad_is_the_one_to_begin_with() {
        let last = |checks: &[Check]| conclusion(checks);
        let mystery = check(Verdict::Bad, "daemon", "it hung\nup", None);
        let bad = check(Verdict::Bad, "disk", "it is full", Some("make room"));
        let later = check(Verdict::Bad, "net", "it is down", Some("plug it in"));
        let warning = check(Verdict::Warning, "a", "b", Some("c"));
        assert_eq!(last(&[warning.clone(), mystery.clone(), bad, later]), "what to change: make room");
        assert_eq!(last(&[warning, mystery]), "what is wrong: daemon: it hung up");
    }

    #[test]
    fn long_subjects_and_long_words_stay_whole() {
        let checks = [
            check(Verdict::Good, "client with-a-very-long-name", "warm", None),
            check(Verdict::Good, "url", &format!("at https://as.example/{} now", "x".repeat(80)), None),
        ];
        assert_eq!(
            render(&checks),
            format!(
                "\
ok    client with-a-very-long-name  warm
ok    url  at
           https://as.example/{}
           now

all is well
",
                "x".repeat(80)
            )
        );
    }

    #[test]
    fn a_command_is_not_torn_apart() {
        let words = |text: &'static str| pieces(text).collect::<Vec<_>>();
        assert_eq!(words("run `a  b c`, then\n d"), ["run", "`a  b c`,", "then", "d"]);
        assert_eq!(words("a lone ` is a word"), ["a", "lone", "`", "is", "a", "word"]);
        assert_eq!(words(""), [""; 0]);
    }
}
