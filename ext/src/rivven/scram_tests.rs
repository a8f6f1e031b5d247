//! The exchange of RFC 7677, and messages that no honest server sends.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use proptest::prelude::*;

use super::*;

const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
const CHALLENGE: &str =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

fn pencil() -> Login {
    Login::new("user".into(), "pencil".into())
}

fn proof(login: &Login) -> Proof {
    login.begin_with(NONCE.into()).answer(CHALLENGE.as_bytes(), &|| false).unwrap()
}

#[test]
fn the_exchange_of_the_rfc() {
    let login = pencil();
    assert_eq!(login.begin_with(NONCE.into()).message(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    let proof = proof(&login);
    assert_eq!(
        proof.message,
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
         p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    );
    proof.verdict(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").unwrap();
}

#[test]
fn a_server_that_does_not_know_the_password_is_not_believed() {
    for verdict in [
        "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=",
        "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95A==",
        "v=",
        "v",
        "",
        "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        "e=invalid-proof",
    ] {
        let error = proof(&pencil()).verdict(verdict.as_bytes()).unwrap_err();
        assert_eq!(error.kind, Kind::Authentication, "{verdict}");
        assert!(!error.message.contains("pencil"));
    }
}

#[test]
fn a_refusal_is_told_in_the_servers_words() {
    let error = proof(&pencil()).verdict(b"e=Authentication\nfailed").unwrap_err();
    assert_eq!(error.message, "the server refuses it: Authentication?failed");
}

#[test]
fn challenges_that_are_not_answered() {
    let login = pencil();
    for (challenge, expected) in [
        ("r=another,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "not for this login"),
        ("r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "not for this login"),
        ("r=rOprNGfwEbeRWgbNEkqOx,s=,i=4096", "no salt"),
        ("r=rOprNGfwEbeRWgbNEkqOx,s=*,i=4096", "no salt"),
        ("r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=4095", "4095 iterations: expected 4096 to 1000000"),
        ("r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=1000001", "1000001 iterations"),
        ("r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=-1", "-1 iterations"),
        ("r=rOprNGfwEbeRWgbNEkqOx,s=W22Z", "not one of SCRAM"),
        ("m=future,r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=4096", "not one of SCRAM"),
        ("e=other-error", "not one of SCRAM"),
        ("", "not one of SCRAM"),
    ] {
        let error =
            login.begin_with(NONCE.into()).answer(challenge.as_bytes(), &|| false).map(|_| ()).unwrap_err();
        assert_eq!(error.kind, Kind::Authentication);
        assert!(error.message.contains(expected), "{challenge}: {error}");
    }
    assert!(login.begin_with(NONCE.into()).answer(&[b'r'; LONGEST_MESSAGE + 1], &|| false).is_err());
    assert!(login.begin_with(NONCE.into()).answer(&[0xff], &|| false).is_err());
}

#[test]
fn names_are_escaped_and_nonces_differ() {
    let login = Login::new("a=b,c".into(), "p".into());
    assert_eq!(login.begin_with("x".into()).message(), "n,,n=a=3Db=2Cc,r=x");
    assert_ne!(login.begin().unwrap().nonce, login.begin().unwrap().nonce);
}

#[test]
fn the_password_is_not_shown() {
    assert_eq!(format!("{:?}", pencil()), "Login { username: \"user\", .. }");
}

fn keys(login: &Login, salt: &[u8], rounds: u32) -> Keys {
    login.keys(salt, rounds, &|| false).unwrap()
}

#[test]
fn the_keys_are_worked_out_once_for_a_salt() {
    let login = pencil();
    let first = keys(&login, b"salt", 1_000_000);
    let start = Instant::now();
    for _ in 0..100 {
        assert_eq!(keys(&login, b"salt", 1_000_000).client, first.client);
    }
    assert!(start.elapsed() < Duration::from_millis(50));
    assert_ne!(keys(&login, b"other", 4096).client, first.client);
    assert_ne!(keys(&login, b"salt", 4096).client, first.client);
}

#[test]
fn servers_with_salts_of_their_own_do_not_drive_out_each_others_keys() {
    let login = pencil();
    for turn in 0..3 {
        for server in 0..KEPT {
            // After the first turn nobody works: whoever did would see the stop.
            let stopped = move || turn > 0;
            assert!(login.keys(&[server as u8], 2 * ROUNDS_AT_A_TIME, &stopped).is_some(), "{turn} {server}");
        }
    }
    keys(&login, b"one more", 4096);
    assert_eq!(login.lock().keys.len(), KEPT);
}

#[test]
fn connections_that_want_the_same_keys_wait_for_the_first() {
    let login = pencil();
    let (rounds, looks) = (400_000, AtomicUsize::new(0));
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                login.keys(b"salt", rounds, &|| {
                    looks.fetch_add(1, Ordering::Relaxed);
                    false
                })
            });
        }
    });
    // Whoever works looks once for so many rounds, whoever waits once for so much time.
    let working = (rounds / ROUNDS_AT_A_TIME) as usize;
    let waiting = 8 * (1 + start.elapsed().as_millis() / LOOK.as_millis()) as usize;
    let looks = looks.load(Ordering::Relaxed);
    assert!((working..working + waiting).contains(&looks), "{looks} looks, {working} + {waiting} expected");
    assert_eq!(login.lock().keys.len(), 1);
}

#[test]
fn a_stop_ends_the_work_and_the_wait_for_it() {
    let login = pencil();
    let stopped = AtomicBool::new(false);
    let ends = || stopped.load(Ordering::Relaxed);
    thread::scope(|scope| {
        let all: Vec<_> =
            (0..3).map(|_| scope.spawn(|| login.keys(b"salt", u32::MAX, &ends).is_none())).collect();
        thread::sleep(Duration::from_millis(50));
        let start = Instant::now();
        stopped.store(true, Ordering::Relaxed);
        assert!(all.into_iter().all(|one| one.join().unwrap()));
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    });
    // Nothing is left behind that others would wait for.
    assert!(login.lock().busy.is_empty());
    keys(&login, b"salt", 4096);
}

#[test]
fn a_salt_of_its_own_waits_for_nobody() {
    let login = pencil();
    let stopped = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| login.keys(b"slow", u32::MAX, &|| stopped.load(Ordering::Relaxed)));
        while login.lock().busy.is_empty() {
            thread::yield_now();
        }
        keys(&login, b"quick", 4096);
        assert_eq!(login.lock().busy, [(b"slow".to_vec(), u32::MAX)]);
        stopped.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_login_that_is_stopped_is_no_refusal() {
    let login = pencil();
    let challenge = CHALLENGE.replace("i=4096", "i=1000000");
    let attempt = login.begin_with(NONCE.into());
    let error = attempt.answer(challenge.as_bytes(), &|| true).map(|_| ()).unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (Kind::Connect, "the client is closed"));
}

proptest! {
    #[test]
    fn keys_are_those_of_pbkdf2(
        password in prop::collection::vec(any::<u8>(), 0..100),
        salt in prop::collection::vec(any::<u8>(), 0..100),
        rounds in 1u32..50,
    ) {
        let mut expected = [0; 32];
        pbkdf2::pbkdf2_hmac::<Sha256>(&password, &salt, rounds, &mut expected);
        prop_assert_eq!(*salted(&password, &salt, rounds, &|| false).unwrap(), expected);
    }

    #[test]
    fn whatever_comes_is_answered_or_refused(message in prop::collection::vec(any::<u8>(), 0..200)) {
        let login = pencil();
        let _ = login.begin_with(NONCE.into()).answer(&message, &|| false).map(|_| ());
        let proof = Proof { message: Bytes::new(), expected: hmac(b"key", b"signed") };
        prop_assert!(proof.verdict(&message).is_err());
    }

    #[test]
    fn a_challenge_is_read_as_it_was_written(
        theirs in "[!-+--~]{1,40}",
        salt in prop::collection::vec(any::<u8>(), 1..64),
        rounds in 4096u32..=1_000_000,
        extension in "(,[a-z]=[!-+--~]{0,10}){0,2}",
    ) {
        let text = format!("r={NONCE}{theirs},s={},i={rounds}{extension}", STANDARD.encode(&salt));
        let nonce = format!("{NONCE}{theirs}");
        prop_assert_eq!(Challenge::read(&text, NONCE).unwrap(), Challenge { nonce: &nonce, salt, rounds });
    }

    #[test]
    fn a_challenge_that_was_cut_or_changed_never_panics(text in "[rsime]?=?[a-zA-Z0-9+/=,]{0,60}", at in 0usize..90) {
        let _ = Challenge::read(&text, NONCE);
        let cut: String = CHALLENGE.chars().take(at).collect();
        let _ = Challenge::read(&cut, NONCE);
        let _ = Challenge::read(&format!("{cut}{text}"), NONCE);
    }
}
