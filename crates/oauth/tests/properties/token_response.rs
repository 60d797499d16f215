//! Replies to token requests.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use tokenbroker_oauth::{Malformed, Scope, TokenErrorKind, TokenResponse, Unreadable};

use crate::generate::{body, good_reply, style, unknown_members};
use crate::json::{Json, Style};
use crate::model::{self, Granted, TOKEN_ALPHABET};
use crate::{assert_presentable, response};

/// What the product makes of a 200; whatever it refuses, it refuses in presentable words.
fn read(body: impl AsRef<[u8]>, asked: &BTreeSet<String>) -> Result<Granted, TokenErrorKind> {
    let asked = Scope::from_tokens(asked).ok();
    match TokenResponse::parse(&response(200, body), asked.as_ref()) {
        Ok(reply) => Ok(reply.into()),
        Err(error) => {
            assert_presentable(&error);
            Err(error.kind)
        }
    }
}

fn unreadable<T>(why: Unreadable) -> Result<T, TokenErrorKind> {
    Err(TokenErrorKind::Malformed(Malformed::Body(why)))
}

fn words(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// A reply with these values of `access_token` and `token_type`, and further members.
fn reply(token: &str, token_type: &str, members: &[(&str, Json)]) -> String {
    let mut all = vec![("access_token", Json::text(token)), ("token_type", Json::text(token_type))];
    all.extend_from_slice(members);
    let all = all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Json::Object(all).write(&mut Style::default())
}

fn lifetime(expires_in: Json) -> Result<Option<Duration>, TokenErrorKind> {
    read(reply("t", "Bearer", &[("expires_in", expires_in)]), &words(&[])).map(|granted| granted.lifetime)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn s28_s37_every_body_means_to_us_what_it_means_to_the_reference(
        body in body(),
        asked in subsequence(vec!["read", "write"], 0..=2),
    ) {
        let asked = words(&asked);
        let (ours, reference) = (read(&body, &asked), model::success(&body, &asked));
        if reference == unreadable(Unreadable::NotAnObject) && ours == unreadable(Unreadable::DuplicateKey) {
            // A key came twice before the place where the JSON breaks off.
            prop_assert_eq!(Json::read(&body), None);
        } else {
            prop_assert_eq!(ours, reference, "{}", String::from_utf8_lossy(&body));
        }
    }
}

proptest! {
    #[test]
    fn what_a_good_server_sends_is_taken_in_any_spelling(good in good_reply(), mut style in style()) {
        let asked = words(&["read", "write"]);
        let plain = read(good.write(&mut Style::default()), &asked);
        prop_assert!(plain.is_ok(), "{:?}", plain);
        prop_assert_eq!(read(good.write(&mut style), &asked), plain);
    }

    #[test]
    fn neither_order_nor_unknown_members_matter(
        (good, shuffled) in good_reply().prop_flat_map(|good| {
            let Json::Object(members) = good.clone() else { unreachable!("a reply is an object") };
            (Just(good), Just(members).prop_shuffle())
        }),
        unknown in unknown_members(),
    ) {
        let asked = words(&["read", "write"]);
        let known = shuffled.into_iter().filter(|(name, _)| !name.starts_with("x_"));
        let other = Json::Object(unknown.into_iter().chain(known).collect());
        let read = |json: &Json| read(json.write(&mut Style::default()), &asked);
        prop_assert_eq!(read(&other), read(&good));
    }

    #[test]
    fn s37_a_key_that_comes_twice_at_any_depth_spoils_the_reply(
        good in good_reply(),
        which in any::<Index>(),
        mut style in style(),
    ) {
        // Two members of the same name, spelled alike or not, in one of the objects.
        let mut spoiled = good.clone();
        for value in [Json::Null, Json::text("canary")] {
            spoiled.push_into(&mut which.index(good.objects()), &("né/w".to_owned(), value));
        }
        prop_assert_eq!(read(spoiled.write(&mut style), &words(&[])), unreadable(Unreadable::DuplicateKey));
    }

    #[test]
    fn s37_nesting_counts_up_to_127(depth in 1_usize..400, objects: bool) {
        let (open, close) = if objects { (r#"{"a":"#, "}") } else { ("[", "]") };
        let nested = format!("{}0{}", open.repeat(depth), close.repeat(depth));
        let body = format!(r#"{{"access_token":"t","token_type":"Bearer","x":{nested}}}"#);
        let refused = read(body, &words(&[])).err();
        prop_assert_eq!(refused, (depth > 126).then_some(unreadable::<()>(Unreadable::NotAnObject).unwrap_err()));
    }

    #[test]
    fn s33_a_lifetime_is_rounded_down_in_every_form(whole in 1_u64..86_400, fraction in "[0-9]{1,6}", shift in 0_u32..5) {
        let expected = Ok(Some(Duration::from_secs(whole)));
        let exponent = format!("{}.{:0>width$}{fraction}e{shift}", whole / 10_u64.pow(shift), {
            whole % 10_u64.pow(shift)
        }, width = shift as usize);
        for number in [whole.to_string(), format!("{whole}.{fraction}"), format!("{whole}{fraction}E-{}", fraction.len())] {
            prop_assert_eq!(lifetime(Json::Number(number.clone())), expected, "{}", number);
        }
        if shift > 0 {
            prop_assert_eq!(lifetime(Json::Number(exponent.clone())), expected, "{}", exponent);
        }
        for text in [whole.to_string(), format!("{whole}.{fraction}"), format!("00{whole}"), format!("{whole}.")] {
            prop_assert_eq!(lifetime(Json::Text(text.clone())), expected, "{}", text);
        }
    }

    #[test]
    fn s32_a_lifetime_of_less_than_a_second_is_refused(
        fraction in "[0-9]{1,9}",
        seconds in 0_u64..,
        exponent in 1_u32..400,
        word in "[A-Za-z+-]{1,8}",
    ) {
        let refused = Err(TokenErrorKind::Malformed(Malformed::Lifetime));
        let numbers = [
            format!("0.{fraction}"), format!("-{seconds}"), format!("-{seconds}.{fraction}"), format!("-1e{}", exponent % 300),
            format!("0e{exponent}"), format!("1e-{exponent}"), "0".to_owned(),
        ];
        for number in numbers {
            prop_assert_eq!(lifetime(Json::Number(number.clone())), refused, "{}", number);
        }
        let texts = [
            format!("0.{fraction}"), format!("-{seconds}"), format!(".{fraction}"), word.clone(), format!("1{word}"),
            format!("{seconds} "), format!("1e{exponent}"), format!("1.{fraction}.1"),
        ];
        for text in texts {
            prop_assert_eq!(lifetime(Json::Text(text.clone())), refused, "{}", text);
        }
    }

    #[test]
    fn s33_a_huge_lifetime_is_taken_for_a_long_one(digits in "[1-9][0-9]{5,300}", exponent in 5_u32..308) {
        for huge in [Json::Number(digits.clone()), Json::Text(digits.clone()), Json::Number(format!("1e{exponent}"))] {
            prop_assert_eq!(lifetime(huge), Ok(Some(model::DAY)));
        }
        let beyond = lifetime(Json::Number(format!("1e{}", exponent + 310)));
        prop_assert_eq!(beyond, unreadable(Unreadable::NotAnObject), "no number that a reader must know");
    }

    #[test]
    fn s35_the_token_type_is_bearer_in_any_letter_case(
        capitals in prop::collection::vec(any::<bool>(), 6),
        other in "[A-Za-z]{0,8} ?",
    ) {
        let bearer: String = "bearer"
            .chars()
            .zip(capitals)
            .map(|(letter, capital)| if capital { letter.to_ascii_uppercase() } else { letter })
            .collect();
        prop_assert!(read(reply("t", &bearer, &[]), &words(&[])).is_ok(), "{}", bearer);
        prop_assume!(!other.eq_ignore_ascii_case("bearer"));
        let refused = read(reply("t", &other, &[]), &words(&[]));
        prop_assert_eq!(refused, Err(TokenErrorKind::Malformed(Malformed::TokenType)), "{}", other);
    }

    #[test]
    fn s38_a_scope_is_compared_as_a_set(
        asked in subsequence(vec!["a", "b", "c", "d"], 0..=4),
        granted in prop::collection::vec(select(vec!["a", "b", "c", "d"]), 0..8),
        form in 0..3,
    ) {
        let scope = match form {
            0 => Json::Text(granted.join(" ")),
            1 => Json::Text(format!(" {}  ", granted.join("  "))),
            _ => Json::Array(granted.iter().map(|word| Json::text(word)).collect()),
        };
        let outcome = read(reply("t", "Bearer", &[("scope", scope)]), &words(&asked));
        let (asked, granted) = (words(&asked), words(&granted));
        let seen = outcome.map(|token| (token.scope, token.narrowed));
        if !asked.is_empty() && !granted.is_subset(&asked) {
            prop_assert_eq!(seen, Err(TokenErrorKind::Malformed(Malformed::WiderScope)));
        } else {
            let narrowed = !asked.is_empty() && granted != asked;
            prop_assert_eq!(seen, Ok((granted, narrowed)));
        }
    }

    #[test]
    fn s36_a_token_is_taken_as_it_is_or_not_at_all(token in "\\PC{1,20}|[!-~]{1,20}|(?s).{1,20}") {
        let taken = read(reply(&token, "Bearer", &[]), &words(&[])).map(|granted| granted.token);
        match token.chars().all(|character| TOKEN_ALPHABET.contains(character)) {
            true => prop_assert_eq!(taken, Ok(token)),
            false => prop_assert_eq!(taken, Err(TokenErrorKind::Malformed(Malformed::TokenCharacters))),
        }
    }
}

proptest! {
    // Each case reads a reply as often as it has bytes.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn s25_s37_a_reply_that_breaks_off_anywhere_is_refused(good in good_reply(), mut style in style()) {
        let whole = good.write(&mut style);
        for end in 0..whole.trim_end().len() {
            let cut = read(&whole.as_bytes()[..end], &words(&[]));
            prop_assert_eq!(cut, unreadable(Unreadable::NotAnObject), "{}", &whole);
        }
    }
}

/// Every character of the first planes where trouble lives, at every place in a token.
#[test]
fn s36_one_character_outside_the_alphabet_spoils_a_token_wherever_it_stands() {
    let characters = ('\0'..='\u{17f}').chain(['\u{2028}', '\u{202e}', '\u{feff}', '\u{ff1b}', '\u{1f600}']);
    for character in characters {
        for token in [format!("{character}ab"), format!("a{character}b"), format!("ab{character}")] {
            let taken = read(reply(&token, "Bearer", &[]), &words(&[])).is_ok();
            assert_eq!(taken, TOKEN_ALPHABET.contains(character), "{token:?}");
        }
    }
}

/// `scope-token = 1*( %x21 / %x23-5B / %x5D-7E )`
#[test]
fn s38_one_character_outside_the_grammar_spoils_a_scope() {
    for character in ('\0'..='\u{17f}').filter(|character| *character != ' ') {
        let granted = format!("a{character}b");
        let allowed = matches!(character, '\x21' | '\x23'..='\x5B' | '\x5D'..='\x7E');
        let expected = if allowed { Ok(words(&[&granted])) } else { Err(Malformed::Scope.into()) };
        let outcome = read(reply("t", "Bearer", &[("scope", Json::text(&granted))]), &words(&[]));
        assert_eq!(outcome.map(|token| token.scope), expected, "{granted:?}");
    }
}
