//! Certificates made with openssl; what must be read off them is what openssl says.

use tenantry_tests::certificates::{
    ENCRYPTED_KEYS, elliptic, endless, expired, first, second, weak,
};

use super::*;

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn refused(pem: &str) -> CredentialError {
    read_all(pem).unwrap_err()
}

#[test]
fn a_certificate_says_what_openssl_says() {
    // `openssl x509 -outform der | openssl dgst -sha256 -binary | basenc --base64url`, and `-dates`.
    for (made, thumbprint, begins, ends) in [
        (
            first(),
            "ujgeazSCnPMHU2TcXd3q25VUeqSWu_glRzqCfTz0lzs",
            "2025-01-01T00:00:00Z",
            "2035-01-01T00:00:00Z",
        ),
        (
            second(),
            "aw93YNBOd3jrdECuYLj17mQc2_KAXOuUuRxfPHdI220",
            "2026-02-01T00:00:00Z",
            "2036-02-01T12:30:45Z",
        ),
        (
            expired(),
            "cP7aOhq6jMYKxXWrgsspUC5gkqY6gvMTkAo3pq7f0bY",
            "2020-01-01T00:00:00Z",
            "2021-01-01T00:00:00Z",
        ),
    ] {
        let read = read_all(&made.pem()).unwrap();
        let [certificate] = read.as_slice() else {
            panic!("{read:?}")
        };
        assert_eq!(certificate.thumbprint, thumbprint);
        assert_eq!(certificate.begins, time(begins));
        assert_eq!(certificate.ends, time(ends));
    }
}

#[test]
fn the_blocks_of_a_file_may_stand_in_any_order_with_text_between_them() {
    let (first, second) = (first(), second());
    let text = format!(
        "Bag Attributes\r\n  friendlyName: x\r\n{}{}\n# a note\n{}{}{}",
        second.key,
        first.certificate.replace('\n', "\r\n"),
        second.certificate,
        first.certificate,
        first.key,
    );
    let read = read_all(&text).unwrap();
    let ends: Vec<_> = read.iter().map(|certificate| certificate.ends).collect();
    assert_eq!(
        ends,
        [time("2035-01-01T00:00:00Z"), time("2036-02-01T12:30:45Z")]
    );
    for (certificate, alone) in read.iter().zip([first, second]) {
        let alone = read_all(&alone.pem()).unwrap();
        assert_eq!(certificate.key.as_bytes(), alone[0].key.as_bytes());
    }
}

#[test]
fn two_certificates_of_one_key_may_stand_with_it_once() {
    let text = format!("{}{}", first().pem(), endless().certificate);
    let read = read_all(&text).unwrap();
    let [_, endless] = read.as_slice() else {
        panic!("{read:?}")
    };
    assert_eq!(endless.begins, time("2026-05-01T00:00:00Z"));
    assert_eq!(endless.ends, time("9999-12-31T23:59:59Z"));
    assert_eq!(endless.key.as_bytes(), read[0].key.as_bytes());
    // The same certificate twice is one.
    let twice = format!("{}{}", first().pem(), first().pem());
    assert_eq!(read_all(&twice).unwrap().len(), 1);
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let (first, second) = (first(), second());
    let crossed = format!("{}{}", first.certificate, second.key);
    assert!(matches!(refused(&crossed), CredentialError::KeyDoesNotFit));
    let spare = format!("{}{}", first.pem(), second.key);
    assert!(matches!(refused(&spare), CredentialError::KeyDoesNotFit));
    let keyless = format!("{}{}", first.pem(), second.certificate);
    assert_eq!(
        refused(&keyless).to_string(),
        "PEM text has no private key for one of its certificates"
    );
}

#[test]
fn a_missing_block_is_named() {
    let first = first();
    for nothing in ["", "-----BEGIN", "no PEM at all", &first.key] {
        assert!(matches!(
            refused(nothing),
            CredentialError::Missing("certificate")
        ));
    }
    assert!(matches!(
        refused(&first.certificate),
        CredentialError::Missing("private key")
    ));
}

#[test]
fn keys_that_microsoft_does_not_take_are_named() {
    assert!(matches!(
        refused(&elliptic().pem()),
        CredentialError::NotRsa
    ));
    assert!(matches!(refused(&weak().pem()), CredentialError::TooWeak));
    let first = first();
    for (key, of_what) in [(weak().key, "weak"), (elliptic().key, "elliptic")] {
        let error = refused(&format!("{}{key}", first.certificate));
        assert!(
            matches!(
                (of_what, &error),
                ("weak", CredentialError::TooWeak) | ("elliptic", CredentialError::NotRsa)
            ),
            "{error}"
        );
    }
    for key in ENCRYPTED_KEYS {
        assert!(matches!(
            refused(&format!("{}{key}", first.certificate)),
            CredentialError::EncryptedKey
        ));
    }
}

#[test]
fn broken_blocks_are_named() {
    let first = first();
    let half = &first.certificate[..first.certificate.len() / 2];
    assert_eq!(
        refused(half).to_string(),
        "PEM text has a block without an end that cannot be read"
    );
    let block = |label: &str, body: &str| {
        format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
    };
    for body in ["", "no base64!", "AAAA", "MAA="] {
        assert!(matches!(
            refused(&block("CERTIFICATE", body)),
            CredentialError::Unreadable("certificate")
        ));
        for label in ["PRIVATE KEY", "RSA PRIVATE KEY"] {
            let text = format!("{}{}", first.certificate, block(label, body));
            assert!(matches!(
                refused(&text),
                CredentialError::Unreadable("private key")
            ));
        }
    }
    // Any cut of a good file is refused without a panic.
    let pem = first.pem();
    for length in 0..pem.trim_end().len() {
        assert!(read_all(&pem[..length]).is_err(), "{length}");
    }
}

#[test]
fn v9_a_certificate_and_its_errors_show_nothing_of_the_key() {
    let first = first();
    let secrets: Vec<&str> = first.key.lines().filter(|line| line.len() > 40).collect();
    let mut shown = format!("{:?}", read_all(&first.pem()).unwrap());
    for broken in [
        first.key.clone(),
        format!("{}{}", second().certificate, first.key),
        format!("{}{}", first.certificate, first.key.replace('M', "!")),
        format!("{}{}", first.certificate, &first.key[..900]),
        format!("{}{}", first.certificate, ENCRYPTED_KEYS[0]),
    ] {
        let error = refused(&broken);
        shown.push_str(&format!("{error} {error:?} {error:#?}"));
    }
    assert!(!secrets.is_empty());
    assert!(!secrets.iter().any(|line| shown.contains(line)), "{shown}");
    let der = read_all(&first.pem()).unwrap()[0].key.as_bytes().to_vec();
    assert!(
        !shown.contains(&format!("{:?}", &der[..8])[1..20]),
        "{shown}"
    );
}
