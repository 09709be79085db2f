//! Which certificate is used when, and what becomes of a file that changes.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use tenantry_tests::certificates::{TestCertificate, expired, first, second};

use super::*;

const CLIENT: &str = "7b1f6f4e-0d5c-4f0c-9a55-2d9d2f1c7e10";
/// The certificate is not registered.
const UNKNOWN: u32 = 700_027;

fn now() -> DateTime<Utc> {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

fn minutes(count: i64) -> DateTime<Utc> {
    now() + TimeDelta::minutes(count)
}

fn secret(text: &str) -> SecretText {
    SecretText::new(text.to_owned())
}

fn error(aadsts: u32) -> MicrosoftError {
    let body = format!(r#"{{"error":"invalid_client","error_codes":[{aadsts}]}}"#);
    MicrosoftError::from_answer(401, body.as_bytes())
}

fn of_certificates(all: &[TestCertificate]) -> ClientCredential {
    let pem: String = all.iter().map(TestCertificate::pem).collect();
    ClientCredential::with_certificate(CLIENT.to_owned(), &secret(&pem)).unwrap()
}

/// The certificate that signs, by its number of `all`, and the mark of its proof.
fn signer(
    credential: &ClientCredential,
    all: &[TestCertificate],
    at: DateTime<Utc>,
) -> (usize, Mark) {
    let proof = credential.proof("https://login.example/token", at).unwrap();
    let header = jsonwebtoken::decode_header(&proof[1].1).unwrap();
    let thumbprint = header.x5t_s256.unwrap();
    let is_it = |one: &TestCertificate| {
        certificate::read_all(&one.pem()).unwrap()[0].thumbprint == thumbprint
    };
    (all.iter().position(is_it).unwrap(), Mark::of(&proof))
}

#[test]
fn the_certificate_that_began_last_signs() {
    let all = [second(), first(), expired()];
    let credential = of_certificates(&all);
    assert_eq!(signer(&credential, &all, now()).0, 0);
    assert_eq!(
        credential.expires_at(),
        Some("2036-02-01T12:30:45Z".parse().unwrap())
    );
    // Before the second one begins, the first one signs.
    let before = "2026-01-15T00:00:00Z".parse().unwrap();
    assert_eq!(signer(&credential, &all, before).0, 1);
    // Long ago only the expired one was valid.
    let long_ago = "2020-06-01T00:00:00Z".parse().unwrap();
    assert_eq!(signer(&credential, &all, long_ago).0, 2);
}

#[test]
fn an_ended_certificate_is_taken_and_tells_its_end() {
    let credential = of_certificates(&[expired()]);
    assert_eq!(
        credential.expires_at(),
        Some("2021-01-01T00:00:00Z".parse().unwrap())
    );
    // Microsoft says it better than we could: our clock may be wrong.
    assert_eq!(signer(&credential, &[expired()], now()).0, 0);
}

#[test]
fn a_refused_certificate_rests_for_an_hour_while_the_next_one_signs() {
    let all = [second(), first()];
    let credential = of_certificates(&all);
    let (newest, of_newest) = signer(&credential, &all, now());
    assert_eq!(newest, 0);
    // Many requests at once were signed by it; each is told to try another, none blames that one.
    for _ in 0..3 {
        assert!(credential.refused(of_newest, &error(UNKNOWN), now()));
    }
    let (next, of_next) = signer(&credential, &all, now());
    assert_eq!(next, 1);
    credential.accepted(of_next);
    let status = credential.status(now());
    assert_eq!((status.refusal, status.refused, status.count), (None, 1, 2));
    // What is not accepted does not lengthen the time that is left.
    assert_eq!(
        status.expires_at,
        Some("2035-01-01T00:00:00Z".parse().unwrap())
    );
    assert_eq!(signer(&credential, &all, minutes(59)).0, 1);
    assert_eq!(signer(&credential, &all, minutes(61)).0, 0);
    credential.accepted(of_newest);
    let status = credential.status(minutes(61));
    assert_eq!(status.refused, 0);
    assert_eq!(
        status.expires_at,
        Some("2036-02-01T12:30:45Z".parse().unwrap())
    );
}

#[test]
fn c19_what_is_sent_once_goes_with_a_certificate_that_was_accepted() {
    let all = [second(), first()];
    let credential = of_certificates(&all[1..]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("certificates.pem");
    std::fs::write(&path, all[1].pem()).unwrap();
    let credential = credential.follow(path.clone());
    let (_, of_old) = signer(&credential, &all, now());
    credential.accepted(of_old);
    std::fs::write(&path, format!("{}{}", all[0].pem(), all[1].pem())).unwrap();
    let once = |at| {
        let proof = credential.proof_sent_once("", at).unwrap();
        Mark::of(&proof)
    };
    assert!(once(now()) == of_old);
    let (newest, of_newest) = signer(&credential, &all, now());
    assert_eq!(newest, 0, "what can be sent again tries the newest");
    credential.accepted(of_newest);
    assert!(once(now()) == of_newest);
}

#[test]
fn when_the_old_one_is_taken_back_the_new_one_is_tried_at_once() {
    let all = [second(), first()];
    let credential = of_certificates(&all);
    let (_, of_newest) = signer(&credential, &all, now());
    credential.refused(of_newest, &error(UNKNOWN), now());
    let (old, of_old) = signer(&credential, &all, now());
    credential.accepted(of_old);
    assert_eq!(old, 1);
    assert!(credential.refused(of_old, &error(50_012), minutes(30)));
    assert_eq!(signer(&credential, &all, minutes(30)).0, 0);
    assert_eq!(credential.status(minutes(30)).refusal, None);
}

#[test]
fn when_all_are_refused_it_is_shown_since_when_and_each_gets_its_turn() {
    let all = [second(), first()];
    let credential = of_certificates(&all);
    let mut tried = Vec::new();
    for minute in [0, 10, 20] {
        let (signer, mark) = signer(&credential, &all, minutes(minute));
        tried.push(signer);
        let again = credential.refused(mark, &error(UNKNOWN), minutes(minute));
        assert!(
            again,
            "the other one was not refused within the last minute"
        );
        let (other, mark) = self::signer(&credential, &all, minutes(minute));
        tried.push(other);
        assert!(!credential.refused(mark, &error(UNKNOWN), minutes(minute)));
    }
    assert_eq!(tried, [0, 1, 0, 1, 0, 1]);
    let status = credential.status(minutes(20));
    let refusal = Refusal {
        since: now(),
        aadsts: Some(UNKNOWN),
    };
    assert_eq!(status.refusal, Some(refusal));
    assert_eq!(
        status.expires_at,
        Some("2036-02-01T12:30:45Z".parse().unwrap())
    );
    let (_, mark) = signer(&credential, &all, minutes(30));
    credential.accepted(mark);
    assert_eq!(credential.status(minutes(30)).refusal, None);
}

#[test]
fn a_refusal_that_is_not_about_the_credential_is_not_noted() {
    let credential = of_certificates(&[first()]);
    let (_, mark) = signer(&credential, &[first()], now());
    for other in [700_016, 65_001, 53_003, 90_002, 50_196] {
        assert!(!credential.refused(mark, &error(other), now()));
    }
    assert_eq!(credential.status(now()).refusal, None);
    for own in [50_012, 700_027, 7_000_222, 7_000_215] {
        assert!(!credential.refused(mark, &error(own), now()));
        let refusal = credential.status(now()).refusal.unwrap();
        assert_eq!((refusal.since, refusal.aadsts), (now(), Some(own)));
    }
}

#[test]
fn a_certificate_file_is_followed_and_a_bad_one_keeps_what_was_read_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("certificate.pem");
    let all = [first(), second()];
    std::fs::write(&path, all[0].pem()).unwrap();
    let credential = of_certificates(&all[..1]).follow(path.clone());
    assert_eq!(signer(&credential, &all, now()).0, 0);
    assert!(credential.status(now()).trouble.is_none());

    for (bad, why) in [
        (
            all[1].certificate.clone(),
            "the PEM text has no private key",
        ),
        (
            format!("{}{}", all[1].certificate, all[0].key),
            "the private key belongs to another certificate",
        ),
        ("\n\n".to_owned(), "it is empty"),
    ] {
        std::fs::write(&path, bad).unwrap();
        assert_eq!(signer(&credential, &all, now()).0, 0);
        assert_eq!(credential.status(minutes(1)).trouble.unwrap().why, why);
    }
    std::fs::write(&path, vec![b'x'; 300_000]).unwrap();
    assert!(
        credential
            .status(now())
            .trouble
            .unwrap()
            .why
            .contains("larger than")
    );
    std::fs::remove_file(&path).unwrap();
    let trouble = credential.status(minutes(2)).trouble.unwrap();
    assert!(
        trouble.why.starts_with("it cannot be read"),
        "{}",
        trouble.why
    );
    assert_eq!(
        credential.status(minutes(9)).trouble.unwrap().since,
        minutes(2)
    );
    // The old content again is no news.
    std::fs::write(&path, all[0].pem()).unwrap();
    assert!(credential.status(now()).trouble.is_none());

    std::fs::write(&path, all[1].pem()).unwrap();
    assert_eq!(signer(&credential, &all, now()).0, 1);
    assert_eq!(
        credential.clone().expires_at(),
        Some("2036-02-01T12:30:45Z".parse().unwrap())
    );
}

#[test]
fn a_new_file_keeps_what_microsoft_said_of_those_that_stay() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("certificate.pem");
    let all = [first(), second()];
    std::fs::write(&path, all[0].pem()).unwrap();
    let credential = of_certificates(&all[..1]).follow(path.clone());
    let (_, of_old) = signer(&credential, &all, now());
    assert!(!credential.refused(of_old, &error(7_000_222), now()));
    assert!(credential.status(now()).refusal.is_some());
    std::fs::write(&path, format!("{}{}", all[0].pem(), all[1].pem())).unwrap();
    // The refusal was of another credential than there is now.
    let status = credential.status(minutes(1));
    assert_eq!((status.refusal, status.refused), (None, 1));
    assert_eq!(signer(&credential, &all, minutes(1)).0, 1);
    // A refusal of one that is gone meanwhile says nothing of the one that is there.
    std::fs::write(&path, all[1].pem()).unwrap();
    assert!(credential.refused(of_old, &error(UNKNOWN), minutes(2)));
    assert_eq!(credential.status(minutes(2)).refused, 0);
}

#[test]
fn a_secret_file_is_followed_and_the_told_end_is_that_of_its_first_secret() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, "old~secret\n").unwrap();
    let end = "2027-01-31T00:00:00Z".parse().unwrap();
    let credential = ClientCredential::with_secret(CLIENT.to_owned(), secret("old~secret"))
        .with_secret_end(end)
        .follow(path.clone());
    let sent = |at| credential.proof("", at).unwrap();
    assert_eq!(sent(now()), [("client_secret", "old~secret".to_owned())]);
    assert_eq!(credential.status(now()).expires_at, Some(end));
    let mark = Mark::of(&sent(now()));
    assert!(!credential.refused(mark, &error(7_000_222), now()));

    // Of the same length, as Microsoft's secrets are.
    std::fs::write(&path, "new.secret\n").unwrap();
    assert!(
        credential.refused(mark, &error(7_000_222), now()),
        "the new one is worth trying"
    );
    assert_eq!(sent(now()), [("client_secret", "new.secret".to_owned())]);
    let status = credential.status(now());
    assert_eq!((status.expires_at, status.refusal), (None, None));
    std::fs::write(&path, "old~secret").unwrap();
    assert_eq!(credential.status(now()).expires_at, Some(end));
}

#[test]
fn v9_a_credential_shows_nothing_of_secret_or_key() {
    let with_secret = ClientCredential::with_secret(CLIENT.to_owned(), secret("canary-1f3a"));
    let shown = format!("{with_secret:?} {:?}", with_secret.status(now()));
    assert!(!shown.contains("canary"), "{shown}");
    let shown = format!("{:?}", of_certificates(&[first()]));
    let mut lines = first().key.lines().map(str::to_owned).collect::<Vec<_>>();
    lines.retain(|line| line.len() > 40);
    assert!(!lines.iter().any(|line| shown.contains(line)), "{shown}");
    assert!(shown.contains(CLIENT), "{shown}");
}

#[test]
fn an_assertion_says_who_to_whom_and_for_how_long() {
    let credential = of_certificates(&[second()]);
    let proof = credential
        .proof("https://login.example/t/token", now())
        .unwrap();
    assert_eq!(
        proof[0],
        ("client_assertion_type", ASSERTION_TYPE.to_owned())
    );
    let parts: Vec<&str> = proof[1].1.split('.').collect();
    let json = |part: &str| -> serde_json::Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    let claims = json(parts[1]);
    assert_eq!(json(parts[0])["alg"], "PS256");
    assert_eq!(claims["aud"], "https://login.example/t/token");
    assert_eq!(
        (&claims["iss"], &claims["sub"]),
        (&CLIENT.into(), &CLIENT.into())
    );
    let exp = claims["exp"].as_i64().unwrap();
    assert_eq!(
        (claims["nbf"].as_i64(), exp),
        (Some(now().timestamp()), now().timestamp() + 540)
    );
}
