//! A next credential beside the one in use.

use std::sync::Arc;
use std::time::Duration;

use super::harness::*;
use crate::certificate::{Certificate, ClientCertificates};
use crate::config::{AuthMethod, Client, Config};
use crate::engine::{Note, Reason, State};

fn one_client() -> Config {
    config([client("a", &issuer().into())])
}

fn secrets(world: &World) -> Vec<&str> {
    world.server.requests.iter().filter_map(|request| request.secret.as_deref()).collect()
}

/// A client with a token, got with "old", and the next secret "new".
fn rotating(accepted: &'static str) -> World {
    let mut world = World::with_store(&one_client(), KeyStore::default());
    world.set_secret("a", "old");
    world.server.secret = Some("old");
    world.run(seconds(2));
    assert_eq!(world.state("a"), State::Warm);
    world.set_next_secret("a", "new");
    world.server.secret = Some(accepted);
    world
}

fn refusals(world: &World) -> Vec<(Duration, Duration)> {
    let refused = world.notes.iter().filter_map(|(_, note)| match note {
        Note::NextRefused { refused_for, next_try_in, .. } => Some((*refused_for, *next_try_in)),
        _ => None,
    });
    refused.collect()
}

fn failures(world: &World) -> usize {
    world.notes.iter().filter(|(_, note)| matches!(note, Note::Failed { .. })).count()
}

#[test]
fn s54_the_next_secret_is_tried_when_a_token_is_due_and_takes_the_place_of_the_old() {
    let mut world = rotating("new");
    world.run(minutes(30));
    assert_eq!(secrets(&world), ["old"], "the cached token lives on");
    let waiting = world.status("a").next_credential.unwrap();
    assert_eq!((&*waiting.stored.version, waiting.refused), ("v2", None));

    world.run(minutes(20));
    assert_eq!(secrets(&world), ["old", "new"]);
    let status = world.status("a");
    assert_eq!((status.state, status.generation), (State::Warm, 2));
    let credential = status.credential.unwrap();
    assert_eq!((&*credential.version, credential.is_next, status.next_credential), ("v2", false, None));
    assert_eq!(world.store.promotions, 1);
    let accepted = |note: &Note| matches!(note, Note::NextAccepted { version, .. } if **version == *"v2");
    assert!(world.notes.iter().any(|(_, note)| accepted(note)));

    world.run(minutes(50));
    assert_eq!(secrets(&world), ["old", "new", "new"], "the old one is not used again");
}

#[test]
fn s54_a_next_secret_that_is_refused_leaves_the_old_one_in_use_and_no_caller_hears_of_it() {
    let mut world = rotating("old");
    let administrator = world.renew("a");
    world.run(seconds(2));
    assert_eq!(secrets(&world), ["old", "new", "old"]);
    assert_eq!(world.granted(administrator).token.generation, 2);
    assert_eq!(world.state("a"), State::Warm);
    assert_eq!(world.store.promotions, 0);
    let next = world.status("a").next_credential.unwrap();
    assert_eq!(next.refused.unwrap().code, "invalid_client");
    assert_eq!(&*world.status("a").credential.unwrap().version, "v1");
    let told = world.engine.explain("a", world.clocks()).unwrap().join("\n");
    assert!(told.contains("version v2, was refused (invalid_client)"), "{told}");
    assert!(told.contains("tokenbroker secret remove a --next"), "{told}");
    assert!(
        told.contains("`tokenbroker secret set a --next`") && !told.contains("`tokenbroker secret set a`"),
        "{told}"
    );
}

#[test]
fn a_next_secret_that_is_refused_for_a_day_is_tried_ever_more_rarely_and_said_to_be_refused_for_a_day() {
    let mut world = World::with_store(&one_client(), KeyStore::default());
    // Tokens that live five minutes: there are renewals all the time.
    world.server.reply = Reply::Token(300);
    world.set_secret("a", "old");
    world.server.secret = Some("old");
    world.run(seconds(2));
    world.set_next_secret("a", "new");
    for _ in 0..(24 * 60) {
        world.run(minutes(1));
        let caller = world.get("a");
        world.granted(caller);
    }
    let tries = secrets(&world).iter().filter(|secret| **secret == "new").count();
    assert!((20..=26).contains(&tries), "{tries} tries, about one an hour after the first two");
    let refusals = refusals(&world);
    assert_eq!(refusals.len(), tries);
    assert!(refusals.last().unwrap().0 > minutes(22 * 60), "{refusals:?}");
    assert_eq!(world.state("a"), State::Warm);
    assert!(world.status("a").outcomes.credential > 20);
    let told = world.engine.explain("a", world.clocks()).unwrap().join("\n");
    assert!(
        told.contains("for the first time 23 h ") || told.contains("for the first time 1 d 0 h"),
        "{told}"
    );
}

#[test]
fn s54_renewing_tries_the_next_secret_now_whatever_was_refused_before() {
    let mut world = rotating("old");
    world.renew("a");
    world.run(seconds(2));
    world.server.secret = Some("new");
    let administrator = world.renew("a");
    world.run(seconds(2));
    assert_eq!(secrets(&world), ["old", "new", "old", "new"]);
    assert!(world.answer(administrator).unwrap().is_ok());
    assert_eq!(world.status("a").next_credential, None);
}

#[test]
fn s54_when_both_are_refused_the_client_is_blocked_by_the_old_ones_refusal() {
    let mut world = World::with_store(&one_client(), KeyStore::default());
    world.store.set_secret("a", "old");
    world.store.set_next_secret("a", "new");
    world.server.secret = Some("another");
    let caller = world.get("a");
    world.run(seconds(2));
    assert_eq!(secrets(&world), ["new", "old"]);
    assert_eq!(world.refused(caller).reason, Reason::Blocked);
    world.run(minutes(70));
    let requests = world.server.requests.len();
    assert!(requests <= 6, "{requests} requests in the first hour, two with each and one more");
}

#[test]
fn s54_a_next_secret_known_before_the_start_is_tried_first() {
    let config = one_client();
    let mut world = World::with_store(&config, KeyStore::default());
    world.store.set_secret("a", "old");
    world.store.set_next_secret("a", "new");
    world.run(seconds(2));
    assert_eq!(secrets(&world), ["new"]);
    assert_eq!(world.state("a"), State::Warm);
}

#[test]
fn s54_other_tokens_of_the_client_follow_with_the_secret_that_was_accepted() {
    let mut world = rotating("new");
    world.server.latency = seconds(1);
    world.renew("a");
    let callers = ["read", "write"].map(|scope| world.get_scope("a", scope));
    world.run(seconds(5));
    assert_eq!(secrets(&world), ["old", "new", "new", "new"]);
    callers.iter().for_each(|caller| drop(world.granted(*caller).clone()));

    // Their tokens that were got with the old one live on, too.
    world.set_next_secret("a", "third");
    world.server.secret = Some("third");
    world.renew("a");
    world.run(seconds(5));
    assert_eq!(secrets(&world)[4..], ["third"]);
    let again = world.get_scope("a", "read");
    assert_eq!(world.granted(again).token.generation, 1);
}

#[test]
fn s54_a_next_secret_that_is_withdrawn_during_its_request_is_no_one_elses_refusal() {
    let mut world = rotating("old");
    world.server.latency = seconds(3);
    world.renew("a");
    world.run(seconds(1));
    assert_eq!(secrets(&world), ["old", "new"]);
    world.store.withdraw("a");
    world.credentials_changed("a");
    world.run(seconds(8));
    assert_eq!(secrets(&world), ["old", "new", "old"]);
    assert_eq!((world.state("a"), world.status("a").next_credential), (State::Warm, None));
    assert!(!world.notes.iter().any(|(_, note)| matches!(note, Note::Failed { .. })));
}

#[test]
fn s54_a_next_secret_that_is_refused_in_any_words_leaves_the_old_one_in_use() {
    for code in ["invalid_scope", "unauthorized_client", "access_denied", "of_its_own"] {
        let mut world = rotating("old");
        world.server.secret_replies.insert("new", Reply::Error(code));
        let caller = world.renew("a");
        world.run(seconds(2));
        assert_eq!(secrets(&world), ["old", "new", "old"], "{code}");
        world.granted(caller);
        assert_eq!((world.state("a"), refusals(&world).len()), (State::Warm, 1), "{code}");
        world.run(minutes(50));
        assert_eq!((world.state("a"), failures(&world)), (State::Warm, 0), "{code}");
    }
}

#[test]
fn s54_a_server_that_fails_with_the_next_secret_only_still_gets_the_old_one() {
    for reply in [Reply::Status(500), Reply::Unreachable, Reply::Hang, Reply::Later(503, "300".into())] {
        let mut world = rotating("old");
        let held = if matches!(reply, Reply::Later(..)) { 300 } else { 60 };
        world.server.secret_replies.insert("new", reply.clone());
        world.run(minutes(58));
        assert_eq!(world.state("a"), State::Warm, "{reply:?}");
        assert!(refusals(&world).is_empty(), "that is no refusal: {reply:?}");
        let tried: Vec<_> = world.server.requests.iter().collect();
        assert_eq!(tried[1].secret.as_deref(), Some("new"), "{reply:?}");
        assert_eq!(tried[2].secret.as_deref(), Some("old"), "{reply:?}");
        let again = tried[2..].iter().find(|request| request.secret.as_deref() == Some("new"));
        assert!(again.is_none_or(|again| again.at >= tried[1].at.after(seconds(held))), "{reply:?}");

        world.server.secret_replies.clear();
        world.server.secret = Some("new");
        world.run(minutes(120));
        assert_eq!((world.state("a"), world.store.promotions), (State::Warm, 1), "{reply:?}");
    }
}

#[test]
fn s54_retry_after_with_a_refusal_of_the_next_secret_counts_for_that_alone() {
    let mut world = rotating("old");
    world.server.secret_replies.insert("new", Reply::Later(401, "1800".into()));
    let caller = world.renew("a");
    world.run(seconds(2));
    world.granted(caller);
    assert_eq!(secrets(&world), ["old", "new", "old"]);
    let next = world.status("a").next_credential.unwrap();
    assert!(next.next_try_in > minutes(29), "{next:?}");
}

#[test]
fn s54_a_next_secret_is_tried_at_once_where_the_old_one_is_refused() {
    let mut world = World::with_store(&one_client(), KeyStore::default());
    world.server.secret = Some("new");
    world.set_secret("a", "old");
    world.run(minutes(10));
    assert_eq!(world.state("a"), State::Blocked);
    let before = world.server.requests.len();
    world.set_next_secret("a", "new");
    world.run(seconds(2));
    assert_eq!((world.state("a"), world.server.requests.len()), (State::Warm, before + 1));
    assert_eq!((world.store.promotions, secrets(&world).last()), (1, Some(&"new")));
}

#[test]
fn s54_the_next_secret_is_tried_at_once_when_the_server_changes_to_it() {
    let mut world = rotating("old");
    world.server.reply = Reply::Token(600);
    world.renew("a");
    world.run(minutes(12));
    assert_eq!(refusals(&world).len(), 2, "it is left alone for an hour");
    world.server.secret = Some("new");
    world.run(minutes(12));
    assert_eq!((world.state("a"), failures(&world), world.store.promotions), (State::Warm, 0, 1));
}

#[test]
fn s54_a_short_outage_does_not_block_a_client_whose_old_secret_is_refused() {
    let mut world = World::with_store(&one_client(), KeyStore::default());
    world.store.set_secret("a", "old");
    world.store.set_next_secret("a", "new");
    world.server.secret = Some("new");
    world.server.secret_replies.insert("new", Reply::Status(503));
    world.run(minutes(3));
    assert!(world.server.requests.len() < 20, "{:?}", world.server.requests);
    world.server.secret_replies.clear();
    world.run(minutes(2));
    assert_eq!((world.state("a"), world.store.promotions), (State::Warm, 1));
}

#[test]
fn s54_a_scope_that_is_refused_to_both_does_not_keep_the_next_secret_from_other_tokens() {
    let mut world = rotating("new");
    world.server.secret = None;
    world.server.reply = Reply::Error("invalid_scope");
    world.renew("a");
    world.run(seconds(3));
    assert_eq!(secrets(&world), ["old", "new", "old"]);
    let next = world.status("a").next_credential.unwrap();
    assert_eq!((next.refused, next.next_try_in), (None, Duration::ZERO));
}

#[test]
fn s54_what_was_said_of_a_next_secret_does_not_outlast_a_change_of_the_configuration() {
    let mut world = rotating("old");
    world.renew("a");
    world.run(seconds(3));
    assert!(world.status("a").next_credential.unwrap().next_try_in > Duration::ZERO);
    let renewed = Client { renew_at: 0.5, ..client("a", &issuer().into()) };
    world.reload(&config([renewed]));
    let next = world.status("a").next_credential.unwrap();
    assert_eq!((next.refused, next.next_try_in), (None, Duration::ZERO));
}

#[test]
fn s54_a_late_refusal_of_the_secret_before_is_nothing_to_the_one_that_took_its_place() {
    let mut world = rotating("old");
    world.renew("a");
    world.run(seconds(3));
    let held = world.status("a").next_credential.unwrap().next_try_in;
    world.run(held.checked_sub(seconds(4)).unwrap());
    // Sent with the old one a second before the next one may be tried again, and refused long after.
    world.server.secret = Some("new");
    world.server.latency = seconds(6);
    world.store.latency = seconds(3);
    let late = world.get_scope("a", "read");
    world.run(seconds(2));
    let early = world.get_scope("a", "write");
    world.run(seconds(2));
    (world.server.latency, world.store.latency) = (Duration::from_millis(500), Duration::ZERO);
    world.run(seconds(3));
    world.granted(early);
    world.run(seconds(10));
    assert_eq!(secrets(&world)[3..], ["old", "new", "new"]);
    world.granted(late);
    assert_eq!((world.state("a"), failures(&world)), (State::Warm, 0));
}

#[test]
fn what_changes_nothing_of_a_refused_credential_is_no_reason_to_try_it_again() {
    let mut world = World::with_store(&one_client(), KeyStore::default());
    world.server.secret = Some("right");
    world.set_secret("a", "wrong");
    world.run(seconds(2));
    let before = world.server.requests.len();
    for _ in 0..10 {
        world.credentials_changed("a");
        world.run(seconds(1));
    }
    assert_eq!(world.server.requests.len(), before);
}

#[test]
fn s54_a_key_store_that_can_not_store_the_change_is_told_again_until_it_can() {
    let mut world = rotating("new");
    world.server.latency = seconds(1);
    world.renew("a");
    world.run(Duration::from_millis(500));
    world.store.is_unavailable = true;
    world.run(minutes(5));
    let told = world.notes.iter().filter(|(_, note)| matches!(note, Note::NotPromoted { .. })).count();
    assert_eq!(told, 1, "it is said once");
    assert_eq!((world.state("a"), world.store.promotions), (State::Warm, 0));
    world.store.is_unavailable = false;
    world.run(minutes(1));
    assert_eq!((secrets(&world), world.store.promotions), (vec!["old", "new"], 1));
    world.run(minutes(46));
    assert_eq!((secrets(&world), world.store.promotions), (vec!["old", "new", "new"], 1));
}

#[test]
fn s54_a_next_key_that_does_not_sign_is_no_obstacle() {
    let config = config([key_client("a", &issuer().into())]);
    let mut world = World::with_store(&config, KeyStore::default());
    world.store.set_key("a");
    world.store.set_next_key("a");
    world.store.cannot_sign = "v2".into();
    let caller = world.get("a");
    world.run(seconds(2));
    assert_eq!(world.granted(caller).token.generation, 1);
    assert_eq!(world.requests_of("a").len(), 1);
    assert_eq!(refusals(&world).len(), 1);
}

#[test]
fn tokens_got_with_a_next_secret_that_was_accepted_outlive_the_daemon() {
    let config = one_client();
    let mut world = World::with_store(&config, KeyStore::default());
    world.store.set_secret("a", "old");
    world.run(seconds(2));
    world.set_next_secret("a", "new");
    world.server.latency = seconds(1);
    world.renew("a");
    world.run(Duration::from_millis(500));
    world.store.is_unavailable = true;
    world.run(seconds(3));
    world.store.is_unavailable = false;
    world.restart(&config);
    world.run(seconds(1));
    let caller = world.get("a");
    world.granted(caller);
    assert_eq!(secrets(&world), ["old", "new"], "though the key store was never told of it");
}

#[test]
fn a_secret_that_expires_is_told_of_in_its_last_month_once_a_day() {
    const DAY: u64 = 24 * 3600;
    let mut world = World::new(&one_client());
    world.store.expire("a", world.clocks().unix + 33 * DAY);
    let told = |world: &World| -> Vec<_> {
        let soon = world.notes.iter().filter_map(|(_, note)| match note {
            Note::ExpiresSoon { expires_in, .. } => Some(expires_in.map(|left| left.as_secs() / DAY)),
            _ => None,
        });
        soon.collect()
    };
    world.run(minutes(2 * 24 * 60));
    assert_eq!(told(&world), []);
    world.run(minutes(32 * 24 * 60));
    let told = told(&world);
    assert!((30..=33).contains(&told.len()), "{told:?}");
    assert!(told.is_sorted_by(|a, b| a >= b) && told[0] >= Some(28), "{told:?}");
    assert_eq!(told.last(), Some(&None), "it has expired, and is used further");
    assert_eq!(world.state("a"), State::Warm);
    let words = world.engine.explain("a", world.clocks()).unwrap().join("\n");
    assert!(words.contains("Its secret has expired") && words.contains("--next"), "{words}");
}

fn tls_client(certificates: Result<Vec<Arc<Certificate>>, String>) -> Client {
    let certificates = ClientCertificates { path: "/etc/a.pem".into(), content: certificates };
    Client {
        auth: AuthMethod::TlsClientAuth,
        certificates: Some(Arc::new(certificates)),
        ..client("a", &issuer().into())
    }
}

/// For the key with this version.
fn certificate(version: &str, not_before: i64, not_after: i64) -> Arc<Certificate> {
    let mut thumbprint = [0; 32];
    thumbprint[..version.len()].copy_from_slice(version.as_bytes());
    let (chain, public_key) = (vec![version.into()], version.into());
    Arc::new(Certificate { chain, public_key, thumbprint, not_before, not_after })
}

fn with_key(client: Client) -> World {
    let mut store = KeyStore::default();
    store.keys_are_for_tls = true;
    store.set_key("a");
    World::with_store(&config([client]), store)
}

const LONG: i64 = 1_900_000_000;

#[test]
fn s42_the_certificate_of_the_key_is_shown_and_tokens_bound_to_an_old_one_are_dropped() {
    let [first, second] = ["v1", "v2"].map(|version| certificate(version, 0, LONG));
    let mut world = with_key(tls_client(Ok(vec![first.clone()])));
    world.run(seconds(2));
    assert_eq!((world.state("a"), world.shown.len()), (State::Warm, 1));
    assert_eq!((&*world.shown[0].version, &world.shown[0].certificate), ("v1", &first));
    assert_eq!(world.server.requests[0].secret, None);

    // One more for the next key changes nothing for the one in use.
    world.store.set_next_key("a");
    world.credentials_changed("a");
    world.reload(&config([tls_client(Ok(vec![first, second.clone()]))]));
    world.run(minutes(1));
    assert_eq!((world.shown.len(), world.status("a").generation), (1, 1));
    world.renew("a");
    world.run(seconds(2));
    assert_eq!((world.shown.len(), &world.shown[1].certificate), (2, &second));

    let renewed = certificate("v2", 10, LONG + 1);
    let other = Arc::new(Certificate { thumbprint: [9; 32], ..(*renewed).clone() });
    world.reload(&config([tls_client(Ok(vec![other.clone()]))]));
    assert!(world.engine.slots().find("a").unwrap().current(world.now).is_none(), "at once");
    world.run(seconds(2));
    assert_eq!((world.state("a"), &world.shown[2].certificate), (State::Warm, &other));
}

#[test]
fn a_certificate_that_can_not_be_shown_blocks_its_client_in_words_and_sends_nothing() {
    for (certificates, words, remedy) in [
        (Ok(vec![certificate("v2", 0, LONG)]), "/etc/a.pem of client a is not for the key", "key import a"),
        (Ok(vec![certificate("v1", 0, 1_799_900_000)]), "expired a day ago", "renewed"),
        (Ok(vec![certificate("v1", LONG, LONG)]), "is not good yet", "clock of this host"),
        (Err("no such file".into()), "can't be used: no such file", "tokenbroker reload"),
    ] {
        let mut world = with_key(tls_client(certificates));
        let caller = world.get("a");
        world.run(seconds(2));
        let refusal = world.refused(caller);
        assert_eq!(refusal.reason, Reason::Blocked);
        assert!(refusal.message.contains(words), "{refusal:?}");
        assert!(refusal.hint.as_ref().unwrap().contains(remedy), "{refusal:?}");
        assert_eq!(world.server.requests.len(), 0);
    }
    let mut world = World::with_store(&config([tls_client(Ok(vec![]))]), KeyStore::default());
    let caller = world.get("a");
    world.run(seconds(2));
    assert!(world.refused(caller).hint.as_ref().unwrap().contains("key import a --file"));
}

#[test]
fn s54_a_next_key_whose_connection_is_broken_off_or_that_has_no_certificate_is_no_obstacle() {
    let first = certificate("v1", 0, LONG);
    let mut world = with_key(tls_client(Ok(vec![first.clone()])));
    world.store.set_next_key("a");
    world.run(seconds(2));
    assert_eq!((world.state("a"), world.shown.len(), refusals(&world).len()), (State::Warm, 1, 1));
    assert_eq!(world.shown[0].certificate, first);

    let mut world = with_key(tls_client(Ok(vec![first.clone(), certificate("v2", 0, LONG)])));
    world.store.set_next_key("a");
    world.breaks_off_with = Some("v2");
    world.run(seconds(2));
    let shown: Vec<_> = world.shown.iter().map(|identity| &*identity.version).collect();
    assert_eq!((world.state("a"), shown), (State::Warm, vec!["v2", "v1"]));
}
