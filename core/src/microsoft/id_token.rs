//! The id token: who signed in, to which tenant, as Microsoft signed it (C10).
//!
//! The token is the only proof of a tenant (C1), so everything about it is checked, and whatever is
//! odd is refused. Its JSON is read by our own reader: a claim that stands twice, or a time that is a
//! text, would pass a common one.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};
use serde_json::{Map, Value};
use uuid::{Uuid, uuid};

use crate::{
    clock::Clock,
    ids::TenantId,
    microsoft::{
        cloud::CloudProfile,
        signing_keys::{KeyCache, KeySet, KeysError},
    },
    outbound::Outbound,
    secrets::SecretText,
};

/// The tenant in which Microsoft keeps all personal accounts.
pub const CONSUMER_TENANT: Uuid = uuid!("9188040d-6c67-4c5b-b112-36a304b66dad");

/// Most that two clocks may differ, in seconds.
const LEEWAY: i64 = 60;
/// Longest token that is read.
const LONGEST_TOKEN: usize = 64 * 1024;
/// Header members that would let the token choose its own key or its own rules.
const REFUSED_HEADERS: [&str; 9] = [
    "jku", "jwk", "x5u", "x5c", "crit", "enc", "zip", "b64", "cty",
];

/// Why a token proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum IdTokenError {
    /// It is no token, or its header or claims are no clean JSON objects.
    #[error("id token is malformed: {0}")]
    Malformed(&'static str),
    /// Its header is not that of a token by RS256 with a key of Microsoft's document.
    #[error("id token header refused: {0}")]
    Header(&'static str),
    /// No key of the tenant's document may have signed it.
    #[error("id token is signed by an unknown key")]
    UnknownKey,
    /// The signature does not fit.
    #[error("id token signature is wrong")]
    Signature,
    /// A claim is missing or not what it must be.
    #[error("id token claim refused: {0}")]
    Claim(&'static str),
    /// It is over.
    #[error("id token has expired")]
    Expired,
    /// It belongs to another sign-in.
    #[error("id token nonce is wrong")]
    Nonce,
    /// A personal account signed in.
    #[error("personal accounts cannot connect a tenant")]
    PersonalAccount,
    /// Somebody of another tenant signed in (C11).
    #[error("sign-in to tenant {actual} where {expected} was expected")]
    WrongTenant {
        /// The tenant the flow is for.
        expected: TenantId,
        /// The tenant the token names.
        actual: TenantId,
    },
    /// The keys could not be read; the token may be fine.
    #[error("signing keys unavailable")]
    Keys(#[from] KeysError),
}

/// What a valid token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdClaims {
    /// The tenant that was signed in to.
    pub tid: TenantId,
    /// The person in that tenant; (`tid`, `oid`) is the identity.
    pub oid: Uuid,
    /// For display only.
    pub name: Option<String>,
    /// For display only: it can change and be given to another person.
    pub preferred_username: Option<String>,
    /// Template ids of the person's directory roles; `None` when the registration does not ask for
    /// them, and then they must be read from Graph.
    pub wids: Option<Vec<Uuid>>,
    /// 0 for a member, 1 for a guest, where Microsoft tells.
    pub acct: Option<i64>,
    /// Who authenticated the person, where it was not the tenant itself.
    pub idp: Option<String>,
    iss: String,
}

impl IdClaims {
    /// Whether the person is a guest of the tenant, or authenticated elsewhere.
    pub fn is_guest(&self) -> bool {
        self.acct == Some(1) || self.idp.as_ref().is_some_and(|idp| *idp != self.iss)
    }
}

/// Validates id tokens for one app registration.
pub struct IdTokenVerifier {
    profile: CloudProfile,
    client_id: String,
    clock: Clock,
    keys: KeyCache,
}

impl IdTokenVerifier {
    /// A verifier that fetches keys from the cloud's authority.
    pub fn new(profile: CloudProfile, client_id: String, http: Outbound, clock: Clock) -> Self {
        let keys = KeyCache::new(profile.clone(), http, clock.clone());
        Self {
            profile,
            client_id,
            clock,
            keys,
        }
    }

    /// Validates a token of a sign-in to `tenant` that was begun with `nonce`.
    ///
    /// # Errors
    /// See [`IdTokenError`]. Only [`IdTokenError::Keys`] may pass by itself.
    pub async fn verify(
        &self,
        token: &SecretText,
        tenant: TenantId,
        nonce: &SecretText,
    ) -> Result<IdClaims, IdTokenError> {
        let expected = Expected {
            client_id: &self.client_id,
            tenant,
            issuer: self.profile.issuer(tenant),
            nonce,
            now: self.clock.now(),
        };
        let keys = self.keys.keys(tenant).await?;
        match check(token.expose(), &keys, &expected) {
            // Keys roll at any time: one look for a new one.
            Err(IdTokenError::UnknownKey) => check(
                token.expose(),
                &*self.keys.keys_again(tenant).await?,
                &expected,
            ),
            decided => decided,
        }
    }
}

struct Expected<'a> {
    client_id: &'a str,
    tenant: TenantId,
    issuer: String,
    nonce: &'a SecretText,
    now: DateTime<Utc>,
}

fn check(token: &str, keys: &KeySet, expected: &Expected<'_>) -> Result<IdClaims, IdTokenError> {
    if token.len() > LONGEST_TOKEN {
        return Err(IdTokenError::Malformed("too long"));
    }
    let (signed, signature) = token
        .rsplit_once('.')
        .ok_or(IdTokenError::Malformed("not three parts"))?;
    let (header, payload) = signed
        .split_once('.')
        .ok_or(IdTokenError::Malformed("not three parts"))?;
    if payload.contains('.') {
        return Err(IdTokenError::Malformed("not three parts"));
    }
    let header = object(header, "header")?;
    let kid = check_header(&header)?;
    let claims = object(payload, "claims")?;
    // Named before the signature is looked at: whoever signs it, such a token is never accepted,
    // and people get told what to do.
    check_tenant(&claims, expected.tenant)?;
    match keys.verifies(
        kid,
        &expected.issuer,
        expected.tenant,
        signed.as_bytes(),
        signature,
    ) {
        None => return Err(IdTokenError::UnknownKey),
        Some(false) => return Err(IdTokenError::Signature),
        Some(true) => {}
    }
    check_claims(&claims, expected)?;
    read_claims(&claims, expected)
}

/// Returns the key id.
fn check_header(header: &Map<String, Value>) -> Result<Option<&str>, IdTokenError> {
    if header.get("alg").and_then(Value::as_str) != Some("RS256") {
        return Err(IdTokenError::Header("alg is not RS256"));
    }
    if REFUSED_HEADERS
        .iter()
        .any(|name| header.contains_key(*name))
    {
        return Err(IdTokenError::Header(
            "a member that Microsoft does not send",
        ));
    }
    match header.get("typ") {
        None => {}
        Some(Value::String(typ)) if typ.eq_ignore_ascii_case("jwt") => {}
        Some(_) => return Err(IdTokenError::Header("typ is not JWT")),
    }
    match header.get("kid") {
        None => Ok(None),
        Some(Value::String(kid)) if !kid.is_empty() => Ok(Some(kid)),
        Some(_) => Err(IdTokenError::Header("kid is no text")),
    }
}

fn check_tenant(claims: &Map<String, Value>, expected: TenantId) -> Result<(), IdTokenError> {
    let consumer = CONSUMER_TENANT.to_string();
    let of_consumers =
        |name: &str| text(claims, name).is_some_and(|value| value.contains(&consumer));
    if of_consumers("tid") || of_consumers("iss") {
        return Err(IdTokenError::PersonalAccount);
    }
    let actual: TenantId = text(claims, "tid")
        .and_then(|tid| tid.parse().ok())
        .ok_or(IdTokenError::Claim("tid"))?;
    if actual == expected {
        Ok(())
    } else {
        Err(IdTokenError::WrongTenant { expected, actual })
    }
}

fn check_claims(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), IdTokenError> {
    if text(claims, "iss") != Some(&expected.issuer) {
        return Err(IdTokenError::Claim("iss"));
    }
    if text(claims, "ver") != Some("2.0") {
        return Err(IdTokenError::Claim("ver"));
    }
    check_audience(claims, expected.client_id)?;
    let now = expected.now.timestamp();
    let expires = time(claims, "exp")?;
    if time(claims, "nbf")? > now + LEEWAY {
        return Err(IdTokenError::Claim("nbf"));
    }
    if time(claims, "iat")? > now + LEEWAY {
        return Err(IdTokenError::Claim("iat"));
    }
    if expires <= now - LEEWAY {
        return Err(IdTokenError::Expired);
    }
    if text(claims, "nonce").is_some_and(|nonce| expected.nonce.matches(nonce)) {
        Ok(())
    } else {
        Err(IdTokenError::Nonce)
    }
}

fn check_audience(claims: &Map<String, Value>, client_id: &str) -> Result<(), IdTokenError> {
    let several = match claims.get("aud") {
        Some(Value::String(audience)) if audience == client_id => false,
        Some(Value::Array(audiences)) if audiences.iter().any(|one| one == client_id) => {
            audiences.len() > 1
        }
        Some(_) | None => return Err(IdTokenError::Claim("aud")),
    };
    match claims.get("azp") {
        None if several => Err(IdTokenError::Claim("azp")),
        None => Ok(()),
        Some(azp) if azp == client_id => Ok(()),
        Some(_) => Err(IdTokenError::Claim("azp")),
    }
}

fn read_claims(
    claims: &Map<String, Value>,
    expected: &Expected<'_>,
) -> Result<IdClaims, IdTokenError> {
    let owned = |name: &str| text(claims, name).map(str::to_owned);
    let oid = text(claims, "oid").and_then(|oid| Uuid::try_parse(oid).ok());
    let wids = claims.get("wids").and_then(Value::as_array).map(|roles| {
        roles
            .iter()
            .filter_map(Value::as_str)
            .filter_map(|role| role.parse().ok())
            .collect()
    });
    let acct = claims.get("acct").and_then(|acct| match acct.as_str() {
        Some(text) => text.parse().ok(),
        None => acct.as_i64(),
    });
    Ok(IdClaims {
        tid: expected.tenant,
        oid: oid.ok_or(IdTokenError::Claim("oid"))?,
        name: owned("name"),
        preferred_username: owned("preferred_username"),
        wids,
        acct,
        idp: owned("idp"),
        iss: expected.issuer.clone(),
    })
}

fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    claims.get(name).and_then(Value::as_str)
}

/// Seconds since 1970: a whole number, not a text.
fn time(claims: &Map<String, Value>, name: &'static str) -> Result<i64, IdTokenError> {
    claims
        .get(name)
        .and_then(Value::as_i64)
        .ok_or(IdTokenError::Claim(name))
}

fn object(part: &str, what: &'static str) -> Result<Map<String, Value>, IdTokenError> {
    let decoded = URL_SAFE_NO_PAD.decode(part).ok();
    let read = decoded.and_then(|json| serde_json::from_slice::<UniqueObject>(&json).ok());
    read.map(|object| object.0)
        .ok_or(IdTokenError::Malformed(what))
}

/// A JSON object in which no name stands twice.
struct UniqueObject(Map<String, Value>);

impl<'de> Deserialize<'de> for UniqueObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;

        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = UniqueObject;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object without repeated names")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<UniqueObject, M::Error> {
                let mut object = Map::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if object.insert(name, value).is_some() {
                        return Err(M::Error::custom("a name stands twice"));
                    }
                }
                Ok(UniqueObject(object))
            }
        }

        deserializer.deserialize_map(ObjectVisitor)
    }
}

#[cfg(test)]
mod tests;
