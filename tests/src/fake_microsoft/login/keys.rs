//! The signing keys of the login server. They are test keys, public in this tree, and sign nothing
//! but what the stand-in issues.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{
    Algorithm, EncodingKey,
    crypto::sign,
    jwk::{AlgorithmParameters, Jwk},
};
use serde_json::{Value, json};

use super::controls;
use crate::fake_microsoft::state::Cloud;

/// One of the RSA keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SigningKey {
    /// Signs until the keys are rolled.
    Current,
    /// Published, signs nothing any more.
    Older,
    /// Published and signing after the keys were rolled.
    Next,
    /// Signs for personal accounts; published by the tenant-independent endpoints only.
    Consumer,
    /// Never published: an attacker's.
    Unpublished,
}

/// What signs a forged id token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ForgeKey {
    Rsa(SigningKey),
    /// HMAC-SHA-256 with the published certificate (PEM) of the current key as the secret.
    HmacWithPublicKey,
    /// An empty signature.
    None,
    /// A signature with one bit wrong.
    Broken,
}

struct Material {
    signing: EncodingKey,
    certificate_pem: &'static str,
    certificate_der: Vec<u8>,
    thumbprint: String,
    modulus: String,
    exponent: String,
}

static MATERIAL: LazyLock<[Material; 5]> = LazyLock::new(|| {
    [
        Material::read(
            include_str!("test_keys/current.key.pem"),
            include_str!("test_keys/current.crt.pem"),
        ),
        Material::read(
            include_str!("test_keys/older.key.pem"),
            include_str!("test_keys/older.crt.pem"),
        ),
        Material::read(
            include_str!("test_keys/next.key.pem"),
            include_str!("test_keys/next.crt.pem"),
        ),
        Material::read(
            include_str!("test_keys/consumer.key.pem"),
            include_str!("test_keys/consumer.crt.pem"),
        ),
        Material::read(
            include_str!("test_keys/unpublished.key.pem"),
            include_str!("test_keys/unpublished.crt.pem"),
        ),
    ]
});

impl Material {
    fn read(key_pem: &str, certificate_pem: &'static str) -> Self {
        let signing = EncodingKey::from_rsa_pem(key_pem.as_bytes()).expect("a test key");
        let public = Jwk::from_encoding_key(&signing, Algorithm::RS256).expect("a public key");
        let AlgorithmParameters::RSA(parts) = public.algorithm else {
            panic!("the test keys are RSA keys");
        };
        let certificate_der = der_of_pem(certificate_pem).expect("a test certificate");
        let thumbprint = digest(&SHA1_FOR_LEGACY_USE_ONLY, &certificate_der);
        Self {
            signing,
            certificate_pem,
            thumbprint: URL_SAFE_NO_PAD.encode(thumbprint),
            certificate_der,
            modulus: parts.n,
            exponent: parts.e,
        }
    }
}

impl SigningKey {
    fn material(self) -> &'static Material {
        match self {
            Self::Current => &MATERIAL[0],
            Self::Older => &MATERIAL[1],
            Self::Next => &MATERIAL[2],
            Self::Consumer => &MATERIAL[3],
            Self::Unpublished => &MATERIAL[4],
        }
    }

    /// The key id: the certificate's thumbprint, as Microsoft does it.
    pub fn kid(self) -> &'static str {
        &self.material().thumbprint
    }

    /// The key that signs for work accounts now.
    pub(super) fn signing(cloud: &Cloud) -> Self {
        if controls::keys_rolled(cloud) {
            Self::Next
        } else {
            Self::Current
        }
    }

    /// The public key as the key document has it, without `issuer`.
    fn published(self) -> Value {
        let material = self.material();
        json!({
            "kty": "RSA",
            "use": "sig",
            "kid": material.thumbprint,
            "x5t": material.thumbprint,
            "n": material.modulus,
            "e": material.exponent,
            "x5c": [STANDARD.encode(&material.certificate_der)],
        })
    }
}

/// The keys of a tenant-independent endpoint: each names whose tokens it may sign.
pub(super) fn common_document(cloud: &Cloud) -> Value {
    let template = format!("{}/{{tenantid}}/v2.0", cloud.login_origin);
    let consumer = format!("{}/{}/v2.0", cloud.login_origin, super::CONSUMER_TENANT);
    let mut keys: Vec<Value> = work_keys(cloud).iter().map(|key| key.published()).collect();
    for key in &mut keys {
        key["issuer"] = json!(template);
    }
    let mut personal = SigningKey::Consumer.published();
    personal["issuer"] = json!(consumer);
    keys.push(personal);
    json!({ "keys": keys })
}

/// The keys of one tenant. The first has no `issuer` (both forms are met): it counts for the tenant
/// whose document holds it.
pub(super) fn tenant_document(cloud: &Cloud, issuer: &str) -> Value {
    let mut keys: Vec<Value> = work_keys(cloud).iter().map(|key| key.published()).collect();
    for key in keys.iter_mut().skip(1) {
        key["issuer"] = json!(issuer);
    }
    json!({ "keys": keys })
}

/// The keys of the consumer tenant.
pub(super) fn consumer_document(issuer: &str) -> Value {
    let mut key = SigningKey::Consumer.published();
    key["issuer"] = json!(issuer);
    json!({ "keys": [key] })
}

fn work_keys(cloud: &Cloud) -> Vec<SigningKey> {
    if controls::keys_rolled(cloud) {
        vec![SigningKey::Next, SigningKey::Current]
    } else {
        vec![SigningKey::Current, SigningKey::Older]
    }
}

/// A compact JWS over a header and a payload that are already text.
pub(super) fn compact(header: &Value, payload: &str, key: ForgeKey) -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let message = format!("{}.{}", encode(&header.to_string()), encode(payload));
    let bytes = message.as_bytes();
    let signature = match key {
        ForgeKey::Rsa(key) => sign_rsa(header, bytes, key),
        ForgeKey::HmacWithPublicKey => {
            let secret = SigningKey::Current.material().certificate_pem;
            let secret = EncodingKey::from_secret(secret.as_bytes());
            sign(bytes, &secret, Algorithm::HS256).expect("an HMAC")
        }
        ForgeKey::None => String::new(),
        ForgeKey::Broken => {
            let genuine = sign_rsa(header, bytes, SigningKey::Current);
            let mut raw = URL_SAFE_NO_PAD.decode(genuine).expect("a signature");
            raw[0] ^= 1;
            URL_SAFE_NO_PAD.encode(raw)
        }
    };
    format!("{message}.{signature}")
}

fn sign_rsa(header: &Value, message: &[u8], key: SigningKey) -> String {
    let algorithm = match header["alg"].as_str() {
        Some("RS384") => Algorithm::RS384,
        Some("RS512") => Algorithm::RS512,
        Some("PS256") => Algorithm::PS256,
        _ => Algorithm::RS256,
    };
    sign(message, &key.material().signing, algorithm).expect("an RSA signature")
}

/// The bytes of the first PEM block in a text.
pub(super) fn der_of_pem(pem: &str) -> Option<Vec<u8>> {
    let body = pem.split("-----").nth(2)?;
    let body: String = body.split_whitespace().collect();
    STANDARD.decode(body).ok()
}
