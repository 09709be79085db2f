//! Certificates of app registrations, made with openssl, and their private keys. Nothing but tests
//! knows them.

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};

/// A certificate and the private key made with it, both as PEM text.
#[derive(Clone, Debug)]
pub struct TestCertificate {
    pub certificate: String,
    pub key: String,
}

macro_rules! pem {
    ($name:literal) => {
        include_str!(concat!("certificates/", $name, ".pem"))
    };
}

/// RSA of 2048 bits, its key as PKCS#8; from 2025-01-01 to 2035-01-01.
pub fn first() -> TestCertificate {
    TestCertificate::new(pem!("first.crt"), pem!("first.key"))
}

/// RSA of 3072 bits, its key as PKCS#1; from 2026-02-01 to 2036-02-01, 12:30:45.
pub fn second() -> TestCertificate {
    TestCertificate::new(pem!("second.crt"), pem!("second.key"))
}

/// RSA of 2048 bits; ended on 2021-01-01.
pub fn expired() -> TestCertificate {
    TestCertificate::new(pem!("expired.crt"), pem!("expired.key"))
}

/// RSA of 1024 bits.
pub fn weak() -> TestCertificate {
    TestCertificate::new(pem!("weak.crt"), pem!("weak.key"))
}

/// A key on the curve P-256.
pub fn elliptic() -> TestCertificate {
    TestCertificate::new(pem!("elliptic.crt"), pem!("elliptic.key"))
}

/// A second certificate for the key of [`first`]; from 2026-05-01 without an end, as RFC 5280 writes it:
/// 9999-12-31, 23:59:59.
pub fn endless() -> TestCertificate {
    TestCertificate::new(pem!("endless.crt"), pem!("first.key"))
}

/// The public key of [`first`].
pub const FIRST_PUBLIC_KEY: &str = pem!("first.public");

/// The key of [`first`] encrypted with the password `test`: as PKCS#8 and in openssl's older form.
pub const ENCRYPTED_KEYS: [&str; 2] = [
    pem!("first.encrypted.key"),
    pem!("first.encrypted-traditional.key"),
];

impl TestCertificate {
    fn new(certificate: &str, key: &str) -> Self {
        Self {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        }
    }

    /// Certificate and key in one text.
    pub fn pem(&self) -> String {
        format!("{}{}", self.certificate, self.key)
    }

    /// The same key in a certificate for another time, before 2050. Its own signature is not made
    /// anew: nobody looks at the signature of a certificate that stands for itself.
    #[must_use]
    pub fn valid(self, from: DateTime<Utc>, until: DateTime<Utc>) -> Self {
        // A SEQUENCE of two UTCTimes, each "yymmddhhmmssZ".
        const HEAD: [u8; 4] = [0x30, 0x1e, 0x17, 0x0d];
        let body = self.certificate.split("-----").nth(2).expect("a block");
        let body: String = body.split_whitespace().collect();
        let mut der = STANDARD.decode(body).expect("base64");
        let at = der.windows(HEAD.len()).position(|bytes| bytes == HEAD);
        let times = &mut der[at.expect("a validity") + HEAD.len()..];
        let text = |time: DateTime<Utc>| time.format("%y%m%d%H%M%SZ").to_string();
        times[..13].copy_from_slice(text(from).as_bytes());
        times[15..28].copy_from_slice(text(until).as_bytes());
        let base64 = STANDARD.encode(der);
        Self {
            certificate: format!(
                "-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n"
            ),
            ..self
        }
    }
}
