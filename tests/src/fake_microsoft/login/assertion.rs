//! Client assertions: an app that proves itself by a certificate
//! (<https://learn.microsoft.com/entra/identity-platform/certificate-credentials>).

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, crypto::verify};
use serde_json::Value;

use super::{controls, errors::Failure, incoming::Incoming, keys::der_of_pem};
use crate::fake_microsoft::state::App;

/// The assertion type an app has to name.
pub(super) const KIND: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Longest useful life of an assertion, in seconds.
const LONGEST_LIFE: i64 = 600;
/// Tolerated difference of clocks, in seconds.
const SKEW: i64 = 300;

/// Checks an assertion. Errors: 700027 signature or certificate, 7000222 certificate expired, 50012
/// claims, 700024 time.
pub(super) fn check(incoming: &Incoming<'_>, app: &App, assertion: &str) -> Result<(), Failure> {
    let malformed = || Failure::new(50_012).saying("The client assertion is malformed.");
    let mut parts = assertion.rsplitn(2, '.');
    let (Some(signature), Some(message)) = (parts.next(), parts.next()) else {
        return Err(malformed());
    };
    let (header, claims) = message.split_once('.').ok_or_else(malformed)?;
    let header = json_of(header).ok_or_else(malformed)?;
    let claims = json_of(claims).ok_or_else(malformed)?;
    let key = signing_key(incoming, app, &header)?;
    let algorithm = match header["alg"].as_str() {
        Some("PS256") => Algorithm::PS256,
        Some("RS256") => Algorithm::RS256,
        _ => return Err(Failure::new(700_027)),
    };
    match verify(signature, message.as_bytes(), &key, algorithm) {
        Ok(true) => check_claims(incoming, app, &claims),
        _ => Err(Failure::new(700_027).saying("Client assertion contains an invalid signature.")),
    }
}

fn check_claims(incoming: &Incoming<'_>, app: &App, claims: &Value) -> Result<(), Failure> {
    let cloud = incoming.cloud;
    let refuse =
        |what: &str| Err(Failure::new(50_012).saying(format!("Client assertion: {what}.")));
    let names_app = |claim: &str| claims[claim].as_str() == Some(app.client_id.as_str());
    if !names_app("iss") || !names_app("sub") {
        return refuse("iss and sub must be the client id");
    }
    let path = incoming
        .path_and_query
        .split('?')
        .next()
        .unwrap_or_default();
    if claims["aud"].as_str() != Some(&format!("{}{path}", cloud.login_origin)) {
        return refuse("aud must be the token endpoint");
    }
    let now = cloud.now_unix();
    let (Some(not_before), Some(expires)) = (claims["nbf"].as_i64(), claims["exp"].as_i64()) else {
        return refuse("nbf and exp must be numbers");
    };
    if now + SKEW < not_before || now - SKEW > expires {
        return Err(Failure::new(700_024));
    }
    if expires - not_before > LONGEST_LIFE {
        incoming.violation("a client assertion lives longer than ten minutes");
    }
    match claims["jti"].as_str() {
        Some(jti) if controls::first_use_of_assertion(cloud, jti) => {}
        _ => incoming.violation("a client assertion without a fresh jti"),
    }
    Ok(())
}

/// The registered key whose thumbprint the header names.
fn signing_key(incoming: &Incoming<'_>, app: &App, header: &Value) -> Result<DecodingKey, Failure> {
    for certificate in controls::certificates(incoming.cloud, &app.client_id) {
        let der = der_of_pem(&certificate.pem).unwrap_or_default();
        let sha256 = URL_SAFE_NO_PAD.encode(digest(&SHA256, &der));
        let sha1 = URL_SAFE_NO_PAD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &der));
        let named =
            header["x5t#S256"].as_str() == Some(&sha256) || header["x5t"].as_str() == Some(&sha1);
        if named && certificate.expired {
            return Err(Failure::new(7_000_222).saying(format!(
                "The provided client certificate keys for app '{}' are expired.",
                app.client_id
            )));
        }
        if named && let Some(key) = public_key(&der) {
            return Ok(DecodingKey::from_rsa_der(key));
        }
    }
    Err(Failure::new(700_027))
}

/// The PKCS#1 public key inside a certificate: what follows the only `rsaEncryption` identifier.
fn public_key(certificate: &[u8]) -> Option<&[u8]> {
    // OBJECT IDENTIFIER 1.2.840.113549.1.1.1, NULL, then the tag of a BIT STRING.
    const MARK: [u8; 14] = [
        0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00, 0x03,
    ];
    let at = certificate
        .windows(MARK.len())
        .position(|window| window == MARK)?;
    let rest = certificate.get(at + MARK.len()..)?;
    let (length, rest) = match *rest.first()? {
        short @ ..=0x7f => (usize::from(short), rest.get(1..)?),
        0x81 => (usize::from(*rest.get(1)?), rest.get(2..)?),
        0x82 => (
            usize::from(u16::from_be_bytes([*rest.get(1)?, *rest.get(2)?])),
            rest.get(3..)?,
        ),
        _ => return None,
    };
    // The first byte of a BIT STRING counts its unused bits.
    rest.get(1..length)
}

fn json_of(part: &str) -> Option<Value> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
    serde_json::from_slice(&bytes).ok()
}
